"""When the model looks at a frame of a camera, and when the people in it are known without.

Each frame is one of these:

- `LOOK`: the model runs.
- `STILL`: nothing has moved since the model looked last, so everybody is where they were.
- `BETWEEN`: the model is busy, or it looks at every n-th frame only; people are where they are expected.
- `WAIT`: the model is busy, and people cannot be expected: it has looked too long ago, or frames are far apart. The
  frame waits for its turn. Without that, a camera with a frame a second would never be looked at if its frames always
  came a moment after those of others.
- `DROP`: the same, but a newer frame is there already, and takes its place. The frame has no entry.

A lost `Looking` (the worker was killed) costs one run of the model and nothing else. Frames of a recording that is
processed as fast as possible are all looked at, so that a recording is counted in the same way each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rededge_nb.analytics.motion import Motion, SmallImage
from rededge_nb.errors import ConfigurationError

STILL_S: Final = 2.0
"""The model looks at least once in this many seconds, also where nothing moves."""
EXPECT_S: Final = 1.0
"""People are expected somewhere for this long without the model; after it a frame waits for the model instead."""
SLOW_S: Final = 0.4
"""People are elsewhere in the next frame if frames are at least so far apart. Such frames wait for the model, and a
movement in one of them is enough."""
PEOPLE_GAP_S: Final = 0.2
"""Seconds between two runs of the model that a camera with people asks for when the model is busy: below 3.5 runs a
second, people who walk get new ids."""
NOBODY_GAP_S: Final = 0.5
"""The same for a camera in which something moves that is nobody."""
OVERDUE: Final = 2.0
"""After so many of these gaps the model looks at a frame, even if a newer one waits."""
FAIRNESS: Final = 3.0
"""Another camera comes first if it has waited for longer than its gap, and for this many times as long as this one, in
units of their gaps."""
ASKED_S: Final = 0.5
"""Another camera is waiting if it has asked for the model in the last half second."""

_POLL_S = 0.05
"""How often a frame that waits looks whether those that come before it still ask: nobody says when they do not."""

GATES: Final = ("auto", "on", "off")
EVERY: Final = ("auto", "1", "2", "3", "4", "5")


class Choice(StrEnum):
    """What is done with a frame; see the module."""

    LOOK = "look"
    STILL = "still"
    BETWEEN = "between"
    WAIT = "wait"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings `motion_gate` and `detect_every` of the gear.

    Attributes:
        gate: "auto": the model runs only when something moves, in live frames; "on": in recordings too; "off": never
            skip a frame because nothing moves.
        every: "auto": the model looks at as many live frames as it has time for; a number: at every n-th frame, also
            of recordings.
    """

    gate: str = "auto"
    every: str = "auto"

    def __post_init__(self) -> None:
        for name, value, known in (("motion_gate", self.gate, GATES), ("detect_every", self.every, EVERY)):
            if value not in known:
                raise ConfigurationError(f"{name} is {value!r}: take one of {', '.join(known)}")

    def uses_motion(self, *, recorded: bool) -> bool:
        """Whether frames are compared with the last one that the model saw."""
        return self.gate == "on" or (self.gate == "auto" and not recorded)

    def sees_all(self, *, recorded: bool) -> bool:
        """Whether the model looks at each frame in which something moves."""
        return self.every == "1" or (recorded and self.every == "auto")


@dataclass(slots=True)
class _Camera:
    """What is remembered of one camera.

    Attributes:
        motion: Compares its frames.
        ref: Entry id of the last frame that was stored.
        last_ms: Its time.
        looked_ms: Time of the last frame that the model saw, and that was stored; None before.
        frame_wh: Size of that frame in pixels.
        people: How many people were followed in it.
        unsettled: Whether somebody was new, or was expected and not detected: then the model looks again.
        looked_at_s, asked_at_s: Clock time of the last run of the model, and of the last wish for one.
        running: Whether the model runs for it.
        waiting: Whether a frame waits for the model.
    """

    motion: Motion = field(default_factory=Motion)
    ref: str = ""
    last_ms: int = 0
    looked_ms: int | None = None
    frame_wh: tuple[int, int] = (0, 0)
    people: int = 0
    unsettled: bool = True
    looked_at_s: float = float("-inf")
    asked_at_s: float = float("-inf")
    running: bool = False
    waiting: bool = False


