"""`rededge pipeline schedule`, and with it `run`, as processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.server.state import Instance
from tests.cli.running import rededge, started
from tests.waiting import wait_for

RARELY = "0 0 29 2 *"


def test_a_run_on_a_schedule(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    for old in ("20200101-000000", "20200102-000000"):
        (tmp_path / old).mkdir()
    options = ("--seconds", 0.5, "--camera", "door", "--notebook", "03_produce_frames", "--output", tmp_path)
    with started("pipeline", "schedule", RARELY, "--now", "--keep", 2, *options) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert " INFO run started, process " in first
        second = process.stderr.readline()
        assert " INFO run done: 5 of 5 frames, " in second
        assert " INFO next run at " in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr.read().endswith("INFO stopped\n")
    old, new = sorted(tmp_path.iterdir())
    assert old.name == "20200102-000000"
    assert second.endswith(f"see {new}\n")
    summary = json.loads((new / "summary.json").read_text())
    assert (summary["camera"], len(summary["notebooks"])) == ("door", 1)


def test_a_schedule_ends_together_with_its_current_run(folder: Path) -> None:
    output = folder / "runs"
    words = ("pipeline", "schedule", RARELY, "--now", "--dir", folder / "state", "--output", output)
    with started(*words) as process:
        assert process.stderr is not None
        assert "run started" in process.stderr.readline()
        wait_for(lambda: list(output.glob("*/01_*.ipynb")), what="the first notebook", timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert [line.split(" INFO ")[1] for line in process.stderr] == ["run ended early\n", "stopped\n"]
    (summary,) = output.glob("*/summary.json")
    content = json.loads(summary.read_text())
    assert (content["outcome"], content["error"]) == ("failed", "interrupted")
    assert server.find(folder / "state") is None, "the run stops the server that it started"


def test_an_interrupted_run_prints_one_line(folder: Path) -> None:
    words = ("pipeline", "run", "--json", "--dir", folder / "state", "--output", folder / "runs")
    with started(*words) as process:
        wait_for(lambda: list(folder.glob("runs/*/01_*.ipynb")), what="the first notebook", timeout=60)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "rededge: interrupted\n")


@pytest.mark.parametrize("expression", ["every day", "61 * * * *"])
def test_a_wrong_cron_expression(expression: str) -> None:
    done = rededge("pipeline", "schedule", expression)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"rededge: {expression!r} is not a cron expression (")
