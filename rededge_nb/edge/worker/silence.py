"""Since when a camera has been silent, from what is in Redis.

What counts is when the last frame was added, by the server's clock: the times of frames of a recording are others.
Frames whose images cannot be decoded do not count.

A camera is expected to send frames while a capture feeds it, and after a capture or another program that fed it has
vanished without a word. It is not, after a file has ended, or a capture was stopped: both leave an entry in
`camera:<id>:captures`. A capture that reads a file as fast as possible waits for the gear, and is no camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GRACE_MS: Final = 10_000
"""A capture that takes the place of one that has vanished gets so much more time for its first frame."""


@dataclass(frozen=True)
class Signs:
    """What is known of a camera.

    Attributes:
        frame: Entry id of its newest frame; "" if there is none.
        detected: Entry id of the last frame that was processed; "" if there is none.
        undecodable: Entry id of the newest frame of which the image could not be decoded; "" if there is none.
        undecodable_at: When the gear wrote that, ms.
        undecodable_reason: Why.
        feeding_since: When the capture that feeds it has begun, ms; None if there is none.
        pace: Its pace.
        problem: What it says about why there are no frames at the moment.
        ended_at: Entry id of the last frame of the newest capture that has ended; "" if there is none.
        ended_problem: The error that ended it; "" if it has come to its end or was stopped.
    """

    frame: str = ""
    detected: str = ""
    undecodable: str = ""
    undecodable_at: int = 0
    undecodable_reason: str = ""
    feeding_since: int | None = None
    pace: str = ""
    problem: str = ""
    ended_at: str = ""
    ended_problem: str = ""


@dataclass(frozen=True)
class Silence:
    """A camera's silence.

    Attributes:
        since_ms: Since when; None if the camera is not expected to send frames.
        reason: Why, in words.
    """

    since_ms: int | None
    reason: str = ""


def silence_of(signs: Signs, now_ms: int, floor_ms: int) -> Silence:
    """Since when a camera has been silent.

    Args:
        signs: What is known of it.
        now_ms: The time.
        floor_ms: Nobody has watched before this time, because no server or no worker was there: silence counts from
            then on.
    """
    if signs.feeding_since is not None and signs.pace == "asap":
        return Silence(None, "a recording is read as fast as possible")
    frame_ms = min(time_of(signs.frame), now_ms) if signs.frame else None
    ended = bool(signs.ended_at) and (not signs.frame or order(signs.ended_at) >= order(signs.frame))
    if signs.feeding_since is None:
        if frame_ms is None:
            return Silence(None, "there was never a frame")
        if ended and not signs.ended_problem:
            return Silence(None, "the capture has ended")
        gone = "the capture has ended: " + signs.ended_problem if ended else "nothing feeds the camera any more"
        return _silence(signs, frame_ms, now_ms, floor_ms, gone)
    start_ms = min(signs.feeding_since, now_ms)
    since_ms = start_ms if frame_ms is None else max(frame_ms, start_ms)
    if frame_ms is not None and not ended and start_ms > frame_ms:
        since_ms = min(start_ms, frame_ms + GRACE_MS)
    return _silence(signs, since_ms, now_ms, floor_ms, signs.problem or "a capture runs, and no frame comes")


def _silence(signs: Signs, since_ms: int, now_ms: int, floor_ms: int, reason: str) -> Silence:
    if signs.undecodable and (not signs.detected or order(signs.undecodable) > order(signs.detected)):
        good_ms = max(floor_ms, time_of(signs.detected) if signs.detected else signs.feeding_since or 0)
        recent = now_ms - signs.undecodable_at < max(GRACE_MS, now_ms - since_ms)
        if recent and good_ms < since_ms:
            return Silence(good_ms, f"its frames cannot be decoded: {signs.undecodable_reason}")
    return Silence(max(since_ms, floor_ms), reason)


def time_of(entry_id: str) -> int:
    """When an entry was added, ms."""
    return order(entry_id)[0]


def order(entry_id: str) -> tuple[int, int]:
    """A sort key for entry ids; text that is none comes first."""
    milliseconds, _, sequence = entry_id.partition("-")
    return (int(milliseconds), int(sequence or 0)) if (milliseconds + (sequence or "0")).isdigit() else (0, 0)
