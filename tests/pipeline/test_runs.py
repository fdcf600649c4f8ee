"""Runs as data: lists of done, failed, killed and running ones, comparisons, and figures that notebooks record."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import redis

from rededge_nb import record, schema
from rededge_nb.control.provision import read_settings, settings_key
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError, NoDataError, PipelineError, WaitTimeoutError
from rededge_nb.lease import hold_lease
from rededge_nb.notify import delivery
from rededge_nb.pipeline.figures import recorded_in
from rededge_nb.pipeline.notebook_pages import write_html
from rededge_nb.pipeline.reserved import WAITS
from rededge_nb.pipeline.run import run_pipeline
from rededge_nb.pipeline.runs import read_runs
from rededge_nb.pipeline.sweep import run_sweep
from tests.cli.running import rededge
from tests.notify.receivers import receiver
from tests.pipeline.notebooks import notebook

mpl.use("agg")

HOLD = """import sys, pathlib
from rededge_nb.pipeline.runs import marked_as_running
with marked_as_running(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()"""


def add_run(output: Path, number: int, outcome: str = "done", **more: Any) -> str:
    name = f"20260101-{number // 60:02}{number % 60:02}00Z"
    summary = {"started": f"2026-01-01T{number // 60:02}:{number % 60:02}:00+0000", "outcome": outcome, "seconds": 1.5}
    summary |= {"error": "a cell failed\nwith a traceback" if outcome == "failed" else None, "source": "door.mp4"}
    summary |= {"camera": "0", "people": {"mean": number / 10, "seen": number}, "lines": {"door": {"in": 5}}, **more}
    (output / name).mkdir()
    (output / name / "summary.json").write_text(json.dumps(summary))
    return name


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A hundred runs: every tenth has failed, and five were killed."""
    for number in range(100):
        name = add_run(tmp_path, number, "failed" if number % 10 == 3 else "done")
        if number % 20 == 7:
            (tmp_path / name / "summary.json").unlink()
            (tmp_path / name / ".running").touch()
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_hundred_runs_of_which_some_failed_and_some_were_killed(many: Path) -> None:
    runs = read_runs(many)
    outcomes = [each.outcome for each in runs]
    assert {name: outcomes.count(name) for name in set(outcomes)} == {"done": 85, "failed": 10, "killed": 5}
    assert [each.name for each in runs] == sorted((each.name for each in runs), reverse=True)
    assert [each.name[9:15] for each in runs if each.outcome == "killed"] == [
        "012700",
        "010700",
        "004700",
        "002700",
        "000700",
    ]
    assert "a cell failed" in repr(runs)
    assert "with a traceback" not in repr(runs), "one line for each run"
    assert len(runs[:3].table()) == 3


def test_a_run_that_goes_on_is_no_killed_one(tmp_path: Path) -> None:
    folder = tmp_path / "20260101-000000Z"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"held\n"
        assert [each.outcome for each in read_runs(tmp_path)] == ["running"]
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert [each.outcome for each in read_runs(tmp_path)] == ["killed"]


def test_figures_side_by_side_with_those_that_differ_first(tmp_path: Path) -> None:
    one, two = add_run(tmp_path, 1), add_run(tmp_path, 12, recorded={"queue": 3, "word": "x"})
    table = repr(read_runs(tmp_path).compare(one, "latest"))
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines()[2:]}
    assert rows["people.mean"][1:] == ["0.1", "1.2", "+1.1"]
    assert rows["recorded.queue"][1:] == ["-", "3", "-"]
    assert list(rows)[:2] == ["people.mean", "people.seen"]
    assert list(rows)[-1] == "lines.door.in"
    assert two in table.splitlines()[0]
    with pytest.raises(ConfigurationError, match="1 runs cannot be compared"):
        read_runs(tmp_path).compare(one)


def test_a_figure_over_many_runs(many: Path) -> None:
    axes = read_runs(many).plot("people.seen")
    assert axes.lines[0].get_ydata().tolist() == [number for number in range(100) if number % 20 != 7]
    with pytest.raises(NoDataError, match=r"no run has the figure 'wrong'; there are: lines\.door\.in, people\.mean"):
        read_runs(many).plot("wrong")


def test_names_that_are_no_runs_and_damaged_summaries(tmp_path: Path) -> None:
    name = add_run(tmp_path, 1)
    with pytest.raises(NoDataError, match=f"there is no run wrong; the newest are: {name}"):
        read_runs(tmp_path).named("wrong")
    with pytest.raises(NoDataError, match="there is no folder"):
        read_runs(tmp_path / "nowhere")
    (tmp_path / name / "summary.json").write_text('{"half":')
    [run] = read_runs(tmp_path)
    assert run.outcome == "failed"
    assert "cannot be read" in run.summary["error"]


def test_commands(many: Path) -> None:
    newest = read_runs(many)[0].name
    listed = json.loads(rededge("pipeline", "list", "-o", many, "--json").stdout)
    assert len(listed) == 100
    assert listed[0]["run"] == newest
    shown = json.loads(rededge("pipeline", "show", "latest", "-o", many, "--json").stdout)
    assert (shown["people"]["seen"], shown["outcome"]) == (99, "done")
    compared = rededge("pipeline", "compare", "20260101-000100Z", newest, "-o", many).stdout
    assert "people.seen" in compared
    assert "+98" in compared


