"""What a notebook shows when its kernel has ended, and when its page is loaded again after that."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from playwright.sync_api import Locator, Page, expect

from rededge_nb.capture.run import start_capture
from rededge_nb.control import provision
from tests.browser import jupyter
from tests.browser.conftest import FAST_MODEL
from tests.browser.jupyter import Lab

SETUP = "from rededge_nb import Workbench, interactive_plot, plot_frame\nwb = Workbench()\ncam = wb.camera('0')"
VIEWS = {
    ".rededge-player": "wb.player('0')",
    ".rededge-charts": "wb.charts('0')",
    ".rededge-panel": "wb.gear_panel('0')",
    ".rededge-dashboard": "wb.dashboard('0')",
}
SLIDER = """
from ipywidgets import IntSlider
found = cam.detections()
interactive_plot(lambda index: plot_frame(cam.frame(found[index].ref).image()), IntSlider(0, 0, 2, description="frame"))
"""
MISSING = "model not found"
ENDED = "run this cell to"
ICONS = """
[...document.querySelectorAll(":is(.rededge-panel, .rededge-dashboard) .jupyter-widgets-disconnected")]
    .filter(each => getComputedStyle(each, "::before").display !== "none").length
"""
SILENT = "no message from the kernel for"


@pytest.fixture
def path(client: redis.Redis, video: Path, lab: Lab) -> Path:
    provision.provision(client, model=FAST_MODEL)
    with start_capture(client, video, frames=5, pace="asap") as capture:
        capture.wait()
    return jupyter.write_notebook(lab, "kernel-ends", [SETUP, *VIEWS.values(), SLIDER])


def outputs(page: Page) -> list[Locator]:
    """What the cells show, but for the first, which shows nothing."""
    return page.locator(".jp-Cell-outputArea").all()[1:]


def test_a_view_whose_kernel_has_ended_says_so_and_after_a_reload_its_snapshot_is_shown(
    path: Path, lab: Lab, lab_page: Page
) -> None:
    page = lab_page
    # with all cells in the page at once
    page.set_viewport_size({"width": 1280, "height": 5000})
    jupyter.open_in_same_page(page, path.name)
    jupyter.run_all_cells(page)
    for view in VIEWS:
        expect(page.locator(view).first).to_be_visible(timeout=jupyter.TIMEOUT * 1000)
    jupyter.wait_until_idle(page)
    for output in outputs(page):
        expect(output).not_to_contain_text(ENDED, use_inner_text=True)
        expect(output).not_to_contain_text(SILENT, use_inner_text=True)

    page.wait_for_function("getComputedStyle(document.querySelector('.rededge-tiles')).opacity === '1'")

    page.evaluate("notebookPanel.sessionContext.restartKernel()")
    for output in outputs(page)[: len(VIEWS)]:
        expect(output).to_contain_text(SILENT, use_inner_text=True, timeout=30_000)
    # the last figures are not those of the present
    page.wait_for_function("getComputedStyle(document.querySelector('.rededge-tiles')).opacity < 1")
    # JupyterLab's icons of broken links would take the places of the parts
    assert page.evaluate(ICONS) == 0

    page.evaluate("notebookPanel.context.save()")
    jupyter.open_notebook(page, lab, path.name)
    for output in outputs(page):
        expect(output.get_by_text(MISSING)).to_be_attached()
        expect(output).to_contain_text(ENDED, use_inner_text=True)
        expect(output).not_to_contain_text(MISSING, use_inner_text=True)
