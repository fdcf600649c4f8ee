"""An estimate of how many different people there were, which also uses the colours of their clothes.

A person who is hidden for longer than the tracker's memory gets a new id when they come back, so the number of ids is
too high. Here a new person is compared with those who left a short time ago, by place and colours, and whoever looks
like one of them is not counted again. Ids do not change: many people wear the same colours, so some of these matches
are wrong, and on the sample video following them made the ids worse while the number of people became right.

The distance of colours is Hellinger's, as in Comaniciu, Ramesh and Meer, "Kernel-based object tracking", IEEE PAMI 25,
2003.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import hypot, sqrt
from typing import NamedTuple

from rededge_nb.analytics.assignment import assign
from rededge_nb.analytics.detections import Colours
from rededge_nb.analytics.track import Track
from rededge_nb.analytics.tracker_settings import ColourSettings


class Gone(NamedTuple):
    """A person who left.

    Attributes:
        last_ms: Time of the last detection.
        x: Middle of the box's lower edge at that time, in pixels of the frame.
        y: The same from top to bottom.
        height: Height of the box, in pixels.
        colours: Average of their colours.
    """

    last_ms: int
    x: float
    y: float
    height: float
    colours: Colours


def hellinger_distance(first: Colours, second: Colours) -> float:
    """0 for the same shares of colours, 1 for shares that have nothing in common."""
    return sqrt(max(0.0, 1.0 - sum(sqrt(one * other) for one, other in zip(first, second, strict=True))))


def count_returned(new: Sequence[Track], lost: Iterable[Track], gone: list[Gone], settings: ColourSettings) -> int:
    """How many new people look like somebody who left before they came.

    Each person is taken once: a lost track is marked as rejoined, and somebody who is gone is removed from the list.

    Args:
        new: Tracks that were confirmed in this frame.
        lost: Confirmed tracks that may still be found again, but were not detected in this frame.
        gone: People whose tracks are finished.
        settings: What counts as alike.
    """
    tracks = [track for track in lost if track.colours is not None and not track.rejoined]
    people = [gone_from(track) for track in tracks] + gone
    edges = []
    for row, track in enumerate(new):
        for column, person in enumerate(people):
            if track.colours is not None and _may_be(track, person, settings):
                distance = hellinger_distance(track.colours, person.colours)
                if distance < settings.distance_most:
                    edges.append((row, column, 1.0 - distance))
    taken = {column for _, column in assign(edges)}
    for column in taken:
        if column < len(tracks):
            tracks[column].rejoined = True
    gone[:] = [person for column, person in enumerate(people) if column >= len(tracks) and column not in taken]
    return len(taken)


def gone_from(track: Track) -> Gone:
    """What is remembered of a person, for a track that has colours."""
    height = track.height()
    return Gone(track.last_ms, track.last_x, track.last_y + height / 2, height, track.colours or ())


def _may_be(track: Track, person: Gone, settings: ColourSettings) -> bool:
    """Whether the person can have come to where the new track is, in the time."""
    seconds = (track.first_ms - person.last_ms) / 1000
    if not 0 < seconds <= settings.memory_s:
        return False
    height = track.height()
    if not 1 / settings.height_ratio_most < height / person.height < settings.height_ratio_most:
        return False
    distance = hypot(track.last_x - person.x, track.last_y + height / 2 - person.y)
    return distance <= settings.reach * (height + person.height) / 2 * min(1 + seconds, 3.0)