class Looking:
    """Chooses for the frames of all cameras that one worker processes, and shares the model among them.

    It may be used by several threads, one for each camera.
    """

    def __init__(self) -> None:
        self._running = 0
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Condition()

    def frame_wh(self, camera: str) -> tuple[int, int] | None:
        """Width and height of the last frame that the model saw; None before the first."""
        known = self._camera(camera)
        return None if known.looked_ms is None else known.frame_wh

    def choose(
        self,
        camera: str,
        ts_ms: int,
        now_s: float,
        plan: Plan,
        *,
        recorded: bool,
        slots: int = 1,
        number: int = 0,
        newer_waits: bool = False,
        small: SmallImage | None = None,
    ) -> Choice:
        """Chooses for one frame. After `LOOK` follows `looked` or `forget`, and after `WAIT` `wait_for_model`, always.

        Args:
            camera: Key of the camera's frames.
            ts_ms: Time of the frame.
            now_s: A clock that never goes back, in seconds.
            plan: The settings.
            recorded: Whether every frame must be processed (a recording, as fast as possible).
            slots: How many runs of the model may be under way at once, where live frames compete for it.
            number: Number of the frame within its camera; with `every` the model looks at its multiples.
            newer_waits: Whether a newer frame of the camera is there already.
            small: Small grey image of the frame; None where `plan` needs none, or before the first look.
        """
        known = self._camera(camera)
        in_order = known.looked_ms is not None and ts_ms >= max(known.looked_ms, known.last_ms)
        since_s = (ts_ms - known.looked_ms) / 1000 if known.looked_ms is not None and in_order else float("inf")
        slow = in_order and ts_ms - known.last_ms >= SLOW_S * 1000
        moves = small is None or known.motion.moves(small, at_once=known.people > 0 or slow)
        if not moves and not known.unsettled and since_s < STILL_S:
            return Choice.STILL
        expected = since_s < EXPECT_S
        if plan.every != "auto":
            look = not expected or number % int(plan.every) == 0
            if look and newer_waits and not recorded:
                return Choice.BETWEEN if expected and plan.every != "1" else Choice.DROP
            return self._started(known, now_s) if look else Choice.BETWEEN
        if recorded:
            return self._started(known, now_s)
        # a camera whose frames always wait must be looked at, too
        overdue = _urgency(known, now_s) >= OVERDUE
        if (overdue or not newer_waits) and self._may_look(known, now_s, slots):
            return Choice.LOOK
        if not newer_waits and (slow or not expected):
            return Choice.WAIT
        return Choice.BETWEEN if expected else Choice.DROP

    def wait_for_model(self, camera: str, clock: Callable[[], float], *, slots: int = 1) -> None:
        """Returns when the model is free for a frame, and takes it. Then follows `looked` or `forget`, in each case.

        Args:
            camera: Key of the camera's frames.
            clock: The clock of `choose`.
            slots: As for `choose`.
        """
        known = self._camera(camera)
        with self._lock:
            known.waiting = True
            try:
                while not self._take(known, clock(), slots):
                    self._lock.wait(_POLL_S)
            finally:
                known.waiting = False

    def looked(
        self, camera: str, ts_ms: int, now_s: float, frame_wh: tuple[int, int], small: SmallImage | None, people: int
    ) -> None:
        """Notes that the model has seen a frame.

        Args:
            camera: Key of the camera's frames.
            ts_ms: Time of the frame.
            now_s: The clock.
            frame_wh: Width and height of the frame in pixels.
            small: Its small image, or None.
            people: How many the model found, unsure ones included.
        """
        known = self._camera(camera)
        self._ended(known, now_s)
        if small is not None:
            known.motion.model_ran(small, found_somebody=people > 0)
        # until the frame is stored nobody knows who is followed in it
        known.looked_ms, known.frame_wh, known.unsettled = ts_ms, frame_wh, True

    def continues(self, camera: str, ref: str) -> bool:
        """Whether the camera's last frame, by its entry id, is the one that was stored here last.

        Otherwise another worker has processed frames in between, or the camera was deleted, and what is remembered
        does not belong to its tracks.
        """
        return self._camera(camera).ref == ref

    def stored(self, camera: str, ref: str, ts_ms: int) -> None:
        """Notes the entry id and the time of a frame that was stored, whatever was chosen for it."""
        known = self._camera(camera)
        known.ref, known.last_ms = ref, ts_ms

    def followed(self, camera: str, people: int, *, unsettled: bool) -> None:
        """Notes who is followed in the frame that the model saw last.

        Args:
            camera: Key of the camera's frames.
            people: How many people.
            unsettled: Whether somebody was new, or was expected and not detected.
        """
        known = self._camera(camera)
        known.people, known.unsettled = people, unsettled

    def forget(self, camera: str, now_s: float) -> None:
        """Begins again with a camera: the next frame is looked at."""
        known = self._camera(camera)
        self._ended(known, now_s)
        self._cameras[camera] = _Camera(asked_at_s=known.asked_at_s, looked_at_s=known.looked_at_s)

    def _camera(self, camera: str) -> _Camera:
        return self._cameras.setdefault(camera, _Camera())

    def _started(self, known: _Camera, now_s: float) -> Choice:
        with self._lock:
            self._running += not known.running
            known.running, known.asked_at_s = True, now_s
        return Choice.LOOK

    def _ended(self, known: _Camera, now_s: float) -> None:
        with self._lock:
            self._running -= known.running
            known.running, known.looked_at_s = False, now_s
            self._lock.notify_all()

    def _may_look(self, known: _Camera, now_s: float, slots: int) -> bool:
        """Whether the model is free for a camera, which takes it then: others that have waited longer come first."""
        with self._lock:
            known.asked_at_s = now_s
            return self._take(known, now_s, slots)

    def _take(self, known: _Camera, now_s: float, slots: int) -> bool:
        urgency = _urgency(known, now_s)
        first = sum(
            not other.running and _comes_first(other, known, urgency, now_s)
            for other in self._cameras.values()
            if other is not known
        )
        if first >= slots - self._running:
            return False
        self._running += not known.running
        known.running = True
        return True


def _comes_first(other: _Camera, known: _Camera, urgency: float, now_s: float) -> bool:
    """Whether the model goes to another camera before one with this urgency."""
    if other.waiting and known.waiting:
        return _urgency(other, now_s) > urgency
    asks = other.waiting or now_s - other.asked_at_s < ASKED_S
    return asks and _urgency(other, now_s) > max(1.0, FAIRNESS * urgency)


def _urgency(camera: _Camera, now_s: float) -> float:
    """How long a camera has waited for the model, in units of the time between two runs that it asks for."""
    return (now_s - camera.looked_at_s) / (PEOPLE_GAP_S if camera.people or camera.unsettled else NOBODY_GAP_S)


SHARED: Final = Looking()
"""What the cameras of one worker process share."""
