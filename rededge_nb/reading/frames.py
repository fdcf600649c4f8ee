"""Read a camera's frames, and the errors of frames that could not be processed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.boxes_only import SIZE, frame_size
from rededge_nb.edge.client import blocking_client, server_errors
from rededge_nb.errors import NoDataError, SourceError
from rededge_nb.image_headers import image_size_wh
from rededge_nb.images import Image, check_size, decode_image, encode_jpeg
from rededge_nb.streams import Entry

_GREY: Final = 112
"""Brightness of the plane on which boxes are drawn where there is no image."""


@dataclass(frozen=True)
class Frame:
    """One frame of a camera.

    Attributes:
        camera: Camera id.
        entry_id: Entry id in the stream of frames.
        frame_index: Number of the frame in its capture, from 1.
        ts_ms: Capture time, milliseconds since the epoch; without one, the time of the entry.
        jpeg: The encoded image: JPEG, unless the producer sends another format.
        stored: Whether it is the image of the frame. If no image of the camera is stored, it is one on which boxes can
            be drawn: the camera's still image, or a grey plane of the frame's size.
        capture: Id of the capture that added the frame; empty if it has none.
        read_ms: When the frame was read from its recording; None where `ts_ms` is the time of its capture.
    """

    camera: str
    entry_id: str
    frame_index: int
    ts_ms: int
    jpeg: bytes = field(repr=False)
    stored: bool = True
    capture: str = ""
    read_ms: int | None = None

    @property
    def time(self) -> np.datetime64:
        """Capture time, UTC."""
        return np.datetime64(self.ts_ms, "ms")

    def image(self) -> Image:
        """Decode the image: uint8 of shape (height, width, 3), BGR.

        Raises:
            SourceError: it cannot be decoded, or has too many pixels.
        """
        size_wh = image_size_wh(self.jpeg)
        if size_wh is not None:
            check_size(size_wh, f"frame {self.entry_id} of camera {self.camera}")
            image: Image | None = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                return image
        raise SourceError(
            f"the image of frame {self.entry_id} of camera {self.camera} cannot be decoded "
            f"({len(self.jpeg)} bytes): check the producer of {schema.frames_key(self.camera)}; "
            "it should send JPEG, PNG, BMP or WebP"
        )

    def __repr__(self) -> str:
        image = f"{len(self.jpeg) / 1000:.1f} kB" if self.stored else "boxes only"
        return f"<Frame {self.entry_id} of camera {self.camera}: number {self.frame_index}, {image}, {self.time} UTC>"


@dataclass(frozen=True)
class FailedFrame:
    """A frame that could not be processed.

    Attributes:
        camera: Camera id.
        entry_id: Entry id in the stream of errors.
        ref: Entry id of the frame.
        ts_ms: Capture time, milliseconds since the epoch; without one, the time of the error.
        reason: Why it could not be processed.
    """

    camera: str
    entry_id: str
    ref: str
    ts_ms: int
    reason: str

    def __repr__(self) -> str:
        return f"<FailedFrame {self.ref} of camera {self.camera}: {self.reason}>"


def read_frame(client: redis.Redis, camera: object, entry_id: str) -> Frame:
    """Return the frame with this entry id.

    Raises:
        NoDataError: it is not in the stream, or not any more.
        SourceError: the entry has no image.
    """
    key = schema.frames_key(camera)
    found = streams.entries(client, key, start=entry_id, end=entry_id) if streams.is_id(entry_id) else []
    if not found:
        raise NoDataError(
            f"{key} has no frame {entry_id[:60]}: old frames leave the stream; "
            f"use a newer one (`wb.camera({schema.camera_id(camera)!r}).latest()`)"
        )
    return frame_of(client, schema.camera_id(camera), found[0])


def latest_frame(client: redis.Redis, camera: object) -> Frame:
    """Return the newest frame.

    Raises:
        NoDataError: there are no frames.
        SourceError: the entry has no image.
    """
    key = schema.frames_key(camera)
    found = streams.entries(client, key, count=1, newest_first=True)
    if not found:
        raise NoDataError(f"{key} has no frames: start a capture (`rededge capture SOURCE --camera {camera}`)")
    return frame_of(client, schema.camera_id(camera), found[0])


def newest_frame_ms(client: redis.Redis, camera: object) -> int | None:
    """When the newest frame was added by the server's clock, in milliseconds since the epoch; None without a stream."""
    try:
        with server_errors(client):
            found: Any = client.xinfo_stream(schema.frames_key(camera))
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None
    return streams.time_ms(found["last-generated-id"].decode())


