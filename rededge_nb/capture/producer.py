"""Appends frames to a camera's stream, which stays within bounds of age and size.

Before that, the masks of the camera's scene are applied. If no image of the camera may be stored, the people are found
here, and their boxes are sent in place of the image. The scene is watched (WATCH) from when it is read until the frame
is added: if it changes in between, nothing is added, and the frame is made again for the new scene.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.boxes_only import FOUND
from rededge_nb.capture.detection import PeopleFinder
from rededge_nb.capture.masking import masked
from rededge_nb.capture.sources import Captured
from rededge_nb.edge.client import CommandArgs, check, connection_of, in_transaction, replies_to
from rededge_nb.errors import SceneError, ServerFullError
from rededge_nb.images import decode_image, encode_jpeg
from rededge_nb.reading.scenes import scene_of

logger = logging.getLogger(__name__)

CLOCK_STEP_MS = 5_000
"""How far the clock may go back before the frames follow it: up to that each gets the time after the last one's."""
_ENTRY_OVERHEAD = 200
"""Bytes that Redis holds for an entry besides its image."""
_LOOKED_AT = 4
"""Newest entries among which a frame is looked for that may have been added; other clients may have added some, too."""
_FULL_INTERVAL = 0.2
"""Seconds between two tries to send a frame to a server that is full."""


