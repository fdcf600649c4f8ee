"""The tracker's state as data for JSON, and back.

A gear loads and saves the state with each frame. So the many numbers of a track are packed into bytes and written as
base64: that is exact, and several times faster and shorter than decimal numbers.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from rededge_nb.analytics.detections import COLOURS
from rededge_nb.analytics.kalman import Motion
from rededge_nb.analytics.paths import Path
from rededge_nb.analytics.rematch import Gone
from rededge_nb.analytics.track import Track
from rededge_nb.errors import TrackerStateError

FORMAT = 1
"""Number of the format. A state with another number is refused."""

_NUMBERS = struct.Struct("<16d")


@dataclass(slots=True)
class State:
    """All that a tracker remembers from one frame to the next.

    Attributes:
        next_id: The id that the next person gets.
        last_ms: Time of the last frame; None before the first.
        frame_wh: Size of the last frame in pixels.
        tracks: People, and what may become one.
        gone: People who left a short time ago, for the estimate of different people.
    """

    next_id: int = 1
    last_ms: int | None = None
    frame_wh: tuple[int, int] = (0, 0)
    tracks: list[Track] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)


def to_json(state: State) -> dict[str, Any]:
    """The state as numbers, lists and one dictionary, independent of the state from now on."""
    return {
        "format": FORMAT,
        "next_id": state.next_id,
        "last_ms": state.last_ms,
        "frame_wh": list(state.frame_wh),
        "tracks": [_track_to_json(track) for track in state.tracks],
        "gone": [[*each[:-1], list(each.colours)] for each in state.gone],
    }


def from_json(data: Any) -> State:
    """The state that `to_json` wrote.

    Raises:
        TrackerStateError: It is none, is damaged, or has another format.
    """
    if not isinstance(data, dict) or "format" not in data:
        raise TrackerStateError("this is not the state of a tracker: start with a new tracker")
    if data["format"] != FORMAT:
        raise TrackerStateError(
            f"the tracker's state has format {data['format']!r}, this version reads {FORMAT}: start with a new tracker"
        )
    try:
        return _state_from_json(data)
    except (KeyError, OverflowError, struct.error, TypeError, ValueError) as error:
        raise TrackerStateError(f"the tracker's state is damaged ({error}): start with a new tracker") from error


def _state_from_json(data: dict[str, Any]) -> State:
    next_id, last_ms = data["next_id"], data["last_ms"]
    width, height = data["frame_wh"]
    _check_whole(next_id, width, height, *(() if last_ms is None else (last_ms,)))
    tracks = [_track_from_json(row) for row in data["tracks"]]
    ids = [track.id for track in tracks if track.id]
    if len(set(ids)) < len(ids) or any(not 0 < each < next_id for each in ids):
        raise ValueError(f"the ids {ids} do not fit the next id {next_id}")
    if (tracks or data["gone"]) and last_ms is None:
        raise ValueError("there are tracks, and no time of the last frame")
    if last_ms is not None and min(width, height) < 2:
        raise ValueError(f"the frame's size is {width}x{height}")
    gone = [_gone_from_json(row) for row in data["gone"]]
    return State(next_id, last_ms, (width, height), tracks, gone)


def _track_to_json(track: Track) -> list[Any]:
    centre, size = track.centre, track.size
    numbers = _NUMBERS.pack(
        track.last_x, track.last_y,
        centre.x, centre.y, centre.vx, centre.vy, centre.pp, centre.pv, centre.vv,
        size.x, size.y, size.vx, size.vy, size.pp, size.pv, size.vv,
    )  # fmt: skip
    row = [track.id, track.first_ms, track.last_ms, track.detections, _text(numbers), _text(track.path.to_bytes())]
    return row if track.colours is None else [*row, list(track.colours), int(track.rejoined)]


def _track_from_json(row: Sequence[Any]) -> Track:
    number, first_ms, last_ms, detections, numbers, path, *estimate = row
    _check_whole(number, first_ms, last_ms, detections)
    last_x, last_y, *motions = _NUMBERS.unpack(a2b_base64(numbers, strict_mode=True))
    _check_finite(last_x, last_y, *motions)
    centre, size = Motion(*motions[:7]), Motion(*motions[7:])
    if min(centre.pp, centre.vv, size.pp, size.vv) < 0:
        raise ValueError("a variance is negative")
    steps = Path.from_bytes(a2b_base64(path, strict_mode=True))
    track = Track(number, first_ms, last_ms, detections, centre, size, last_x, last_y, steps)
    if estimate:
        track.colours, rejoined = estimate
        _check_colours(track.colours)
        track.rejoined = bool(rejoined)
    return track


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _gone_from_json(row: Sequence[Any]) -> Gone:
    last_ms, x, y, height, colours = row
    _check_finite(last_ms, x, y, height)
    _check_whole(last_ms)
    _check_colours(colours)
    return Gone(last_ms, x, y, height, colours)


def _check_colours(colours: Sequence[Any]) -> None:
    if len(colours) != COLOURS or not all(0 <= share <= 1 for share in colours):
        raise ValueError(f"{colours} are not shares of {COLOURS} colours")


def _check_finite(*numbers: Any) -> None:
    if not isfinite(sum(numbers)):
        raise ValueError(f"a number of {numbers} is not finite")


def _check_whole(*numbers: Any) -> None:
    if not set(map(type, numbers)) <= {int}:
        raise ValueError(f"not all of {numbers} are whole numbers")
