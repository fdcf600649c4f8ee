"""The detections of one frame, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rededge_nb.analytics.boxes import Box
from rededge_nb.errors import ConfigurationError

Colours = Sequence[float]
"""Shares of `COLOURS` colours, which add up to 1: see `rededge_nb.analytics.colours`."""

COLOURS = 24
"""The number of different colours: 12 of the upper and 12 of the lower half of the body."""

FAR = 1e6
"""No coordinate of a box is that large."""


class Detection(NamedTuple):
    """A box that the model found.

    Attributes:
        box: In pixels of the frame.
        confidence: 0 to 1.
        colours: Colours of the clothes, where they are compared.
    """

    box: Box
    confidence: float
    colours: Colours | None = None


def checked_detections(
    boxes: Iterable[Sequence[float]], colours: Sequence[Colours | None] | None = None
) -> list[Detection]:
    """The detections of a frame, without boxes that have no area.

    Args:
        boxes: `(x1, y1, x2, y2, confidence)` for each detection.
        colours: Colours for each detection, None for those without.

    Raises:
        ConfigurationError: A coordinate is not finite or very large, a confidence is not from 0 to 1, or there
            are too many or too few numbers.
    """
    rows = list(boxes)
    if colours is None:
        colours = [None] * len(rows)
    elif len(colours) != len(rows):
        raise ConfigurationError(f"there are {len(colours)} colours for {len(rows)} boxes: one for each is needed")
    detections = []
    for index, (row, its_colours) in enumerate(zip(rows, colours, strict=True)):
        if len(row) != 5:
            raise ConfigurationError(f"box {index} has {len(row)} numbers: x1, y1, x2, y2 and confidence are needed")
        x1, y1, x2, y2, confidence = map(float, row)
        if not (-FAR < x1 < FAR and -FAR < y1 < FAR and -FAR < x2 < FAR and -FAR < y2 < FAR):
            raise ConfigurationError(f"box {index} is {(x1, y1, x2, y2)}: pixels of the frame are needed")
        if not 0 <= confidence <= 1:
            raise ConfigurationError(f"the confidence of box {index} is {confidence}: a number from 0 to 1 is needed")
        if x2 > x1 and y2 > y1:
            shares = None if its_colours is None else _checked_colours(its_colours, index)
            detections.append(Detection((x1, y1, x2, y2), confidence, shares))
    return detections


def _checked_colours(colours: Colours, index: int) -> Colours:
    if len(colours) != COLOURS:
        raise ConfigurationError(f"box {index} has {len(colours)} colours: {COLOURS} are needed")
    shares = [round(float(share), 4) for share in colours]
    if not all(0 <= share <= 1 for share in shares):
        raise ConfigurationError(f"the colours of box {index} are {shares}: shares from 0 to 1 are needed")
    return shares
