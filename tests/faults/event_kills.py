"""Kills workers, the notifier and the capture at random moments, and accounts for every event afterwards.

    python -m tests.faults.event_kills --kills 60

Each event must be in the stream once, agree with the counts that were written in the same transactions, and reach a
receiver at least once under one id, those of a camera in their order. Ends by itself; exit code 1 if that is not so.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from rededge_nb import assets, schema, settings
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule, SilenceRule
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.provision import provision
from rededge_nb.control.scenes import save_scene
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.state import Instance
from rededge_nb.reading.events import active_alarms, read_events
from rededge_nb.reading.scenes import newest_counts
from tests.notify.receivers import Receiver, receiver
from tests.notify.running import has_begun
from tests.waiting import wait_for

CAMERA = "0"
SCENE = (
    Scene()
    .with_line("left", (346 / 768, 0), (346 / 768, 1))
    .with_line("right", (560 / 768, 0), (560 / 768, 1))
    .with_zone("lawn", [(0, 0.4), (1, 0.4), (1, 1), (0, 1)])
    .with_rule(OccupancyRule(name="crowd", zone="lawn", at_least=6, clear_after=0))
    .with_rule(DwellRule(name="waits", zone="lawn", longer_than=3, clear_after=1))
    .with_rule(CrossingsRule(name="crossed", line="left", within=2, clear_after=0, severity="alarm"))
    .with_rule(SilenceRule(name="silence", after=3))
)
PAUSE = (0.5, 3.0)
"""Seconds between two kills."""


class Stack:
    """An embedded server with two workers, a capture and a notifier."""

    def __init__(self, folder: Path, to: Receiver) -> None:
        self.instance: Instance = server.start(folder / "state", workers=2)
        self.client = client_from_url(self.instance.url)
        self._folder = folder
        self._environment = {**os.environ, settings.REDIS_URL: self.instance.url}
        provision(self.client)
        save_scene(self.client, CAMERA, SCENE, version=None)
        target = f"name: office, type: webhook, url: '{to.url}', severity: info, snapshot: false, timeout: 30"
        (folder / "notify.yaml").write_text(f"targets: [{{{target}}}]\n")
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.start("notifier")
        wait_for(lambda: has_begun(self.client, "office"), timeout=60, what="the notifier")
        self.start("capture")

    def start(self, name: str) -> None:
        words = {
            "notifier": ["notify", str(self._folder / "notify.yaml")],
            "capture": ["capture", str(assets.sample_video()), "--loop", "--camera", CAMERA, "--replace"],
        }[name]
        command = [sys.executable, "-P", "-m", "rededge_nb.cli", *words]
        with (self._folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        if name == "worker":
            state = state_client(self.client)
            keys = [key_names.worker_of(state, key) for key in state.scan_iter(key_names.heartbeat(state, "*"))]
            pids = [pid for key in keys if Path(f"/proc/{(pid := int(key.split('-')[-2]))}").exists()]
            if pids:
                os.kill(random.choice(pids), 9)
            return
        self.children[name].kill()
        self.children[name].wait()
        self.start(name)

    def end(self, name: str) -> None:
        self.children[name].terminate()
        self.children[name].wait(60)


def problems_of(client: redis.Redis, found: list[Any]) -> list[str]:
    """What is wrong with the events of the camera, oldest first."""
    problems = []
    happened = Counter(
        (event.kind, event.track, event.line, event.zone, event.direction, event.ts_ms)
        for event in found
        if event.kind in ("line_crossed", "zone_entered", "zone_left")
    )
    problems += [f"twice: {what}" for what, number in happened.items() if number > 1]
    lines, zones = newest_counts(client, CAMERA)
    crossed = Counter((event.line, event.direction) for event in found if event.kind == "line_crossed")
    for line, (forward, backward) in lines.items():
        if (crossed[line, "forward"], crossed[line, "backward"]) != (forward, backward):
            problems.append(f"line {line}: {forward, backward} counted, events say {dict(crossed)}")
    for zone, (_, _, entries, exits) in zones.items():
        kinds = Counter(event.kind for event in found if event.zone == zone)
        if (kinds["zone_entered"], kinds["zone_left"]) != (entries, exits):
            problems.append(f"zone {zone}: {entries, exits} counted, events say {dict(kinds)}")
    active: dict[str, str] = {}
    for event in found:
        if event.raises and active.setdefault(event.rule, event.alarm) != event.alarm:
            problems.append(f"{event.alarm} was raised while {active[event.rule]} was active")
        if event.clears and active.pop(event.rule, None) != event.alarm:
            problems.append(f"{event.alarm} was cleared and not active")
    if sorted(active.values()) != sorted(event.alarm for event in active_alarms(client, CAMERA)):
        problems.append(f"active by the events: {active}, by the hash: {active_alarms(client, CAMERA)}")
    return problems


def run(kills: int, seed: int) -> int:
    """Kill so many processes, and print what was found."""
    chance, folder = random.Random(seed), Path(tempfile.mkdtemp(prefix="rededge-"))
    killed: Counter[str] = Counter()
    began = time.monotonic()
    try:
        with receiver() as to:
            stack = Stack(folder, to)
            wait_for(lambda: read_events(stack.client, CAMERA), timeout=120, what="the first event")
            while killed.total() < kills:
                time.sleep(chance.uniform(*PAUSE))
                victim = chance.choice(("worker", "worker", "notifier", "capture"))
                stack.kill(victim)
                killed[victim] += 1
            time.sleep(5)
            stack.end("capture")
            last = stack.client.xrevrange(schema.frames_key(CAMERA), count=1)[0][0]
            wait_for(lambda: _processed(stack.client, last), timeout=120, what="the last frame")
            found = list(reversed(read_events(stack.client, CAMERA)))
            ids = [event.full_id for event in found]
            wait_for(lambda: set(ids) <= set(to.ids()), timeout=120, what="all events at the receiver")
            found = list(reversed(read_events(stack.client, CAMERA)))
            problems = problems_of(stack.client, found)
            received = [each for each in dict.fromkeys(to.ids()) if each in set(ids)]
            if received != ids:
                problems.append("the receiver has not got the events in their order")
            stack.end("notifier")
            kinds = Counter(event.kind for event in found)
            sys.stdout.write(f"{dict(killed)} killed in {time.monotonic() - began:.0f} s\n{dict(kinds)}\n")
            sys.stdout.write(f"{len(ids)} events, {len(to.ids()) - len(set(to.ids()))} of them received again\n")
            sys.stdout.write("".join(f"PROBLEM {each}\n" for each in problems) or "each event is there once\n")
            return 1 if problems else 0
    finally:
        server.stop(folder / "state")
        shutil.rmtree(folder)


def _processed(client: redis.Redis, last: bytes) -> bool:
    groups: Any = client.xinfo_groups(schema.frames_key(CAMERA))
    return any(group["last-delivered-id"] == last and not group["pending"] for group in groups)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    return run(options.kills, options.seed)


if __name__ == "__main__":
    sys.exit(main())
