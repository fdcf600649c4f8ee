"""The pipeline: a short run with its report, and what a failing notebook leaves."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import nbformat
import pytest
import redis

from rededge_nb import assets
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ConfigurationError, PipelineError
from rededge_nb.pipeline import run as pipeline
from rededge_nb.reading.scenes import read_scene
from tests.paths import TOP
from tests.pipeline.notebooks import notebook

PICTURES = {
    "01_load_model": 5,
    "02_register_gear": 0,
    "03_produce_frames": 1,
    "04_watch_streams": 3,
    "05_time_series": 5,
    "07_lines_and_zones": 5,
}
"""Pictures in each notebook's page, the stills of players and charts among them."""


SUMMARY_PAGE = TOP / "docs" / "reference" / "summary.md"
OF_OTHERS = {
    "lines": "<name>",
    "lines.<name>": "<direction>",
    **dict.fromkeys(("zones", "ms_per_step", "versions", "recorded", "parameters"), "<name>"),
}
"""Parts of the summary whose names are those of other things, and how the documentation writes them."""


def names_in(value: object, path: str = "") -> set[str]:
    """The names in a summary as its documentation has them, such as `people.mean`."""
    if isinstance(value, list):
        return {name for each in value for name in names_in(each, path)} or {path}
    if not isinstance(value, dict):
        return {path}
    inner = [names_in(each, f"{path}.{OF_OTHERS.get(path, name)}".strip(".")) for name, each in value.items()]
    return {name for names in inner for name in names}


