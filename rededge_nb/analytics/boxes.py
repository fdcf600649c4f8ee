"""Overlap of boxes, in plain floats."""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""`(x1, y1, x2, y2)`: top left and bottom right corner, in pixels of the frame."""


def buffered(box: Box, share: float) -> Box:
    """The box, larger by `share` of its width and height on each side.

    Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by Buffering the
    Matching Space" (C-BIoU), WACV 2023, https://arxiv.org/abs/2211.14317.
    """
    x1, y1, x2, y2 = box
    dx, dy = share * (x2 - x1), share * (y2 - y1)
    return (x1 - dx, y1 - dy, x2 + dx, y2 + dy)


def overlaps(first: Sequence[Box], second: Sequence[Box], least: float) -> list[tuple[int, int, float]]:
    """Pairs of boxes with an intersection over union of `least` or more.

    Args:
        first: Boxes.
        second: Boxes that they are compared with.
        least: More than 0.

    Returns:
        `(index in first, index in second, intersection over union)` for each pair.
    """
    # sorted by the left side, so that the search for one box ends at the first one that starts right of it
    others = sorted((x1, y1, x2, y2, (x2 - x1) * (y2 - y1), at) for at, (x1, y1, x2, y2) in enumerate(second))
    pairs = []
    for index, (ax1, ay1, ax2, ay2) in enumerate(first):
        area = (ax2 - ax1) * (ay2 - ay1)
        for bx1, by1, bx2, by2, other_area, at in others:
            if bx1 >= ax2:
                break
            if bx2 <= ax1 or by1 >= ay2 or by2 <= ay1:
                continue
            width = (ax2 if ax2 < bx2 else bx2) - (ax1 if ax1 > bx1 else bx1)
            height = (ay2 if ay2 < by2 else by2) - (ay1 if ay1 > by1 else by1)
            shared = width * height
            iou = shared / (area + other_area - shared)
            if iou >= least:
                pairs.append((index, at, iou))
    return pairs
