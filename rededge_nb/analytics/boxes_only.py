"""Cameras of which no image is stored (`boxes_only` in their scene): what the capture sends in place of the image.

The capture runs the model itself. Its entry has these fields instead of `image`; the gear reads them, and does all
else: tracking, lines, zones, series. Pixels never leave the process of the capture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.counted import CLASS, PEOPLE, PLURAL, Counted, counted_of
from rededge_nb.analytics.scene import parse_scene
from rededge_nb.errors import SceneError

FOUND, SIZE, MODEL, DETECTED, STEPS, COLOURS = "found", "size", "model", "detected", "steps", "colours"
"""Fields of a frame's entry that has no image."""
_MOST_BOXES = 10_000
_CAMERAS = 64


@dataclass(frozen=True)
class FoundPeople:
    """What a capture has found in a frame.

    Attributes:
        found: Shape (n, 5): x1, y1, x2, y2 in pixels of the frame, and confidence.
        frame_wh: Width and height of the frame in pixels.
        model: Key of the model.
        detected: How many of the boxes have at least the confidence of the gear's settings.
        steps: Milliseconds by step: read, resize, model, script, boxes.
        counted: What the boxes are of.
        colours: For each box the shares of colours, if the gear's settings ask for them; see `colour_shares`.
    """

    found: NDArray[np.float32]
    frame_wh: tuple[int, int]
    model: str
    detected: int
    steps: Mapping[str, float]
    counted: Counted = PEOPLE
    colours: Sequence[Sequence[float] | None] | None = None

    def as_fields(self) -> dict[str, str | int]:
        """The fields of the frame's entry."""
        fields: dict[str, str | int] = {
            FOUND: json.dumps([[round(float(value), 3) for value in row] for row in self.found]),
            SIZE: f"{self.frame_wh[0]}x{self.frame_wh[1]}",
            MODEL: self.model,
            DETECTED: self.detected,
            STEPS: json.dumps({step: round(ms, 3) for step, ms in self.steps.items()}),
            **self.counted.fields,
        }
        return fields if self.colours is None else fields | {COLOURS: json.dumps(self.colours)}


def found_people(fields: Mapping[str, Any]) -> FoundPeople:
    """What `as_fields` wrote.

    Args:
        fields: Of a frame's entry, texts or bytes.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = np.array(json.loads(fields[FOUND]), np.float32).reshape(-1, 5)
        steps = {str(step): float(ms) for step, ms in json.loads(fields[STEPS]).items()}
        colours = json.loads(fields[COLOURS]) if COLOURS in fields else None
        size_wh, model = frame_size(fields[SIZE]), _text(fields[MODEL])
        counted = counted_of({name: _text(fields[name]) for name in (CLASS, PLURAL) if name in fields})
        people = FoundPeople(found, size_wh, model, int(fields[DETECTED]), steps, counted, colours)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"the field {FOUND} or one of those with it is damaged: {error}") from None
    if not np.isfinite(found).all() or len(found) > _MOST_BOXES or (colours is not None and len(colours) != len(found)):
        raise ValueError(f"the field {FOUND} has boxes that no capture sends")
    return people


def frame_size(text: str | bytes) -> tuple[int, int]:
    """Width and height from a text such as `768x576`.

    Raises:
        ValueError: it is something else.
    """
    width, height = map(int, _text(text).split("x"))
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise ValueError(f"a frame of {width}x{height} pixels")
    return width, height


@lru_cache(_CAMERAS)
def is_boxes_only(scene: str | bytes | None) -> bool:
    """Whether no image of the camera may be stored, from the text of its scene."""
    if not scene:
        return False
    try:
        return parse_scene(scene).boxes_only
    except SceneError:
        return False


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
