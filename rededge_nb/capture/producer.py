"""Appending frames to a camera's stream, and hearing what the gear says to them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from itertools import chain
from typing import Any

import redis

from rededge_nb import schema, streams
from rededge_nb.capture.sources import Captured
from rededge_nb.edge.client import CommandArgs, check, connection_of, replies_to
from rededge_nb.errors import ServerFullError, WaitTimeoutError
from rededge_nb.images import ImageOrJpeg, encode_jpeg

logger = logging.getLogger(__name__)

CLOCK_STEP_MS = 5_000
"""How far the clock may go back before frames follow it: up to that each gets the time after the last one's."""
_ENTRY_OVERHEAD = 160
"""Bytes that Redis holds for an entry besides its image."""
_LOOKED_AT = 4
"""Newest entries among which a picture is looked for that may have been added; other captures may add some, too."""
_FULL_INTERVAL = 0.2
"""Seconds between tries to send a picture to a server that is full."""


class Producer:
    """Appends pictures to `camera:<id>`, within bounds of age and size, numbered on from what is there."""

    def __init__(
        self, client: redis.Redis, camera: str, *, quality: int, max_age: float, max_bytes: int, keep: bool
    ) -> None:
        self._client = client
        self._key = schema.frames_key(camera)
        self._quality = quality
        self._max_age_ms = round(max_age * 1000)
        self._max_bytes = max_bytes
        self._keep = keep
        self._count = 0
        self._last_ts = 0
        self._sizes: deque[int] = deque()
        self._size = 0
        self._full = False
        self._oldest_allowed: str | None = None
        self._unconfirmed: tuple[int, int] | None = None
        self._resume()

    def send(self, captured: Captured, *, not_answered: list[str]) -> tuple[str, int]:
        """Append a picture and trim the stream; returns its entry id and its encoded size.

        Where the server is full, the older half of the stream makes room for the picture.

        Args:
            captured: The frame. No two frames get the same time, unless the clock went back by more than
                CLOCK_STEP_MS.
            not_answered: Entry ids, oldest first, that must stay however old and large they are.

        Raises:
            ServerFullError: that was not enough.
        """
        ts_ms = (
            captured.ts_ms if self._last_ts - captured.ts_ms > CLOCK_STEP_MS else max(captured.ts_ms, self._last_ts + 1)
        )
        image = self.encoded(captured).image
        fields: dict[str, Any] = {schema.COUNT: self._count + 1, schema.TS: ts_ms, schema.IMAGE: image}
        if self._keep:
            fields[schema.KEEP] = 1
        self._unconfirmed = (self._count + 1, ts_ms)
        try:
            entry_id = self._append(fields, not_answered)
        except redis.exceptions.OutOfMemoryError:
            self._make_room(not_answered)
            try:
                entry_id = self._append(fields, not_answered)
            except redis.exceptions.OutOfMemoryError as error:
                raise ServerFullError(
                    f"Redis has no room for a frame of {self._key} ({len(image)} bytes): give it more memory "
                    "(REDEDGE_MAX_MEMORY, or maxmemory of your own server), delete what is not needed, or bound the "
                    "cameras' streams (--max-bytes)"
                ) from error
        self._confirm()
        return entry_id, len(image)

    def encoded(self, captured: Captured) -> Captured:
        """The picture as JPEG."""
        image: ImageOrJpeg = captured.image
        if isinstance(image, bytes):
            return captured
        return Captured(encode_jpeg(image, quality=self._quality), captured.ts_ms)

    def find_unconfirmed(self) -> tuple[str, int] | None:
        """Entry id and size of the picture that the last `send` got no reply for, if the server has it."""
        if self._unconfirmed is None:
            return None
        for entry_id, fields in streams.entries(self._client, self._key, count=_LOOKED_AT, newest_first=True):
            if (streams.number(fields, schema.COUNT, 0), streams.number(fields, schema.TS, 0)) == self._unconfirmed:
                self._confirm()
                return entry_id, len(fields[schema.IMAGE.encode()])
        return None

    def _confirm(self) -> None:
        if self._unconfirmed is not None:
            self._count, self._last_ts = self._unconfirmed
            self._unconfirmed = None

    def _append(self, fields: dict[str, Any], not_answered: list[str]) -> str:
        size = len(fields[schema.IMAGE])
        self._note_size(size)
        # Only a full stream is cut by length: it may hold frames of other captures that are not counted yet.
        longest = max(len(self._sizes), len(not_answered) + 1) if self._full else None
        cut = () if longest is None else ("MAXLEN", longest)
        commands: list[CommandArgs] = [
            ("XADD", self._key, *cut, "*", *chain.from_iterable(fields.items())),
            ("XLEN", self._key),
        ]
        if self._oldest_allowed is not None:
            oldest = min([self._oldest_allowed, *not_answered[:1]], key=streams.id_order)
            commands.append(("XTRIM", self._key, "MINID", "~", oldest))
        try:
            with connection_of(self._client) as connection:
                replies = replies_to(connection, commands)
            check(replies)
        except redis.RedisError:
            self._size -= self._sizes.pop()
            raise
        added, entries, *_ = replies
        entry_id: str = added.decode()
        self._note_entries_of_others(entries, size)
        # The age is told by the server's clock, which entry ids carry.
        self._oldest_allowed = f"{max(0, streams.time_ms(entry_id) - self._max_age_ms)}-0"
        return entry_id

    def _make_room(self, not_answered: list[str]) -> None:
        """Take the older half out of the stream, as far as it may go: a full server refuses XADD, not XTRIM."""
        entries = self._client.xlen(self._key)
        if not_answered:
            removed = self._client.xtrim(self._key, minid=not_answered[0], approximate=False)
        else:
            removed = self._client.xtrim(self._key, maxlen=entries // 2, approximate=False)
        while len(self._sizes) > entries - removed:
            self._size -= self._sizes.popleft()
        if removed:
            logger.warning(
                "Redis is full: %d of the %d frames in %s left it early to make room", removed, entries, self._key
            )

    def _resume(self) -> None:
        newest = streams.entries(self._client, self._key, count=1, newest_first=True)
        if not newest:
            return
        _, fields = newest[0]
        self._count = streams.number(fields, schema.COUNT, 0)
        self._last_ts = streams.number(fields, schema.TS, 0)
        self._note_entries_of_others(self._client.xlen(self._key), len(fields.get(schema.IMAGE.encode(), b"")))

    def _note_entries_of_others(self, entries: int, size: int) -> None:
        """Count what else is in the stream as if every frame were of this size."""
        for _ in range(min(entries - len(self._sizes), self._max_bytes // (size + _ENTRY_OVERHEAD) + 1)):
            self._note_size(size)

    def _note_size(self, size: int) -> None:
        self._sizes.append(size + _ENTRY_OVERHEAD)
        self._size += self._sizes[-1]
        while self._size > self._max_bytes and len(self._sizes) > 1:
            self._size -= self._sizes.popleft()
            self._full = True


class Sender:
    """Sends pictures through times in which the server is full: leaves them out, or waits with those that must go."""

    def __init__(self, producer: Producer, *, must_go: bool, patience: float, stop: threading.Event) -> None:
        self._producer = producer
        self._must_go = must_go
        self._patience = patience
        self._stop = stop
        self._full_since: float | None = None

    def send(self, captured: Captured, *, not_answered: list[str]) -> tuple[str, int] | None:
        """As `Producer.send`; None for a picture that was left out.

        Raises:
            ServerFullError: a picture that must go found no room for `patience` seconds.
        """
        while True:
            try:
                sent = self._producer.send(captured, not_answered=not_answered)
            except ServerFullError as error:
                now = time.monotonic()
                if self._full_since is None:
                    self._full_since = now
                    logger.warning("%s", error)
                if self._must_go and now - self._full_since >= self._patience:
                    raise
                if not self._must_go or self._stop.wait(_FULL_INTERVAL):
                    return None
            else:
                if self._full_since is not None:
                    logger.warning("Redis has room again, after %.1f s", time.monotonic() - self._full_since)
                self._full_since = None
                return sent


class Answers:
    """Which frames the gear has not answered yet, neither with a detection entry nor with an error entry."""

    def __init__(self, client: redis.Redis, camera: str, *, stall_timeout: float) -> None:
        self._client = client
        self._camera = camera
        self._frames = schema.frames_key(camera)
        self._stall_timeout = stall_timeout
        self._waiting: dict[str, Captured] = {}
        self._heard = time.monotonic()
        keys = (schema.detections_key(camera), schema.errors_key(camera))
        self._seen = {key: streams.last_id(client, key) for key in keys}

    @property
    def waiting(self) -> list[str]:
        """Entry ids of the frames without answer, oldest first."""
        return list(self._waiting)

    def expect(self, entry_id: str, captured: Captured) -> None:
        """Note a frame that was sent."""
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting[entry_id] = captured

    def recover(self) -> list[Captured]:
        """Go on after the server was away; gives the frames that it lost, which are waited for no longer."""
        # a server that lost its last second, while the clock went back, gives out ids again
        seen = {
            key: min(last, streams.last_id(self._client, key), key=streams.id_order) for key, last in self._seen.items()
        }
        lost = [each for each in self._waiting if not self._client.xrange(self._frames, each, each)]
        self._seen = seen
        self._heard = time.monotonic()
        return [self._waiting.pop(each) for each in lost]

    def receive(self) -> bool:
        """Wait a little for answers; whether one came.

        Raises:
            WaitTimeoutError: none came for `stall_timeout` seconds.
        """
        left = self._heard + self._stall_timeout - time.monotonic()
        block_ms = min(streams.BLOCK_MS, max(1, round(left * 1000)))
        before = len(self._waiting)
        # A worker that takes over from a dead one answers some frames a second time; nobody waits for those.
        for _, (_, fields) in streams.new_entries(self._client, self._seen, block_ms=block_ms):
            self._waiting.pop(fields.get(schema.REF.encode(), b"").decode(), None)
        if len(self._waiting) < before:
            self._heard = time.monotonic()
            return True
        if time.monotonic() - self._heard >= self._stall_timeout:
            oldest = next(iter(self._waiting))
            if not self._client.xrange(self._frames, oldest, oldest):
                raise WaitTimeoutError(
                    f"frame {oldest} of camera {self._camera} left the stream before the gear answered it: another "
                    "capture of this camera has filled it; end that one, or capture into a camera of your own"
                )
            raise WaitTimeoutError(
                f"no frame of camera {self._camera} was answered for {self._stall_timeout:g} s, {before} are waiting: "
                "see whether the gear is registered (RG.DUMPREGISTRATIONS, `rededge init`) and the worker runs "
                "(`rededge status`), or capture with pace 'realtime', which waits for nobody"
            )
        return False
