"""Many scheduled runs in fast motion: some fail, some only at the first attempt, and some are killed.

    python -m tests.faults.schedules --runs 100

A real scheduler makes real runs (`rededge pipeline run`, each a process of its own) of a small notebook, one every
moment. Each run is made again once if it fails, and a web server gets a message at the end of each (`--on always`).
The notebook records the number of its run, fails where the plan says so, or kills the process that runs it. Afterwards
lists, events, messages and comparisons are compared with the plan. Exit code 1 if one of them is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import matplotlib as mpl

from rededge_nb.connection import connect
from rededge_nb.edge import server
from rededge_nb.pipeline.runs import Runs, read_runs
from rededge_nb.pipeline.schedule import RunCommand, Scheduler
from rededge_nb.pipeline.schedule_registry import RegisteredSchedule, list_schedules
from rededge_nb.reading.events import read_server_events
from tests.notify.receivers import Receiver, receiver
from tests.pipeline.notebooks import notebook

mpl.use("agg")

TICK = timedelta(milliseconds=1)
"""Time between two due times: each run takes as long as many of them."""
NOTEBOOK = """import os, signal
from pathlib import Path
from rededge_nb import record
plan = Path(folder)
number = int((plan / "number").read_text())
what = (plan / "what").read_text()
with (plan / "attempts").open("a") as file:
    file.write(f"{number}\\n")
first = (plan / "attempts").read_text().split().count(str(number)) == 1
record("number", number)
if what == "fails" or (what == "fails once" and first):
    raise RuntimeError(f"run {number} fails")
if what == "is killed":
    os.kill(os.getppid(), signal.SIGKILL)"""


@dataclass
class PlannedRuns:
    """Makes runs as planned, and stops the scheduler after the last one.

    Attributes:
        command: Makes a run.
        folder: Where the notebook finds what it must do.
        plan: What each run does: `succeeds`, `fails`, `fails once` or `is killed`.
    """

    command: RunCommand
    folder: Path
    plan: Sequence[str]
    made: int = 0
    scheduler: Scheduler | None = None

    def __call__(self) -> None:
        (self.folder / "number").write_text(str(self.made))
        (self.folder / "what").write_text(self.plan[self.made])
        self.command()
        self.made += 1
        if self.made == len(self.plan) and self.scheduler is not None:
            self.scheduler.stop()

    def stop(self) -> None:
        self.command.stop()


def planned(runs: int, failing: int, failing_once: int, killed: int, seed: int) -> list[str]:
    """What each run does, in a random order."""
    plan = ["fails"] * failing + ["fails once"] * failing_once + ["is killed"] * killed
    plan += ["succeeds"] * (runs - len(plan))
    random.Random(seed).shuffle(plan)
    return plan


def run(plan: Sequence[str], directory: Path, work: Path) -> list[str]:
    """Make the runs on the server in a state folder; returns what is wrong."""
    output = work / "runs"
    mine = notebook(work / "mine.ipynb", 'folder: str = ""', NOTEBOOK)
    client = connect(directory=directory)
    try:
        before = len(read_server_events(client, kinds=["run_ended"]))
        with receiver() as to:
            command = RunCommand(
                directory=directory, output=output, notebooks=[mine], parameters={"folder": str(work)}, retry=1,
                notify=f"{to.url}/secret-of-test", on="always",
            )  # fmt: skip
            with RegisteredSchedule(output, "* * * * *", command.words) as control:
                planned_runs = PlannedRuns(command, work, plan)
                planned_runs.scheduler = Scheduler(lambda after: after + TICK, planned_runs, control=control)
                [registered] = list_schedules(output)
                planned_runs.scheduler.run()
            wrong = ["the list of schedules shows the secret"] if "secret-of-test" in registered.words else []
            events = read_server_events(client, kinds=["run_ended"])
            return [
                *wrong,
                *wrong_attempts(plan, work),
                *wrong_list(plan, read_runs(output)),
                *wrong_messages(plan, to, read_runs(output)),
                *wrong_comparison(plan, read_runs(output)),
                *wrong_events(plan, [each.fields["outcome"] for each in reversed(events)][before:]),
            ]
    finally:
        client.close()


def outcomes(what: str) -> list[str]:
    """The outcomes of the attempts of a run."""
    return {
        "succeeds": ["done"], "fails": ["failed"] * 2, "fails once": ["failed", "done"], "is killed": ["killed"],
    }[what]  # fmt: skip


def wrong_attempts(plan: Sequence[str], work: Path) -> list[str]:
    """Each run is made as often as it must be, and in the order of the plan: never two at a time."""
    made = list(map(int, (work / "attempts").read_text().split()))
    wanted = [number for number, what in enumerate(plan) for _ in outcomes(what)]
    return [] if made == wanted else [f"attempts were {made}, not {wanted}"]


def wrong_list(plan: Sequence[str], runs: Runs) -> list[str]:
    found = [each.outcome for each in reversed(runs)]
    wanted = [outcome for what in plan for outcome in outcomes(what)]
    return [] if found == wanted else [f"the list has {found}, not {wanted}"]


def wrong_messages(plan: Sequence[str], to: Receiver, runs: Runs) -> list[str]:
    """One message for each run, about its last attempt."""
    found = [(each["event"]["outcome"], each["event"]["folder"]) for each in to.got]
    names, wanted = [each.name for each in reversed(runs)], []
    for what in plan:
        attempts = outcomes(what)
        wanted.append((attempts[-1], names[len(attempts) - 1]))
        del names[: len(attempts)]
    return [] if found == wanted else [f"messages were {found}, not {wanted}"]


def wrong_comparison(plan: Sequence[str], runs: Runs) -> list[str]:
    """The comparison has the number that each attempt has recorded, also where it has failed; killed ones have none."""
    numbers = [
        None if outcome == "killed" else number for number, what in enumerate(plan) for outcome in outcomes(what)
    ]
    found = [each.figures().get("recorded.number") for each in reversed(runs)]
    wrong = [] if found == numbers else [f"the figures are {found}, not {numbers}"]
    table = runs.compare()
    row = next(line for line in repr(table).splitlines() if line.startswith("recorded.number")).split()[1:]
    if row != ["-" if each is None else str(each) for each in numbers]:
        wrong.append(f"the comparison has {row}, not {numbers}")
    drawn = [] if len(runs) < 2 else runs.plot("recorded.number").lines[0].get_ydata()
    if list(drawn) != [each for each in numbers if each is not None]:
        wrong.append(f"the chart has {list(drawn)}")
    return wrong


def wrong_events(plan: Sequence[str], found: Sequence[str]) -> list[str]:
    wanted = [outcome for what in plan for outcome in outcomes(what) if outcome != "killed"]
    return [] if found == wanted else [f"events were {found}, not {wanted}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tenth, twentieth = options.runs // 10, options.runs // 20
    plan = planned(options.runs, tenth, tenth, twentieth, options.seed)
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder:
        state, work = Path(folder) / "state", Path(folder) / "work"
        work.mkdir()
        server.start(state)
        try:
            began = time.monotonic()
            wrong = run(plan, state, work)
            seconds = time.monotonic() - began
        finally:
            server.stop(state)
    print(f"{len(plan)} scheduled runs in {seconds:.0f} s: {dict(Counter(plan))}")
    print(*(wrong or ["list, retries, events, messages and comparison are correct"]), sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
