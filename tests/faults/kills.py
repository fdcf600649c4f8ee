"""Kills and stops processes of a whole stack at random moments, and accounts for every frame afterwards.

    python -m tests.faults.kills --kills 200 --stops 50

The victims are workers, the capture, the web server, the supervisor and redis-server. They are killed with SIGKILL, or
stopped with SIGSTOP. Half of the stopped workers and redis-servers stay stopped, so the supervisor has to kill them;
all others continue after some seconds. Whatever is not a child of the supervisor is started again as systemd would.
After two times of three the next one follows when all works again, and after the third it follows during the recovery.
Ends by itself; prints a table; exit code 1 if a frame is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import redis

from rededge_nb import schema, streams
from rededge_nb.control.gears import list_registrations, unpause_gear
from tests.faults.accounts import Account, account, unanswered
from tests.faults.stack import Stack

CAMERA = "0"
SOURCE = ["synthetic:people=2,size=160x120", "--pace", "asap", "--max-age", "86400", "--max-bytes", "2000000000"]
WEIGHTS = {"worker": 40, "redis": 20, "capture": 15, "supervisor": 15, "web": 10}
STOP_WEIGHTS = {"worker": 45, "redis": 15, "capture": 20, "supervisor": 10, "web": 10}
STAYS_STOPPED = 1 / 2
SHORT_STOP, LONG_STOP = 0.5, 8.0
"""Seconds after which a stopped process continues."""
HANG_TIMEOUT = 5.0
"""Seconds after which the supervisor kills a worker that is stopped; the least that can be configured."""
STRIKES_INTO_RECOVERY = 1 / 3
LONGEST_PAUSE = 1.0
"""Seconds between two kills at most, recovery not counted."""
RECOVERY_TIMEOUT = 120.0
"""Seconds after which the stack is said not to come back by itself."""
BROKEN_FRAME_INTERVAL = 0.5
MOST_BROKEN_FRAMES = 900
"""The gear keeps the reasons of about a thousand (ERRORS_KEPT), and the account needs all of them."""


Value = TypeVar("Value")


class NotBackError(Exception):
    """The stack does not come back."""


@dataclass
class Outcome:
    """What the kills did."""

    kills: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stops: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from a kill until all worked again, where that was waited for."""
    unpaused: int = 0
    """How often the gear had been paused because two workers in a row had died over the same frame."""
    gave_up: int = 0
    """How often the supervisor had given up because children had died too often, and was started again."""
    seconds: float = 0.0
    account: Account | None = None

    def lines(self) -> list[str]:
        """A table."""
        rows = [f"{'process':<12}{'kills':>7}{'stops':>7}{'waited for':>12}{'back after':>12}{'at most':>10}"]
        for name in sorted({*self.kills, *self.stops}):
            waits = self.recoveries[name]
            median, most = (statistics.median(waits), max(waits)) if waits else (0.0, 0.0)
            counts = f"{self.kills[name]:>7}{self.stops[name]:>7}"
            rows.append(f"{name:<12}{counts}{len(waits):>12}{median:>10.1f} s{most:>8.1f} s")
        totals = f"{sum(self.kills.values()):>7}{sum(self.stops.values()):>7}"
        rows.append(f"{'all':<12}{totals}   in {self.seconds:.0f} s")
        found = self.account
        if found is not None:
            rows += [
                "",
                f"frames accepted               {found.accepted:>8}",
                f"  with a detection            {found.detected:>8}",
                f"  with an error               {found.refused:>8}",
                f"  with neither                {found.unanswered:>8}   {' '.join(found.some_unanswered)}".rstrip(),
                f"  lost with redis-server      {found.lost:>8}   (at most {found.oldest_lost_ms} ms old; "
                f"{found.sent_again} sent again by the capture)",
                f"answers above one a frame     {found.again:>8}",
                f"detections without a sample   {found.without_sample:>8}",
                f"gears unpaused                {self.unpaused:>8}",
                f"supervisors that gave up      {self.gave_up:>8}",
            ]
        return rows


