"""Appending frames to a camera's stream, and hearing what the gear says to them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, cast

import cv2
import redis

from rededge_nb import schema, streams
from rededge_nb.errors import SourceError, WaitTimeoutError
from rededge_nb.sources import Picture, Taken

_ENTRY_OVERHEAD = 160
"""Bytes that Redis holds for an entry besides its image."""


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
        self._resume()

    def send(self, taken: Taken, *, not_answered: list[str]) -> tuple[str, int]:
        """Append a picture and trim the stream; returns its entry id and its encoded size.

        Args:
            taken: An image, or JPEG bytes, and when it was taken: no two frames get the same time.
            not_answered: Entry ids, oldest first, that must stay however old and large they are.
        """
        self._last_ts = max(taken.ts_ms, self._last_ts + 1)
        self._count += 1
        picture: Picture = taken.picture
        image = picture if isinstance(picture, bytes) else encode_jpeg(picture, quality=self._quality)
        fields: dict[str, Any] = {schema.COUNT: self._count, schema.TS: self._last_ts, schema.IMAGE: image}
        if self._keep:
            fields[schema.KEEP] = 1
        self._note_size(len(image))
        # Only a full stream is cut by length: it may hold frames of other captures that are not counted yet.
        longest = max(len(self._sizes), len(not_answered) + 1) if self._full else None
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xadd(self._key, cast(Any, fields), maxlen=longest, approximate=False)
        pipeline.xlen(self._key)
        if self._oldest_allowed is not None:
            pipeline.xtrim(self._key, minid=min([self._oldest_allowed, *not_answered[:1]], key=streams.id_order))
        entry_id, entries, *_ = pipeline.execute()
        entry_id = entry_id.decode()
        self._note_entries_of_others(entries, len(image))
        # The age is told by the server's clock, which entry ids carry.
        self._oldest_allowed = f"{max(0, streams.time_ms(entry_id) - self._max_age_ms)}-0"
        return entry_id, len(image)

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


class Answers:
    """Which frames the gear has not answered yet, neither with a detection entry nor with an error entry."""

    def __init__(self, client: redis.Redis, camera: str, *, stall_timeout: float) -> None:
        self._client = client
        self._camera = camera
        self._frames = schema.frames_key(camera)
        self._stall_timeout = stall_timeout
        self._waiting: dict[str, None] = {}
        self._heard = time.monotonic()
        keys = (schema.detections_key(camera), schema.errors_key(camera))
        self._seen = {key: streams.last_id(client, key) for key in keys}

    @property
    def waiting(self) -> list[str]:
        """Entry ids of the frames without answer, oldest first."""
        return list(self._waiting)

    def expect(self, entry_id: str) -> None:
        """Note a frame that was sent."""
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting[entry_id] = None

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


def encode_jpeg(image: Any, *, quality: int) -> bytes:
    """Encode an image.

    Raises:
        SourceError: it has a size or type that JPEG cannot hold.
    """
    try:
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise SourceError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be a JPEG: {error}"
        ) from error
    if not ok:
        raise SourceError(f"an image of shape {image.shape} and type {image.dtype} cannot be encoded as JPEG")
    return bytes(data)
