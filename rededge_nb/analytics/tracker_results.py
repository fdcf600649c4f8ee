"""What the tracker says about a frame."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.paths import PathPoint

Restart = Literal["order", "pause", "frame size"]
"""Why tracking started again: the frame is older than the one before; the pause was longer than the memory; the frame
has another aspect ratio."""


class Person(NamedTuple):
    """A person in a frame.

    Attributes:
        id: Never given to anybody else by this tracker.
        box: In pixels of the frame, smoothed; may reach over the rim.
        confidence: The detection's; 0 for a person who was not detected in this frame and is shown where they are
            expected.
        first_ms: Time of the first detection, in milliseconds.
    """

    id: int
    box: Box
    confidence: float
    first_ms: int


class FinishedTrack(NamedTuple):
    """A person who is gone.

    Attributes:
        id: The person's id.
        first_ms: Time of the first detection, in milliseconds.
        last_ms: Time of the last detection.
        path: Where the person stood: the middle of the box's lower edge, simplified (see `paths`).
    """

    id: int
    first_ms: int
    last_ms: int
    path: tuple[PathPoint, ...]


class FrameResult(NamedTuple):
    """What a frame says about people.

    Attributes:
        people: Everybody who is counted in this frame, those missed for a moment included.
        seen: Ids of the people who were seen for the first time. An id is given when a person is confirmed, which is
            some frames after `first_ms`.
        different: How many of them, judged by their colours, were not here a short time ago; one more for each person
            who comes back after somebody else was taken for them. None without the estimate.
        finished: Tracks that ended, because the person was not detected for longer than the memory, or because of a
            restart.
        restarted: Why tracking started again in this frame; None if it did not.
    """

    people: tuple[Person, ...]
    seen: tuple[int, ...]
    different: int | None
    finished: tuple[FinishedTrack, ...]
    restarted: Restart | None
