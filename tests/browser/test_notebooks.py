"""Every notebook of the course in JupyterLab: all cells run, then looked at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import redis
from playwright.sync_api import Page

from rededge_nb import assets
from tests.browser import jupyter
from tests.browser.jupyter import Lab

NAMES = sorted(path.stem for path in assets.folder("notebooks").glob("*.ipynb"))
SCREENSHOTS = "REDEDGE_SCREENSHOTS"
"""Folder that the pictures of notebooks are to be put into."""
LIVE = {
    "04_watch_streams": ".rededge-player-stage",
    "05_time_series": ".rededge-charts",
    "06_dashboard": ".rededge-player-stage",
    "07_lines_and_zones": ".rededge-player-stage",
}
"""What moves in a notebook when all of its cells have run."""
OTHERWISE = {
    "03_produce_frames": ("seconds: float = 0 ", "seconds: float = 5 "),
    "05_time_series": ("minutes: float = 5.0 ", "minutes: float = 1.0 "),
}
"""Changes to the parameters."""
CHANGES = 5
"""How often a view must change to be called live."""

UNDONE = """
[...notebookPanel.content.widgets]
    .filter(cell => cell.model.type === "code" && cell.model.executionCount === null)
    .map(cell => cell.model.sharedModel.getSource())
"""
ERRORS = """
[...notebookPanel.content.widgets]
    .filter(cell => cell.model.type === "code")
    .flatMap(cell => cell.model.outputs.toJSON())
    .filter(output => output.output_type === "error" || output.name === "stderr")
    .map(output => output.evalue ?? output.text)
"""


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def course(lab: Lab, client: redis.Redis) -> Iterator[Path]:
    """The folder of the notebooks, without outputs, in the lab's own."""
    folder = lab.folder / "course"
    shutil.copytree(assets.folder("notebooks"), folder)
    for name in NAMES:
        path = folder / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                cell.source = cell.source.replace(*OTHERWISE.get(name, ("", "")))
        nbformat.write(notebook, path)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", NAMES)
def test_all_cells_run_without_errors(name: str, course: Path, lab: Lab, page: Page, screenshots: Path) -> None:
    jupyter.open_notebook(page, lab, f"{course.name}/{name}.ipynb")
    try:
        jupyter.run_all_cells(page)
        page.wait_for_function(f"!{UNDONE}.length")
        jupyter.wait_until_idle(page)
        assert page.evaluate(ERRORS) == []
        if name in LIVE:
            take_picture(page, LIVE[name], screenshots / f"{name}.png")
    finally:
        jupyter.shut_down_kernel(page)


def take_picture(page: Page, selector: str, target: Path) -> None:
    """Wait until something is seen to move, and keep a picture of the page from there on."""
    jupyter.command(page, "application:toggle-left-area")
    output = f"document.querySelector('{selector}').closest('.jp-OutputArea')"
    page.wait_for_selector(f"{selector} canvas")
    page.evaluate(f"{output}.scrollIntoView({{ block: 'start' }})")
    canvas = f"{output}.querySelector('canvas').toDataURL()"
    for _ in range(CHANGES):
        before = page.evaluate(canvas)
        page.wait_for_function(f"before => {canvas} !== before", arg=before)
    page.screenshot(path=target)
