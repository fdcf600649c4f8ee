"""Whether the model looks at a camera often enough to follow people: `seen`, crossings and stays depend on that.

People who walk move further than their own width between two frames if the model sees fewer than 3.5 a second. They
get new ids then, or none, and every figure that is about the same person in several frames is wrong. How many people
are in view at a time does not depend on it.

Only time in which people are followed and move is looked at, the last ten seconds of it, by the times of the frames. A
pause counts as one second, however long it is, so that a restart of the worker or of the capture is no reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Self

from rededge_nb.analytics.counted import Counted

LEAST_FPS: Final = 3.5
"""People who walk are followed if the model sees at least so many frames a second."""
TOO_FEW_FRAMES: Final = "too_few_frames"
"""Series of a camera with the frames a second that the model saw, where that is too few; and the event's kind."""
WINDOW_S: Final = 10.0
"""So many seconds in which people move are looked at, …"""
ENOUGH_S: Final = 5.0
"""… and at least so many are needed."""
REPEAT_MS: Final = 3_600_000
"""While it lasts, there is one event in this time."""


@dataclass(slots=True)
class Pace:
    """How often the model has looked while people moved, for one camera; kept with the tracker's state.

    Attributes:
        seconds: Seconds in which people moved, at most `WINDOW_S`.
        looks: How often the model looked in these.
        frames: How many frames there were in these.
        looked_ms: Time of the frame that the model saw last; -1 where nothing moved after it, and before the first.
        between: Frames since then.
        told_ms: Time of the frame of the last event; -1 before the first.
    """

    seconds: float = 0.0
    looks: float = 0.0
    frames: float = 0.0
    looked_ms: int = -1
    between: int = 0
    told_ms: int = -1

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """What `to_data` returned.

        Raises:
            TypeError, ValueError: it is something else.
        """
        if data is None:
            return cls()
        kinds = (float, float, float, int, int, int)
        if not all(isfinite(value) for value in data):
            raise ValueError(f"{data} are not finite numbers")
        return cls(*(kind(value) for kind, value in zip(kinds, data, strict=True)))

    def to_data(self) -> list[float] | None:
        """All as data for JSON; None before the first frame."""
        seconds, looks, frames = round(self.seconds, 3), round(self.looks, 3), round(self.frames, 3)
        data = [seconds, looks, frames, self.looked_ms, self.between, self.told_ms]
        return None if data == [0.0, 0.0, 0.0, -1, 0, -1] else data

    @property
    def fps(self) -> float:
        """Frames a second that the model sees while people move; infinite where not enough is known."""
        return self.looks / self.seconds if self.seconds >= ENOUGH_S else float("inf")

    def still(self) -> None:
        """Notes a frame in which nothing has moved: how long it took until then says nothing."""
        self.looked_ms = -1

    def not_looked(self) -> None:
        """Notes a frame that the model has not seen."""
        self.between += 1

    def looked(self, ts_ms: int, *, followed: bool, moved: bool) -> bool:
        """Notes a frame that the model has seen; returns whether people moved before it and cannot be followed.

        Args:
            ts_ms: Time of the frame.
            followed: Whether somebody was followed before it, unsure ones included.
            moved: Whether somebody is elsewhere than in the frame that the model saw before (`Tracker.moved`).
        """
        gap_s, frames = (ts_ms - self.looked_ms) / 1000, self.between + 1
        known = self.looked_ms >= 0 and gap_s > 0
        self.looked_ms, self.between = ts_ms, 0
        if not (known and followed and (moved or gap_s * LEAST_FPS <= 1)):
            return False
        seconds = min(gap_s, 1.0)
        self.seconds += seconds
        self.looks += seconds / gap_s
        self.frames += frames * seconds / gap_s
        if self.seconds > WINDOW_S:
            share = WINDOW_S / self.seconds
            self.seconds, self.looks, self.frames = WINDOW_S, self.looks * share, self.frames * share
        return self.fps < LEAST_FPS

    def tells(self, ts_ms: int) -> bool:
        """Whether an event is due where people cannot be followed, which is noted then: none was written lately."""
        if self.told_ms >= 0 and 0 <= ts_ms - self.told_ms < REPEAT_MS:
            return False
        self.told_ms = ts_ms
        return True

    def event(self, ts_ms: int, counted: Counted) -> dict[str, str | int | float]:
        """The fields of the event."""
        return {
            "kind": TOO_FEW_FRAMES,
            "severity": "warning",
            "ts": ts_ms,
            "value": round(self.fps, 2),
            "reason": f"{why_unreliable(self.fps, counted)}. {self._advice()}",
        }

    def _advice(self) -> str:
        came = self.frames / self.seconds
        if came < LEAST_FPS:
            return f"{came:.1f} frames a second came: let the camera send 5 or more (`fps` or `--fps` of its capture)"
        return (
            f"{came:.1f} frames a second came, but the model has no time for them, or `detect_every` leaves them out: "
            "give the worker fewer cameras, start more workers, or take a faster model"
        )


def why_unreliable(fps: float, counted: Counted) -> str:
    """Why some figures are wrong where the model sees so many frames a second, in one sentence."""
    return (
        f"the model saw {fps:.1f} frames a second while {counted.plural} moved, and {LEAST_FPS} are needed to follow "
        f"them: {counted.plural} seen, crossings, stays and the rules for these are not reliable"
    )
