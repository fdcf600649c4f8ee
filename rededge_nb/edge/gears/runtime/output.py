"""What gear code prints: besides the worker's log, it goes to the client that runs the gear.

A client that wants it gives its RG.PYEXECUTE a session id and subscribes to the channel of that session. What
registrations print when they run later goes to the log alone: the client that registered them waits for it no longer.
"""

from __future__ import annotations

import io
import sys
from typing import TextIO

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.live import LiveExecution

MAX_CHARACTERS = 64 * 1024
"""How much of what an execution prints is sent to its client: an endless loop prints without end."""
CUT_OFF = "\n[the rest of the output is in the worker's log]\n"


def install() -> None:
    """From now on, send what gear code prints to the clients, too."""
    sys.stdout = GearOutput(sys.stdout)


class GearOutput(io.TextIOBase):
    """Standard output that is also published, if it comes from gear code that a client runs."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def write(self, text: str) -> int:
        """Write to the log, and publish."""
        self._log.write(text)
        try:
            context = current()
        except GearsError:
            return len(text)
        execution = context.execution
        if execution is not None and execution.session_id is not None and execution.printed <= MAX_CHARACTERS:
            _publish(context, execution, text)
        return len(text)

    def flush(self) -> None:
        """Flush the log."""
        self._log.flush()

    def fileno(self) -> int:
        """The descriptor of the log, for processes that gear code starts."""
        return self._log.fileno()


def _publish(context: Context, execution: LiveExecution, text: str) -> None:
    execution.printed += len(text)
    if execution.printed > MAX_CHARACTERS:
        text = text[: len(text) - execution.printed + MAX_CHARACTERS] + CUT_OFF
    client = context.executor.raw_client
    channel = key_names.output_channel(str(execution.session_id))
    try:
        # not on the connection of the gear, which may be inside a transaction
        execution.shielded(client.execute_command, "PUBLISH", channel, text.encode(errors="replace"))
    except redis.RedisError:
        execution.printed = MAX_CHARACTERS + 1  # a print must not be what a gear fails for: the log has the text
