"""Frames and detections as a capture and the gear write them, with times that the test chooses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import cv2
import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.images import encode_jpeg


def add_frame(
    client: redis.Redis, ts_ms: int, *, id_ms: int | None = None, size_wh: tuple[int, int] = (160, 120), level: int = 90
) -> str:
    """Add a frame of one brightness; returns its entry id."""
    width, height = size_wh
    image = np.full((height, width, 3), level, np.uint8)
    entry_id = f"{ts_ms if id_ms is None else id_ms}-0"
    fields = {schema.COUNT: "1", schema.TS: str(ts_ms), schema.IMAGE: encode_jpeg(image, quality=90)}
    client.xadd(schema.frames_key("0"), fields, id=entry_id)  # type: ignore[arg-type]
    return entry_id


def add_boxes(client: redis.Redis, ref: str, ts_ms: int, boxes: Sequence[Sequence[float]]) -> None:
    """Add the detections of a frame, one track for each box."""
    flat = [value for box in boxes for value in box]
    fields = {
        schema.REF: ref,
        schema.TS: str(ts_ms),
        schema.BOXES: json.dumps(flat),
        schema.PEOPLE: str(len(boxes)),
        schema.CONFIDENCE: json.dumps([0.9] * len(boxes)),
        schema.TRACKS: json.dumps(list(range(1, len(boxes) + 1))),
    }
    client.xadd(schema.detections_key("0"), fields, id=f"{int(ref.split('-')[0]) + 30}-0")  # type: ignore[arg-type]


def colourful(image: np.ndarray) -> int:
    """Number of pixels that are not gray: of boxes, since the frames are gray."""
    channels = cv2.split(image.astype(np.int16))
    spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    return int((spread > 60).sum())


def add_event(client: redis.Redis, **fields: str | int) -> str:
    """Add an event of camera 0; returns its entry id."""
    added = client.xadd(schema.events_key("0"), {"severity": "alarm", **fields})  # type: ignore[arg-type]
    return bytes(added).decode()  # type: ignore[arg-type]
