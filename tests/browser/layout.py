"""What a page must not do in any window: show scrollbars that are not needed, hide parts, or lack accessible names."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SIZES = [(1280, 800), (1440, 900), (1920, 1080), (390, 844)]
PHONE = (390, 844)

_SCROLLABLE = """
root => [...document.querySelectorAll(root), ...document.querySelectorAll(`${root} *`)]
  .filter(each => each.checkVisibility({ visibilityProperty: true }))
  .filter(each => {
    const style = getComputedStyle(each);
    const scrolls = overflow => ["auto", "scroll"].includes(overflow);
    return (scrolls(style.overflowY) && each.scrollHeight > each.clientHeight)
      || (scrolls(style.overflowX) && each.scrollWidth > each.clientWidth);
  })
  .map(each => each.outerHTML.slice(0, 200))
"""
_OUTSIDE = """
root => {
  const right = document.querySelector(root).getBoundingClientRect().right;
  return [...document.querySelectorAll(`${root} *`)]
    .filter(each => each.checkVisibility() && each.getBoundingClientRect().width)
    .filter(each => !each.closest(".rededge-unlabelled > .widget-label"))
    .filter(each => each.getBoundingClientRect().right > right + 1)
    .map(each => each.outerHTML.slice(0, 200));
}
"""
_CUT_OFF = """
root => [...document.querySelectorAll(`${root} :is(.rededge-tile > :not(.rededge-tile-label), .rededge-charts-entry)`)]
  .filter(each => each.checkVisibility() && each.textContent)
  .filter(each => {
    const { paddingRight } = getComputedStyle(each.parentElement);
    const right = each.parentElement.getBoundingClientRect().right - parseFloat(paddingRight);
    return each.scrollWidth > each.clientWidth || each.getBoundingClientRect().right > right + 1;
  })
  .map(each => each.outerHTML.slice(0, 200));
"""
_AXE = {"resultTypes": ["violations"]}


def scrollable(page: Page, root: str) -> list[str]:
    """The visible elements in `root`, and it itself, that show a scrollbar."""
    return list(page.evaluate(_SCROLLABLE, root))


def sticking_out(page: Page, root: str) -> list[str]:
    """The visible elements that are partly beyond the right edge of `root`."""
    return list(page.evaluate(_OUTSIDE, root))


def cut_off(page: Page, root: str) -> list[str]:
    """Figures and legends whose text is wider than its place. (Names of lines may be.)"""
    return list(page.evaluate(_CUT_OFF, root))


def pictures(page: Page, grid: str) -> list[Any]:
    """The boxes of the pictures in a grid of cameras."""
    return [each.bounding_box() for each in page.locator(f"{grid} .rededge-player-stage").all()]


def columns(page: Page, grid: str) -> int:
    """The number of columns of a grid of cameras, whose pictures may have different widths."""
    return len({round(box["x"] + box["width"] / 2) for box in pictures(page, grid)})


def serious_problems(page: Page, root: str) -> list[str]:
    """What axe-core calls serious or critical problems of accessibility in `root`."""
    results: Any = Axe().run(page, context=root, options=_AXE)
    return [
        f"{violation['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