class Producer:
    """Appends frames to `camera:<id>`, masked, and numbered on from what is there.

    Attributes:
        last: The last frame as it was sent, or should have been: masked, and as JPEG. Where no image is sent, it is
            only kept here, so that the frame can be sent again.

    Args:
        client: One from `blocking_client`.
        camera: Camera id.
        capture: Id of the capture, which each entry carries; empty for none.
        quality: JPEG quality, 1 to 100.
        max_age: Seconds after which a frame leaves the stream.
        max_bytes: Size of the stream above which its oldest frames leave it.
        keep: The gear must not drop the frames.
        own_times: The frames have the times of a recording, which are no reason to change them.
    """

    def __init__(
        self,
        client: redis.Redis,
        camera: str,
        *,
        quality: int,
        max_age: float,
        max_bytes: int,
        keep: bool,
        capture: str = "",
        own_times: bool = False,
    ) -> None:
        self.last: Captured | None = None
        self._client = client
        self._key = schema.frames_key(camera)
        self._scene_key = schema.scene_key(camera)
        self._capture = capture
        self._quality = quality
        self._max_age_ms = round(max_age * 1000)
        self._max_bytes = max_bytes
        self._keep = keep
        self._own_times = own_times
        self._count = 0
        self._last_ts = 0
        self._sizes: deque[int] = deque()
        self._size = 0
        self._full = False
        self._oldest_allowed: str | None = None
        self._unconfirmed: tuple[int, int] | None = None
        self._finder = PeopleFinder(client, camera)
        self._resume()

    @property
    def count(self) -> int:
        """Number of the last frame."""
        return self._count

    def send(self, captured: Captured, *, not_answered: list[str]) -> tuple[str, int]:
        """Append a frame and trim the stream; returns its entry id and its encoded size.

        Where the server is full, the older half of the stream makes room for the frame.

        Args:
            captured: The frame. No two frames get the same time, unless the clock went back by more than
                CLOCK_STEP_MS, or the times are those of a recording.
            not_answered: Entry ids, oldest first, that must stay however old and large they are.

        Raises:
            ServerFullError: that was not enough.
            SceneError: the scene cannot be read, so that nobody knows what must be masked.
        """
        ts_ms = self._time_of(captured)
        fields: dict[str, Any] = {schema.COUNT: self._count + 1, schema.TS: ts_ms}
        if self._keep:
            fields[schema.KEEP] = 1
        if self._capture:
            fields[schema.CAPTURE] = self._capture
        if self._own_times:
            fields[schema.CAPTURED] = captured.read_ms
        self._unconfirmed = (self._count + 1, ts_ms)
        try:
            entry_id, size = self._append(captured, fields, not_answered)
        except redis.exceptions.OutOfMemoryError:
            self._make_room(not_answered)
            try:
                entry_id, size = self._append(captured, fields, not_answered)
            except redis.exceptions.OutOfMemoryError as error:
                raise ServerFullError(
                    f"Redis has no room for a frame of {self._key}: give it more memory "
                    "(REDEDGE_MAX_MEMORY, or maxmemory of your own server), delete what is not needed, or bound the "
                    "cameras' streams (--max-bytes)"
                ) from error
        self._confirm()
        return entry_id, size

    def _content(self, connection: Any, captured: Captured) -> dict[str, Any]:
        """The frame's image as JPEG, masked, or what was found in it. The scene is watched from now on."""
        watching = replies_to(connection, [("WATCH", self._scene_key), ("GET", self._scene_key)])
        try:
            check(watching)
        except redis.ResponseError:
            replies_to(connection, [("UNWATCH",)])
            raise
        scene = _parsed(self._scene_key, watching[1])
        image = captured.image
        if scene.masks:
            image = masked(decode_image(image, f"a frame of {self._key}"), scene.masks)
        self.last = captured._replace(image=image)
        if scene.boxes_only:
            return dict(self._finder.find(image).as_fields())
        jpeg = image if isinstance(image, bytes) else encode_jpeg(image, quality=self._quality)
        self.last = captured._replace(image=jpeg)
        return {schema.IMAGE: jpeg}

    def find_unconfirmed(self) -> tuple[str, int] | None:
        """Entry id and size of the frame that the last `send` got no reply for, if the server has it."""
        if self._unconfirmed is None:
            return None
        for entry_id, fields in streams.entries(self._client, self._key, count=_LOOKED_AT, newest_first=True):
            if (streams.number(fields, schema.COUNT, 0), streams.number(fields, schema.TS, 0)) == self._unconfirmed:
                self._confirm()
                return entry_id, _size_of(fields)
        return None

    def _time_of(self, captured: Captured) -> int:
        went_back = self._last_ts - captured.ts_ms > CLOCK_STEP_MS
        if self._own_times or went_back:
            return captured.ts_ms
        return max(captured.ts_ms, self._last_ts + 1)

    def _confirm(self) -> None:
        if self._unconfirmed is not None:
            self._count, self._last_ts = self._unconfirmed
            self._unconfirmed = None

    def _append(self, captured: Captured, fields: dict[str, Any], not_answered: list[str]) -> tuple[str, int]:
        replies, size = None, 0
        with connection_of(self._client) as connection:
            while replies is None:  # somebody has changed the scene meanwhile
                content = self._content(connection, captured)
                size = _size_of(content)
                replies = self._add(connection, fields | content, size, not_answered)
        added, entries, *_ = replies
        entry_id: str = added.decode()
        self._note_entries_of_others(entries, size)
        # The age comes from the clock of the server, which entry ids carry.
        self._oldest_allowed = f"{max(0, streams.time_ms(entry_id) - self._max_age_ms)}-0"
        return entry_id, size

    def _add(self, connection: Any, fields: dict[str, Any], size: int, not_answered: list[str]) -> list[Any] | None:
        """Add an entry of a size unless the scene has changed since it was read; None if it has."""
        self._note_size(size)
        # Only a full stream is cut by length: it may hold frames of other clients that are not counted yet.
        longest = max(len(self._sizes), len(not_answered) + 1) if self._full else None
        cut = () if longest is None else ("MAXLEN", longest)
        commands: list[CommandArgs] = [
            ("XADD", self._key, *cut, "*", *chain.from_iterable(fields.items())),
            ("XLEN", self._key),
        ]
        if self._oldest_allowed is not None:
            oldest = min([self._oldest_allowed, *not_answered[:1]], key=streams.id_order)
            commands.append(("XTRIM", self._key, "MINID", "~", oldest))
        replies: list[Any] | None = None
        try:
            *queued, replies = replies_to(connection, in_transaction(commands))
            check([*queued, replies])
        finally:
            if not isinstance(replies, list):
                self._size -= self._sizes.pop()
        return replies

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
        # the times of a recording say nothing about the clock
        if schema.CAPTURED.encode() not in fields:
            self._last_ts = streams.number(fields, schema.TS, 0)
        self._note_entries_of_others(self._client.xlen(self._key), _size_of(fields))

    def _note_entries_of_others(self, entries: int, size: int) -> None:
        """Count the other entries of the stream as if every frame were of this size."""
        for _ in range(min(entries - len(self._sizes), self._max_bytes // (size + _ENTRY_OVERHEAD) + 1)):
            self._note_size(size)

    def _note_size(self, size: int) -> None:
        self._sizes.append(size + _ENTRY_OVERHEAD)
        self._size += self._sizes[-1]
        while self._size > self._max_bytes and len(self._sizes) > 1:
            self._size -= self._sizes.popleft()
            self._full = True


_parsed = lru_cache(64)(scene_of)
"""The scene of a text, which is the same for most frames."""


def _size_of(fields: Mapping[Any, Any]) -> int:
    """Bytes of an entry's image, or of what was found in it."""
    for name in (schema.IMAGE, FOUND):
        content = fields.get(name, fields.get(name.encode()))
        if content is not None:
            return len(content)
    return 0


class Sender:
    """Sends frames while the server is full, or the scene cannot be read: it leaves them out, or waits with those that
    must not be lost.

    Args:
        producer: Sends them.
        must_not_lose: Wait until there is room.
        timeout: Seconds to wait.
        stop: Ends the waiting.
        on_problem: Called with what is wrong, and with None when it is over.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        must_not_lose: bool,
        timeout: float,
        stop: threading.Event,
        on_problem: Callable[[str | None], None],
    ) -> None:
        self._producer = producer
        self._on_problem = on_problem
        self._must_not_lose = must_not_lose
        self._timeout = timeout
        self._stop = stop
        self._waiting_since: float | None = None

    def send(self, captured: Captured, *, not_answered: list[str]) -> tuple[str, int] | None:
        """As `Producer.send`; None for a frame that was left out.

        Raises:
            ServerFullError: there was no room for `timeout` seconds.
            SceneError: the scene could not be read for `timeout` seconds.
        """
        while True:
            try:
                sent = self._producer.send(captured, not_answered=not_answered)
            except (ServerFullError, SceneError) as error:
                now = time.monotonic()
                if self._waiting_since is None:
                    self._waiting_since = now
                    logger.warning("no frame is sent: %s", error)
                    self._on_problem(f"no frame is sent: {error}")
                if self._must_not_lose and now - self._waiting_since >= self._timeout:
                    raise
                if not self._must_not_lose or self._stop.wait(_FULL_INTERVAL):
                    return None
            else:
                if self._waiting_since is not None:
                    logger.warning("frames are sent again, after %.1f s", time.monotonic() - self._waiting_since)
                    self._on_problem(None)
                self._waiting_since = None
                return sent
