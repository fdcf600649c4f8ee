"""Where a person is: the middle of the lower edge of the box."""

from __future__ import annotations

from typing import Final, NamedTuple

EDGE: Final = 0.02
"""What is nearer than this to an edge of the frame, as a part of its width or height, touches that edge.

Boxes of people who walk out of the frame end within 0.02 of it (sample video, boxes of the tracker).
"""


class Position(NamedTuple):
    """Where a person was seen, in pixels.

    Attributes:
        x: Middle of the lower edge of the box.
        y: The lower edge; y grows downwards and is at most the height of the frame.
        height: Height of the box.
        out_x: -1 if the box touches the left edge of the frame, 1 if it touches the right edge, 0 otherwise. A part of
            the person may be beyond that edge, so the true position is further out than the visible one.
        out_y: 1 if the box touches the lower edge of the frame, 0 otherwise.
        ts_ms: Time of the frame.
    """

    x: float
    y: float
    height: float
    out_x: int
    out_y: int
    ts_ms: int
