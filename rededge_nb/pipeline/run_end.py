"""What is said at the end of a run: an event of the server, and a message to one address.

The message is sent once, after the last attempt, by the process that makes the run. The one exception is a run that was
killed: the scheduler that has started it sends the message. Addresses may contain secrets: no text here shows one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import redis

from rededge_nb import schema, settings
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.client.shard import key_here
from rededge_nb.errors import ConfigurationError, RedEdgeError
from rededge_nb.notify.notifier import check_targets, send_once
from rededge_nb.notify.one_address import config_of_address, shown_target
from rededge_nb.pipeline.report import as_table
from rededge_nb.pipeline.runs import figures_of
from rededge_nb.reading.events import Event

logger = logging.getLogger(__name__)

RUN_ENDED: Final = "run_ended"
"""Kind of the event in `rededge:events` at the end of each attempt, and of the message."""
When = Literal["failure", "always"]
WHEN: Final = ("failure", "always")
TRIES: Final = 5
"""How often the message is tried, within about half a minute, if the receiver is away."""
NOT_SENT: Final = "the message about the end of the run was not sent"
"""Begins the line on stderr that says so; the scheduler looks for it."""
_EVENTS_KEPT = 10_000


def announce_end(client: redis.Redis, folder: Path, summary: Mapping[str, Any]) -> None:
    """Add the end of an attempt to the events of the server."""
    fields: dict[Any, Any] = _fields(summary, folder.name)
    try:
        with server_errors(client):
            client.xadd(key_here(client, schema.SERVER_EVENTS_KEY), fields, maxlen=_EVENTS_KEPT, approximate=True)
    except (redis.RedisError, RedEdgeError) as error:
        logger.warning("the end of the run is not among the events of the server: %s", error)


class EndMessage:
    """Sends the message about the end of a run, at most once.

    Args:
        address: Where to; see `rededge_nb.notify.one_address`. None sends nothing.
        when: `failure`: only if the run has failed; `always`.

    Raises:
        ConfigurationError: The address cannot be used, or `when` is neither of these.
    """

    def __init__(self, address: str | None, when: str = "failure") -> None:
        if when not in WHEN:
            raise ConfigurationError(f"a message can be sent on {' or '.join(WHEN)}, not on {when!r}")
        self._address = address
        self._when = when
        self._sent = False
        if address is not None:
            self._config = config_of_address(address, secret=settings.notify_secret(), title="{what}")
            check_targets(self._config)

    @contextlib.contextmanager
    def of_errors(self) -> Iterator[None]:
        """Send a message if this block is left by an error, and no message was sent in it."""
        began = time.time()
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            reason = "interrupted" if interrupted else str(error) or type(error).__name__
            end = {"outcome": "failed", "error": reason, "seconds": round(time.time() - began, 1)}
            self.send(end, "", tries=1 if interrupted else TRIES)
            raise

    def send(self, summary: Mapping[str, Any], run: str, *, tries: int = TRIES) -> None:
        """Send the message, if one is asked for; a failure is logged and changes nothing else.

        Args:
            summary: The content of summary.json, or at least its `outcome`, `error` and `seconds`.
            run: Name of the run; empty if it has got none.
            tries: How often it is tried.
        """
        if self._address is None or self._sent or (self._when == "failure" and summary["outcome"] == "done"):
            return
        self._sent = True
        fields = {name: str(value) for name, value in _fields(summary, run).items()}
        figures = figures_of(summary) if "notebooks" in summary else {}
        if figures:
            fields["figures"] = json.dumps(figures)
        ts_ms = int(fields["ts"])
        event = Event("", f"{ts_ms}-{run or secrets.token_hex(3)}", RUN_ENDED, fields["severity"], ts_ms,
                      reason=fields.get("reason", ""), seconds=float(fields["seconds"]), fields=fields)  # fmt: skip
        try:
            more = as_table(dict(summary)) if "notebooks" in summary else ""
            [problem] = send_once(self._config, event, more=more, tries=tries).values()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has its result all the same
            problem = self._config.without_secrets(f"{type(error).__name__}: {error}")
        if problem:
            logger.error("%s to %s: %s", NOT_SENT, shown_target(self._address), problem)

    def send_killed(self, run: str, number: int, seconds: float) -> None:
        """Send the message about a run whose process a signal has killed.

        Args:
            run: Name of the run; empty if it has got none.
            number: The signal.
            seconds: How long the process has run.
        """
        reason = f"its process was killed ({_name(number)})"
        self.send({"outcome": "killed", "error": reason, "seconds": round(seconds, 1)}, run)


def _fields(summary: Mapping[str, Any], run: str) -> dict[str, Any]:
    fields = {
        "kind": RUN_ENDED,
        "severity": "info" if summary["outcome"] == "done" else "warning",
        "ts": round(time.time() * 1000),
        "outcome": summary["outcome"],
        "seconds": summary["seconds"],
        "folder": run or None,
        "reason": summary["error"],
        "run": summary.get("run"),
        "source": summary.get("source"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
