"""Fixtures: a JupyterLab, a browser, pages that fail their test on errors and on requests that leave the machine."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rededge_nb.edge.server.state import Instance
from tests.browser import jupyter
from tests.browser.desk import VIEWPORT, Desk
from tests.browser.jupyter import Lab, Watch
from tests.conftest import empty

RunNotebook = Callable[[Sequence[str]], Page]

HERE = Path(__file__).parent
FAST_MODEL = "nanodet-g-fast"
"""The model of tests in which cameras are live: with the default one, it would take most of the processors' time."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=jupyter.TIMEOUT * 1000)

_names = (f"notebook-{number}" for number in itertools.count(1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; without one, the tests are skipped."""
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no browser ({', '.join(CHROMIUM_NAMES)}): install it with `apt-get install chromium`")


@pytest.fixture(scope="session")
def lab(chromium: str, edge: Instance, own_state_folder: Path) -> Iterator[Lab]:
    """A JupyterLab whose kernels use the server that tests share."""
    with jupyter.running_lab(own_state_folder / "lab", jupyter.environment()) as running:
        yield running


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # with scrollbars, as people see them: playwright would hide them
        hidden = ["--hide-scrollbars"]
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(jupyter.CHROMIUM_FLAGS), ignore_default_args=hidden
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Opens pages, each with a profile of its own, that are watched until the test ends."""
    contexts = []
    watch = Watch()

    def open_one() -> Page:
        context = browser.new_context(viewport=VIEWPORT)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(jupyter.TIMEOUT * 1000)
        watch.attach(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    watch.check()


@pytest.fixture
def page(open_page: Callable[[], Page]) -> Page:
    """A watched page."""
    return open_page()


@pytest.fixture(scope="session")
def desk(browser: Browser, lab: Lab) -> Iterator[Desk]:
    desk = Desk(browser, lab)
    yield desk
    desk.replace()


@pytest.fixture
def has_failed(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Tells, after a test, whether it has failed."""
    before = request.session.testsfailed
    return lambda: request.session.testsfailed > before


@pytest.fixture
def lab_page(desk: Desk, has_failed: Callable[[], bool]) -> Iterator[Page]:
    """A watched page with JupyterLab, without notebooks, which tests before have used, too."""
    yield desk.page()
    try:
        if not has_failed():
            desk.clear()
            return
    except BaseException:
        desk.replace()
        raise
    desk.replace()


@pytest.fixture
def run_notebook(
    lab: Lab, desk: Desk, lab_page: Page, client: redis.Redis, has_failed: Callable[[], bool]
) -> Iterator[RunNotebook]:
    """Opens a notebook of the given code cells in `lab_page`, and runs them all, not waiting for their end.

    It may get the kernel of a notebook before. The cells make a workbench `wb`, which is closed after the test.
    """
    opened = False

    def run(cells: Sequence[str]) -> Page:
        nonlocal opened
        desk.open(jupyter.write_notebook(lab, next(_names), cells).name)
        opened = True
        jupyter.run_all_cells(lab_page)
        return lab_page

    yield run
    if opened and not has_failed():
        # closed views leave an image, which takes less time when there is nothing to draw
        empty(client)
        desk.keep_kernel()