def next_frame_arrives(client: redis.Redis, camera: object, *, seconds: float = 2.0) -> bool:
    """Whether a frame is added to the camera's stream within the next seconds: a capture feeds it now."""
    after = {schema.frames_key(camera): "$"}
    with blocking_client(client) as own:
        return bool(streams.new_entries(own, after, block_ms=round(seconds * 1000)))


def read_errors(
    client: redis.Redis, camera: object, *, start: str = "-", end: str = "+", count: int | None = None
) -> list[FailedFrame]:
    """Return the errors of frames that could not be processed, oldest first."""
    name = schema.camera_id(camera)
    return [
        FailedFrame(
            camera=name,
            entry_id=entry_id,
            ref=fields.get(schema.REF.encode(), b"").decode(errors="replace"),
            ts_ms=streams.number(fields, schema.TS, streams.time_ms(entry_id)),
            reason=fields.get(schema.REASON.encode(), b"no reason given").decode(errors="replace"),
        )
        for entry_id, fields in streams.entries(client, schema.errors_key(camera), start=start, end=end, count=count)
    ]


def frame_of(client: redis.Redis, camera: str, entry: Entry) -> Frame:
    """The frame of an entry of the camera's frame stream, on the camera's still image if it has none of its own.

    Raises:
        SourceError: the entry has neither an image nor boxes in place of it.
    """
    still: Any = None if schema.IMAGE.encode() in entry[1] else client.get(schema.still_key(camera))
    return parse_frame(camera, entry, still=still)


def parse_frame(camera: str, entry: Entry, *, still: bytes | None = None) -> Frame:
    """Parse an entry of the camera's frame stream.

    Args:
        camera: Camera id.
        entry: The entry.
        still: The camera's still image, encoded, for an entry without image; None for a grey plane.

    Raises:
        SourceError: the entry has neither an image nor boxes in place of it.
    """
    entry_id, fields = entry
    jpeg, size = fields.get(schema.IMAGE.encode()), fields.get(SIZE.encode())
    stored = jpeg is not None
    if jpeg is None and size is not None:
        jpeg = _stand_in(size, still)
    if jpeg is None:
        raise SourceError(
            f"frame {entry_id} of camera {camera} has no field {schema.IMAGE!r} (it has {_names(fields)}): "
            f"check the producer of {schema.frames_key(camera)}"
        )
    return Frame(
        camera=camera,
        entry_id=entry_id,
        frame_index=streams.number(fields, schema.COUNT, 0),
        ts_ms=streams.number(fields, schema.TS, streams.time_ms(entry_id)),
        jpeg=jpeg,
        stored=stored,
        capture=fields.get(schema.CAPTURE.encode(), b"").decode(errors="replace"),
        read_ms=streams.number(fields, schema.CAPTURED, 0) or None,
    )


@lru_cache(8)
def _stand_in(size: bytes, still: bytes | None) -> bytes | None:
    """The still image, or a grey plane, in the size of the frame; None if that is no size."""
    try:
        size_wh = frame_size(size)
        check_size(size_wh, "a frame")
    except (ValueError, SourceError):
        return None
    image: Image = np.full((size_wh[1], size_wh[0], 3), _GREY, np.uint8)
    if still:
        # somebody else may have written the key; boxes on a grey plane are better than none
        with suppress(SourceError):
            image = np.asarray(cv2.resize(decode_image(still, "the still image"), size_wh), np.uint8)
    return encode_jpeg(image, quality=85)


def _names(fields: dict[bytes, bytes]) -> str:
    return ", ".join(name.decode(errors="replace") for name in fields) or "none"