FAILS_ONCE = """from pathlib import Path
from rededge_nb import record
record("queue", 3)
record("queue", 4)
if not Path(marker).exists():
    Path(marker).touch()
    raise RuntimeError("the first time")
record("word", "hello")"""


def test_a_run_that_fails_is_made_again_each_end_is_an_event_and_the_last_one_a_message(
    edge: Instance, client: redis.Redis, own_state_folder: Path, tmp_path: Path
) -> None:
    mine = notebook(tmp_path / "mine.ipynb", 'marker: str = ""', FAILS_ONCE)
    options: dict[str, Any] = {"directory": own_state_folder / "state", "output": tmp_path / "runs", "progress": False}
    options |= {"notebooks": [mine], "parameters": {"marker": str(tmp_path / "marker")}}
    with receiver() as server:
        report = run_pipeline(retry=2, notify=server.url, on="always", **options)
    runs = read_runs(tmp_path / "runs")
    assert [each.outcome for each in runs] == ["done", "failed"]
    assert (report.summary["attempt"], report.summary["recorded"]) == (2, {"queue": 4, "word": "hello"})
    assert runs[1].summary["recorded"] == {"queue": 4}, "what was recorded before the error"
    assert runs[0].figures()["recorded.queue"] == 4
    assert "queue" in report.table()
    events = [fields for _, fields in client.xrange(schema.SERVER_EVENTS_KEY)]
    assert [each[b"kind"] for each in events] == [b"run_ended"] * 2
    assert [(each[b"outcome"], each[b"severity"]) for each in events] == [(b"failed", b"warning"), (b"done", b"info")]
    assert b"the first time" in events[0][b"reason"]
    [message] = server.got
    assert re.fullmatch(rf"run {runs[0].name}: done after \d+ s", message["title"])
    assert "queue" in message["text"]
    assert (message["kind"], message["event"]["folder"]) == ("run_ended", runs[0].name)
    assert json.loads(message["event"]["figures"]) == runs[0].figures()


def test_a_run_that_takes_too_long_fails_and_its_message_is_sent_again_after_an_error(
    edge: Instance, own_state_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = notebook(tmp_path / "slow.ipynb", "x: int = 0", "import time\ntime.sleep(600)")
    options: dict[str, Any] = {"directory": own_state_folder / "state", "output": tmp_path / "runs", "progress": False}
    monkeypatch.setattr(delivery, "FIRST_DELAY", 0.01)
    with receiver() as server:
        server.answers = [500]
        with pytest.raises(PipelineError, match="slow: "):
            run_pipeline(notebooks=[slow, slow], timeout=2, notify=server.url, **options)
    [run] = read_runs(tmp_path / "runs")
    assert run.outcome == "failed"
    [message] = server.got
    assert message["event"]["reason"] == run.summary["error"]
    assert len(server.tried) == 2


def test_one_run_for_each_threshold_and_then_that_of_before(
    edge: Instance,
    client: redis.Redis,
    own_state_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = "from rededge_nb import Workbench, record\nrecord('seen', float(Workbench().settings()['confidence']))"
    mine = notebook(tmp_path / "mine.ipynb", "x: int = 0", words)
    options: dict[str, Any] = {"directory": own_state_folder / "state", "output": tmp_path / "runs", "progress": False}
    runs = run_sweep("confidence", [0.2, 0.6], notebooks=[mine], **options)
    assert [each.summary["parameters"] for each in runs] == [{"confidence": 0.6}, {"confidence": 0.2}]
    assert [each.summary["recorded"]["seen"] for each in runs] == [0.6, 0.2]
    assert float(read_settings(client)["confidence"]) not in (0.2, 0.6)
    assert "+0.4" in repr(runs.compare())
    with (
        hold_lease(client, f"{settings_key(client)}:run", timeout=0),
        pytest.raises(WaitTimeoutError, match="for more than"),
    ):
        run_pipeline(notebooks=[mine], gear_settings={"confidence": 0.2}, timeout=0.3, **options)
    [waits] = [message for message in caplog.messages if message.startswith(WAITS)]
    assert f"the thresholds of the people counter are set by another run, process {os.getpid()} on " in waits
    with pytest.raises(ConfigurationError, match="confidence=2 cannot be set for a run"):
        run_pipeline(notebooks=[mine], gear_settings={"confidence": 2}, **options)
    with pytest.raises(ConfigurationError, match="no notebook of this run has the parameter wrong"):
        run_sweep("wrong", [1, 2], notebooks=[mine], **options)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1], np.float64("nan")])
def test_figures_are_finite_numbers_or_texts(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="the figure 'x' is"):
        record("x", value)


def test_a_figure_needs_a_name() -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a figure"):
        record("", 1)


@pytest.mark.parametrize("text", ["", '{"cells": ['])
def test_a_notebook_that_was_interrupted_while_it_was_written_has_no_page_and_no_figures(
    tmp_path: Path, text: str
) -> None:
    half = tmp_path / "half.ipynb"
    half.write_text(text)
    assert write_html(half) is None
    assert recorded_in([half, tmp_path / "missing.ipynb"]) == {}
    assert list(tmp_path.iterdir()) == [half]