class Killer:
    """Kills, and looks how the stack recovers."""

    def __init__(self, stack: Stack, *, seed: int) -> None:
        self.outcome = Outcome()
        self._stack = stack
        self._random = random.Random(seed)
        self._redis_kills_ms: list[int] = []
        self._broken: list[str] = []
        self._over = threading.Event()

    def run(self, kills: int, stops: int) -> Outcome:
        """Kill and stop so many times, then let everything settle and count."""
        began = time.monotonic()
        self._wait_until_back("start", began)
        adding = threading.Thread(target=self._add_broken_frames, daemon=True)
        adding.start()
        try:
            while True:
                to_kill = kills - sum(self.outcome.kills.values())
                to_stop = stops - sum(self.outcome.stops.values())
                if to_kill + to_stop <= 0:
                    break
                self._over.wait(self._random.uniform(0, LONGEST_PAUSE))
                if self._random.random() * (to_kill + to_stop) < to_kill:
                    self._kill()
                else:
                    self._stop()
            self._wait_until_back("end", time.monotonic())
        finally:
            self._over.set()
            adding.join()
        self._stack.services["capture"].end()
        self._settle()
        self.outcome.seconds = time.monotonic() - began
        self.outcome.gave_up = self._give_ups()
        self.outcome.account = account(
            self._stack.client(),
            CAMERA,
            record=self._stack.record,
            own=self._broken,
            redis_kills_ms=self._redis_kills_ms,
        )
        return self.outcome

    def _kill(self) -> None:
        (name,) = self._random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        pids = self._stack.pids(name)
        if not pids:
            return  # it is between two lives; another will do
        into_recovery = self._random.random() < STRIKES_INTO_RECOVERY
        now = time.monotonic()
        if name == "redis":
            self._redis_kills_ms.append(time.time_ns() // 1_000_000)
        victim = self._random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.outcome.kills[name] += 1
        if not into_recovery:
            self._wait_until_back(name, now, victim=victim)
            self.outcome.recoveries[name].append(time.monotonic() - now)

    def _stop(self) -> None:
        (name,) = self._random.choices(list(STOP_WEIGHTS), weights=list(STOP_WEIGHTS.values()))
        stays = name in ("worker", "redis") and self._random.random() < STAYS_STOPPED
        seconds = self._random.uniform(SHORT_STOP, LONG_STOP)
        pids = self._stack.pids(name)
        if not pids:
            return
        now = time.monotonic()
        victim = self._random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP)
            self.outcome.stops[name] += 1
        if stays and name == "redis":
            self._redis_kills_ms.append(time.time_ns() // 1_000_000)
        if not stays:
            self._over.wait(seconds)
            with contextlib.suppress(ProcessLookupError):  # it may have been killed for its silence meanwhile
                os.kill(victim, signal.SIGCONT)
            self._over.wait(0.5)
        self._wait_until_back(name, now, victim=victim if stays else None)
        self.outcome.recoveries[name].append(time.monotonic() - now)

    def _wait_until_back(self, after: str, since: float, victim: int | None = None) -> None:
        """Wait until another has the victim's place, frames are answered, and the web server says that all is well."""
        looked = time.monotonic()
        before, replaced = None, victim is None
        while not (replaced and self._newest() not in (before, None) and self._stack.healthy()):
            if not replaced and set(self._stack.pids(after)) - {victim} and self._stack.instance():
                before, replaced = self._newest(), True
            if time.monotonic() - since > RECOVERY_TIMEOUT:
                raise NotBackError(
                    f"the stack is not back {RECOVERY_TIMEOUT:.0f} s after this was killed or stopped: {after} "
                    f"({self._describe(victim)})"
                )
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                self._unpause()
            self._over.wait(0.05)

    def _describe(self, victim: int | None) -> str:
        pids = {name: self._stack.pids(name) for name in WEIGHTS}
        registrations = _tried(lambda: [each.status for each in list_registrations(self._stack.client())])
        return (
            f"victim {victim}, processes {pids}, newest detection {self._newest()}, gears {registrations}, "
            f"health: {self._stack.health() or 'ok'}"
        )

    def _newest(self) -> str | None:
        found = _tried(lambda: streams.last_id(self._stack.client(), schema.detections_key(CAMERA)))
        return None if found in (None, "0-0") else found

    def _unpause(self) -> None:
        """Do what an operator would who reads `rededge status`: let a gear go on that was paused for its crashes."""

        def unpause() -> None:
            for registration in list_registrations(self._stack.client()):
                if registration.status == "PAUSED":
                    unpause_gear(self._stack.client(), registration.id)
                    self.outcome.unpaused += 1

        _tried(unpause)

    def _add_broken_frames(self) -> None:
        while len(self._broken) < MOST_BROKEN_FRAMES and not self._over.wait(BROKEN_FRAME_INTERVAL):
            fields = {"image": b"no picture", "keep": 1}
            added = _tried(lambda fields=fields: self._stack.client().xadd(schema.frames_key(CAMERA), fields))
            if added is not None:
                self._broken.append(added.decode())

    def _settle(self) -> None:
        deadline = time.monotonic() + RECOVERY_TIMEOUT
        while _tried(lambda: unanswered(self._stack.client(), CAMERA)) != 0:
            if time.monotonic() > deadline:
                return  # the account tells what is missing
            self._unpause()
            threading.Event().wait(0.2)

    def _give_ups(self) -> int:
        text = (self._stack.folder / "supervisor.log").read_text(errors="replace")
        return text.count("cannot be started any more")


def _tried(read: Callable[[], Value]) -> Value | None:
    """What a function reads from a server that may be away."""
    try:
        return read()
    except (redis.RedisError, OSError):
        return None


def run(kills: int, stops: int = 0, *, seed: int, keep: Path | None = None) -> Outcome:
    """Set up a stack, kill and stop so many of its processes, and count.

    Raises:
        NotBackError: the stack did not come back after a kill.
    """
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))
    try:
        with Stack(folder, capture=SOURCE, recorded=True, hang_timeout=HANG_TIMEOUT) as stack:
            stack.services["capture"].start()
            return Killer(stack, seed=seed).run(kills, stops)
    except BaseException:
        if keep is not None:
            shutil.copytree(folder, keep, ignore=shutil.ignore_patterns("*.sock", "appendonlydir"), dirs_exist_ok=True)
        raise
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="default: any, and printed")
    parser.add_argument("--keep", type=Path, help="folder for the logs if it fails")
    options = parser.parse_args()
    print(f"{options.kills} kills, {options.stops} stops, seed {options.seed}", flush=True)
    try:
        outcome = run(options.kills, options.stops, seed=options.seed, keep=options.keep)
    except NotBackError as error:
        print(f"FAILED: {error}")
        return 1
    print("\n".join(outcome.lines()))
    broken = outcome.account.broken_promises() if outcome.account else []
    print("\n".join(f"FAILED: {what}" for what in broken) or "every frame is accounted for")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
