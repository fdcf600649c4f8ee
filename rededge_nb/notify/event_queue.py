"""The events that a target has not got yet: a consumer group on the events of each camera.

Each target has a group of its own, `notify:<target>`, so that one that is slow or away does not delay the others. Redis
remembers where each group is. An event is acknowledged when the target has it; one that was read and not acknowledged,
because this process died, is read again.

A target that is new gets the events from now on. A camera that is new is read from its first event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Final

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.events import server_event_command
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import shard
from rededge_nb.edge.client.shard import key_here
from rededge_nb.reading.events import Event, event_of

logger = logging.getLogger(__name__)

BATCH: Final = 20
"""Events of each camera that are read at once."""
BLOCK_MS: Final = 1000
_CONSUMER: Final = "notifier"
_FIRST: Final = "0"


class EventQueue:
    """The events for one target, of all cameras and of the server, in their order.

    Args:
        client: A client for blocking reads, which nobody else uses.
        target: Name of the target.
        known: The target is not new, whatever Redis says: its groups may have been deleted.
    """

    def __init__(self, client: redis.Redis, target: str, *, known: bool = False) -> None:
        self._client = client
        self._known = known
        self._target = target
        self._group = f"notify:{target}"
        self._server_key = key_here(client, schema.SERVER_EVENTS_KEY)
        self._cameras: dict[str, str] = {}
        """By key of a stream its camera; "" for the events of the server."""
        self._history: dict[str, str] | None = None
        """While events are read that were read before and not acknowledged: by key the last of them; otherwise None."""
        self._begun = False
        self.look_for_gaps = True
        """Whether events may have left their stream before they were read."""

    def follow_new_cameras(self) -> None:
        """Begin to read the cameras that are not read yet."""
        known = self._known or self._has_group(self._server_key)
        wanted = {schema.events_key(camera): camera for camera in known_cameras(self._client)}
        # the group on the server's events is made last: it says that the target is not new
        for key, camera in [*wanted.items(), (self._server_key, "")]:
            if key not in self._cameras:
                self._create_group(key, from_first=known)
                self._cameras[key] = camera
        self._known = True

    def read(self) -> list[Event]:
        """The next events, oldest first; waits about a second for one."""
        try:
            if self.look_for_gaps:
                self._report_gaps()
                self.look_for_gaps = False
            reply = self._read_history() if not self._begun else self._read_new()
        except redis.ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED", "WRONGTYPE", "no such key")):
                raise
            logger.warning(
                "target %s: the events were deleted, and are read from their beginning: %s", self._target, error
            )
            self._cameras.clear()
            self._history = None  # it names streams that nobody may create again
            self.follow_new_cameras()
            return []
        found: list[Event] = []
        lost: dict[str, list[str]] = {}
        for raw_key, entries in reply:
            key = raw_key.decode()
            for raw_id, fields in entries:
                entry_id = raw_id.decode()
                if fields:
                    found.append(event_of(self._cameras[key], (entry_id, fields)))
                else:
                    lost.setdefault(key, []).append(entry_id)
        for key, ids in lost.items():
            self._client.xack(key, self._group, *ids)
            self._report_dropped(key, len(ids))
        return sorted(found, key=lambda event: streams.id_order(event.id))

    def acknowledge(self, events: Iterable[Event]) -> None:
        """Note that the target has these events, or that they are not for it."""
        by_key: dict[str, list[str]] = {}
        for event in events:
            key = schema.events_key(event.camera) if event.camera else self._server_key
            by_key.setdefault(key, []).append(event.id)
        for key, ids in by_key.items():
            self._client.xack(key, self._group, *ids)

    def _read_history(self) -> Any:
        """The next of those events that were read before this process began, and not acknowledged."""
        if self._history is None:
            self._history = dict.fromkeys(self._cameras, _FIRST)
        reply = self._read_group(self._history, block_ms=None)
        read = {key.decode(): entries[-1][0].decode() for key, entries in reply if entries}
        self._history |= read
        self._begun = not read
        return reply

    def _read_new(self) -> Any:
        return self._read_group(dict.fromkeys(self._cameras, ">"), block_ms=BLOCK_MS)

    def _read_group(self, after: dict[str, str], *, block_ms: int | None) -> list[Any]:
        if shard.tag(self._client) is None:
            return self._ask(after, block_ms)
        # in a cluster, one command reads the keys of one slot only
        found = [part for key, last in after.items() for part in self._ask({key: last}, None)]
        if not found and block_ms is not None:
            time.sleep(block_ms / 1000)
        return found

    def _ask(self, after: dict[str, str], block_ms: int | None) -> list[Any]:
        keys: Any = after
        reply: Any = self._client.xreadgroup(self._group, _CONSUMER, keys, count=BATCH, block=block_ms)
        return reply or []

    def _has_group(self, key: str) -> bool:
        try:
            groups: Any = self._client.xinfo_groups(key)
        except redis.ResponseError:  # there is no such key
            return False
        return any(group["name"].decode() == self._group for group in groups)

    def _create_group(self, key: str, *, from_first: bool) -> None:
        start, read = "0", 0
        if not from_first and self._client.exists(key):
            information: Any = self._client.xinfo_stream(key)
            start, read = information["last-generated-id"].decode(), int(information["entries-added"])
        try:
            self._client.xgroup_create(key, self._group, id=start, mkstream=True, entries_read=read)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _report_gaps(self) -> None:
        """Say how many events have left their streams before they were read."""
        for key in self._cameras:
            groups: Any = self._client.xinfo_groups(key)
            stream: Any = self._client.xinfo_stream(key)
            group = next((one for one in groups if one["name"].decode() == self._group), None)
            if group is None or group.get("entries-read") is None:
                continue
            removed = int(stream["entries-added"]) - int(stream["length"])
            if removed > int(group["entries-read"]):
                self._report_dropped(key, removed - int(group["entries-read"]))

    def _report_dropped(self, key: str, number: int) -> None:
        where = f"of camera {self._cameras[key]}" if self._cameras[key] else "of the server"
        reason = f"{number} events {where} left their stream before the target {self._target} could get them"
        logger.warning("%s", reason)
        event: dict[str, str | int | float] = {
            "kind": "notifications_dropped",
            "severity": "warning",
            "ts": _server_ms(self._client),
            "reason": reason,
            "value": number,
        }
        self._client.execute_command(*server_event_command(self._server_key, event))


def _server_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