def test_a_short_run(folder: Path) -> None:
    report = pipeline.run_pipeline(directory=folder / "state", seconds=3, output=folder / "runs")
    assert server.find(folder / "state") is None, "what the run started it stopped"
    assert report.folder.parent == folder / "runs"
    made = datetime.strptime(report.folder.name, "%Y%m%d-%H%M%SZ").replace(tzinfo=UTC)
    assert abs((made - datetime.fromisoformat(report.summary["started"])).total_seconds()) < 60
    summary = json.loads((report.folder / "summary.json").read_text())
    assert summary == report.summary
    assert summary["outcome"] == "done"
    assert summary["frames"] == {"in": 30, "processed": 30, "dropped": 0, "failed": 0, "pending": 0}
    assert 1 <= summary["people"]["min"] <= summary["people"]["mean"] <= summary["people"]["max"] <= 15
    assert list(summary["ms_per_step"]) == ["read", "resize", "model", "script", "boxes", "store", "total"]
    assert all(0 < step["median"] <= step["p95"] for step in summary["ms_per_step"].values())
    assert summary["frames_per_second"] > 0
    assert {"python", "redis-server", "rededge_nb", "onnxruntime"} <= set(summary["versions"])
    assert list(summary["lines"]) == ["middle", "right"]
    assert list(summary["zones"]) == ["lawn"]
    index = report.index.read_text()
    for name in assets.NOTEBOOKS:
        executed = nbformat.read(report.folder / f"{name}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
        page = (report.folder / f"{name}.html").read_text()
        assert page.count("<img") == PICTURES[name]
        assert f"<title>{name}</title>" in page
        assert "run this cell" not in page
        assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=.?http[^>]+", page) == []
        assert f'href="{name}.html"' in index
    password = StateFolder(folder / "state").password()
    for file in report.folder.iterdir():
        assert password not in file.read_text(), file
    assert re.search(r"^people seen +[4-9]$", report.table(), re.MULTILINE)
    assert f"{summary['people']['seen']} people were seen in 0:02 minutes of video." in index
    assert summary["peak"]["people"] == summary["people"]["max"] == max(summary["people_over_time"]["max"])
    assert summary["video"]["seconds"] == pytest.approx(2.9)
    assert sum(summary["heat_map"]["seconds"]) > 1
    # the frame with the most people, the heat map and the paths are in the page, which loads nothing from elsewhere
    assert index.count('src="data:image/jpeg;base64,') == 3
    assert 'class="mean"' in index
    loaded = re.findall(r"""\b(?:src|href)=["']?([^"'> ]+)|url\(([^)]+)""", index)
    elsewhere = {address for pair in loaded for address in pair if address and not address.startswith("data:")}
    assert elsewhere == {"summary.json"} | {f"{name}.{kind}" for name in assets.NOTEBOOKS for kind in ("html", "ipynb")}
    documented = set(re.findall(r"^\| `([a-z0-9_.<>]+)`", SUMMARY_PAGE.read_text(), re.MULTILINE))
    assert names_in(summary) <= documented
    assert "The number counts visits, not different persons." in index


def test_lines_are_drawn_for_the_sample_video_and_never_beside_those_of_a_camera(client: redis.Redis) -> None:
    files = [pipeline._notebook_file(name) for name in assets.NOTEBOOKS]
    prepared = partial(pipeline._with_something_to_count, client)
    assert prepared("0", files, sample=False) == files[:-1]
    assert prepared("0", files[:-1], sample=True) == files[:-1]
    assert prepared("0", files[-1:], sample=False) == files[-1:]
    assert read_scene(client, "0") == Scene()
    assert prepared("0", files, sample=True) == files
    assert [line.name for line in read_scene(client, "0").lines] == ["middle", "right"]
    assert prepared("0", files, sample=False) == files
    CameraScene(client, "door").line("door", (0.1, 0.5), (0.9, 0.5))
    assert prepared("door", files, sample=True) == files
    assert [line.name for line in read_scene(client, "door").lines] == ["door"]


def test_a_failed_notebook_stops_the_run_and_keeps_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = folder / "notebooks"
    broken.mkdir()
    (broken / "data").symlink_to(assets.folder("notebooks") / "data")
    for name in assets.NOTEBOOKS:
        cell = "raise RuntimeError('<broken> on purpose')" if name == assets.NOTEBOOKS[1] else "print(camera)"
        notebook(broken / f"{name}.ipynb", "camera: str = '0'\nseconds: float = 0", cell)
    monkeypatch.setattr(assets, "folder", lambda name: broken if name == "notebooks" else assets.PACKAGE.parent / name)
    with pytest.raises(PipelineError, match=rf"{assets.NOTEBOOKS[1]}, cell .*<broken> on purpose") as failed:
        pipeline.run_pipeline(directory=folder / "state", seconds=1, output=folder / "runs")
    (run,) = (folder / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["outcome"] == "failed"
    # others may read the reason; where it is on this machine is for who has started the run
    assert summary["error"].endswith(f"<broken> on purpose (all of it in {assets.NOTEBOOKS[1]}.ipynb)")
    assert str(failed.value) == f"{summary['error']}; the folder of the run is {run}"
    assert [step["outcome"] for step in summary["notebooks"]] == ["done", "failed"]
    assert (run / f"{assets.NOTEBOOKS[1]}.html").exists()
    assert not (run / f"{assets.NOTEBOOKS[2]}.ipynb").exists()
    assert "&lt;broken&gt; on purpose" in (run / "index.html").read_text()
    assert server.find(folder / "state") is None


def test_a_running_instance_is_used_and_not_stopped(folder: Path) -> None:
    instance = server.start(folder / "state")
    pid = "from rededge_nb import Workbench\nprint(Workbench().client.info('server')['process_id'])"
    mine = notebook(folder / "mine.ipynb", "camera: str = '0'", pid)
    report = pipeline.run_pipeline(directory=folder / "state", output=folder / "runs", notebooks=[mine], progress=False)
    assert [step["outcome"] for step in report.summary["notebooks"]] == ["done"]
    assert server.find(folder / "state") == instance
    executed = nbformat.read(report.folder / "mine.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{instance.redis_pid}\n"
    client = client_from_url(instance.url)
    assert client.ping()
    client.close()


def test_a_notebook_of_the_user_is_run_with_its_parameters(folder: Path) -> None:
    mine = notebook(folder / "my notebook.ipynb", "word: str = ''\ncamera: str = ''", "print(word, camera)")
    report = pipeline.run_pipeline(
        directory=folder / "state",
        output=folder / "runs",
        notebooks=[mine],
        parameters={"word": "hello"},
        camera="door",
        progress=False,
    )
    [step] = report.summary["notebooks"]
    assert (step["notebook"], step["outcome"]) == ("my notebook", "done")
    executed = nbformat.read(report.folder / "my notebook.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "hello door\n"


def test_wrong_notebooks_and_parameters_are_refused_before_anything_runs(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no notebook nosuch\.ipynb: give the path"):
        pipeline.run_pipeline(output=folder / "runs", notebooks=["nosuch.ipynb"])
    with pytest.raises(ConfigurationError, match="has the parameter wrong; there are camera, "):
        pipeline.run_pipeline(output=folder / "runs", notebooks=assets.NOTEBOOKS[:2], parameters={"wrong": 1})
    assert not (folder / "runs").exists()


def test_old_runs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    runs = ["20260101-000000", "20260101-000000+", "20260102-000000Z", "20260103-000000Z"]
    others = ["20260101", "notes", "20260101-000000.zip", "x20260101-000000"]
    for name in (*runs, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text("{}")
    (tmp_path / "20200101-000000").write_text("a file")
    assert [path.name for path in pipeline.remove_old_runs(tmp_path, keep=2)] == runs[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*runs[2:], *others, "20200101-000000"])
    assert pipeline.remove_old_runs(tmp_path, keep=2) == []
