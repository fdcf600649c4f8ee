"""Drawing detections and texts on images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.display.colors import track_color
from rededge_nb.images import Image
from rededge_nb.reading.detections import Detections
from rededge_nb.reading.trails import Trail

Color = tuple[int, int, int]
"""Blue, green, red, each 0 to 255."""

BOX_COLOR: Color = (60, 220, 255)
"""A warm yellow, which colour-blind viewers can distinguish from streets and trees."""
_DARK: Color = (28, 22, 18)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_REFERENCE_HEIGHT = 576

_Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def draw_detections(
    image: Image,
    detections: Detections,
    *,
    trails: Sequence[Trail] = (),
    color: Color = BOX_COLOR,
    confidence: bool = True,
    people: bool = True,
) -> Image:
    """Return a copy of the image with boxes, their labels, and the number of people.

    Boxes of people who are tracked have the colour of the track.

    Args:
        image: uint8 of shape (height, width, 3), BGR.
        detections: The detections of this image.
        trails: Where the person in each box has walked, from `Camera.trails`; none are drawn if it is empty.
        color: Colour of boxes without a track.
        confidence: Whether each box has a label with its track and its confidence in percent.
        people: Whether the number of people is written in the corner.
    """
    count = detections.counted.amount(detections.people)
    tracks = detections.tracks
    colors = [color] * len(detections) if tracks is None else [_bgr(track_color(int(track))) for track in tracks]
    ground = _draw_trails(image, trails, colors) if any(map(len, trails)) else image
    texts = [_text(detections, index) if confidence else "" for index in range(len(detections))]
    return _draw_boxes(ground, detections.xyxy, texts, colors, count if people else "", color)


def draw_boxes(
    image: Image,
    xyxy: NDArray[np.floating],
    confidence: NDArray[np.floating] | None = None,
    *,
    color: Color = BOX_COLOR,
    caption: str = "",
) -> Image:
    """Return a copy of the image with boxes.

    Args:
        image: uint8 of shape (height, width, 3), BGR.
        xyxy: Shape (n, 4): left, top, right, bottom in pixels of the image.
        confidence: Shape (n,), 0 to 1; written in percent at each box, except for NaN.
        color: Colour of boxes and labels.
        caption: Text in the upper left corner.
    """
    texts = [""] * len(xyxy) if confidence is None else [_percent(value) for value in confidence]
    return _draw_boxes(image, xyxy, texts, [color] * len(xyxy), caption, color)


def _draw_boxes(
    image: Image,
    xyxy: NDArray[np.floating],
    texts: Sequence[str],
    colors: Sequence[Color],
    caption: str,
    caption_color: Color,
) -> Image:
    drawn = np.ascontiguousarray(image).copy()
    scale = max(0.4, min(drawn.shape[:2]) / _REFERENCE_HEIGHT)
    line = max(1, round(2.6 * scale))
    corners = [tuple(round(float(value)) for value in box) for box in xyxy]
    for left, top, right, bottom in corners:
        # a dark line around the bright one keeps it visible on any background
        cv2.rectangle(drawn, (left, top), (right, bottom), _DARK, line + 2 * max(1, line // 2))
    for (left, top, right, bottom), color in zip(corners, colors, strict=True):
        cv2.rectangle(drawn, (left, top), (right, bottom), color, line)
    placed: list[_Rectangle] = []
    for (left, top, _, bottom), text, color in zip(corners, texts, colors, strict=True):
        if text:
            wide, high = _label_size(text, 0.42 * scale)
            left = min(max(0, left), max(0, drawn.shape[1] - wide))
            places = [(left, each, left + wide, each + high) for each in (top - high, top, bottom, bottom - high)]
            # where it covers no other label, if there is such a place; player_boxes.js does the same
            inside = [each for each in places if each[1] >= 0 and each[3] <= drawn.shape[0]] or places[:1]
            placed.append(
                next((each for each in inside if not any(_overlap(each, other) for other in placed)), inside[0])
            )
            _label(drawn, text, placed[-1][:2], scale=0.42 * scale, back=color, ink=_DARK, below=True)
    if caption:
        margin = round(12 * scale)
        _label(drawn, caption, (margin, margin), scale=0.8 * scale, back=_DARK, ink=caption_color, below=True)
    return drawn


def _draw_trails(image: Image, trails: Sequence[Trail], colors: Sequence[Color]) -> Image:
    drawn = np.ascontiguousarray(image).copy()
    width = max(1, round(2.2 * max(0.4, min(drawn.shape[:2]) / _REFERENCE_HEIGHT)))
    for ink, wide in ((None, width + 2), (colors, width)):
        for index, trail in enumerate(trails):
            points = [np.rint(trail).astype(np.int32).reshape(-1, 1, 2)]
            cv2.polylines(drawn, points, False, _DARK if ink is None else ink[index], wide, cv2.LINE_AA)
    return drawn


def _text(detections: Detections, index: int) -> str:
    """What the label of a box says: the track, and the confidence unless the person is not seen at the moment."""
    percent = _percent(detections.confidence[index])
    if detections.tracks is None:
        return percent
    return f"#{detections.tracks[index]} {percent}".strip() if percent != "0%" else f"#{detections.tracks[index]}"


def _percent(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.0%}"


def _bgr(color: str) -> Color:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return blue, green, red


def without_colour(image: Image) -> Image:
    """Return the image in gray and darker: one that does not show the present."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cast(Image, cv2.cvtColor(gray // 5 * 3, cv2.COLOR_GRAY2BGR))


def draw_notice(image: Image, text: str) -> Image:
    """Return a copy of the image with a line of text at its lower edge; it is made small enough to fit.

    Args:
        image: uint8 of shape (height, width, 3), BGR.
        text: ASCII text.
    """
    drawn = np.ascontiguousarray(image).copy()
    scale = max(0.4, min(drawn.shape[:2]) / _REFERENCE_HEIGHT)
    margin = round(12 * scale)
    room = drawn.shape[1] - 4 * margin
    letters = 0.6 * scale
    wide = cv2.getTextSize(text, _FONT, letters, 1)[0][0]
    letters *= min(1.0, max(1, room) / max(1, wide))
    _label(drawn, text, (margin, drawn.shape[0] - margin), scale=letters, back=_DARK, ink=(255, 255, 255))
    return drawn


def _label(
    image: Image, text: str, corner: tuple[int, int], *, scale: float, back: Color, ink: Color, below: bool = False
) -> None:
    """Draw text on a filled rectangle: above `corner` if there is space, or `below` it; always inside the image."""
    wide, high = _label_size(text, scale)
    left = min(max(0, corner[0]), max(0, image.shape[1] - wide))
    top = corner[1] if below or corner[1] < high else corner[1] - high
    top = min(max(0, top), max(0, image.shape[0] - high))
    cv2.rectangle(image, (left, top), (left + wide, top + high), back, cv2.FILLED)
    (_, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    pad = _padding(scale)
    cv2.putText(image, text, (left + pad, top + pad // 2 + height), _FONT, scale, ink, 1, cv2.LINE_AA)


def _label_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height of a label in pixels."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    return width + 2 * _padding(scale), height + baseline + _padding(scale)


def _padding(scale: float) -> int:
    return max(2, round(6 * scale))


def _overlap(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
