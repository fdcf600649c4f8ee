"""A page with JupyterLab that tests use one after the other: to load it takes several seconds of a processor."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser import jupyter
from tests.browser.jupyter import Lab, Watch

VIEWPORT: Any = {"width": 1280, "height": 800}


class Desk:
    """A page with JupyterLab, and a kernel for notebooks that need none of their own."""

    def __init__(self, browser: Browser, lab: Lab) -> None:
        self._browser, self._lab = browser, lab
        self._page: Page | None = None
        self._watch = Watch()
        self._free_kernel: str | None = None

    def page(self) -> Page:
        """JupyterLab without notebooks."""
        if self._page is None:
            self._watch = Watch()
            self._page = self._browser.new_context().new_page()
            self._page.set_default_timeout(jupyter.TIMEOUT * 1000)
            self._watch.attach(self._page)
            self._page.goto(f"{self._lab.url}/lab?reset", timeout=jupyter.TIMEOUT * 1000)
        self._page.set_viewport_size(VIEWPORT)
        # so that nothing appears under the pointer
        self._page.mouse.move(0, 0)
        return self._page

    def open(self, path: str) -> None:
        """Open a notebook, given by its path in the lab's folder, with the kernel that the notebook before has left."""
        kernel, self._free_kernel = self._free_kernel, None
        jupyter.open_in_same_page(self.page(), path, kernel)

    def keep_kernel(self) -> None:
        """Close the workbench `wb` of the notebook and forget everything else, so that the next one gets its kernel."""
        page = self.page()
        jupyter.forget_everything(page)
        self._free_kernel = jupyter.kernel_id(page)

    def clear(self) -> None:
        """Close the notebooks, saving nothing; fails if the page did what it must not do."""
        jupyter.close_notebooks(self.page())
        self._watch.check()

    def replace(self) -> None:
        """Close the page, and end the kernel of its notebook: the next test gets new ones."""
        page, self._page, self._free_kernel = self._page, None, None
        if page is not None:
            jupyter.shut_down_kernel(page)
            page.context.close()
