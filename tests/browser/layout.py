"""What a page must not do in any window: show scrollbars that are not needed, hide parts, or lack accessible names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SIZES = [(1280, 800), (1440, 900), (1920, 1080), (390, 844)]
PHONE = (390, 844)
PATIENCE = 30.0
"""Seconds in which a layout follows what has changed."""

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
_KEYBOARD = """
root => {
  const kinds = 'button, select, input, textarea, a[href], [tabindex="0"]';
  const controls = () => [...document.querySelectorAll(`${root} :is(${kinds})`)]
    .filter(each => !each.disabled && each.checkVisibility({ visibilityProperty: true }));
  const look = each => {
    const { boxShadow, borderColor, backgroundColor } = getComputedStyle(each);
    return [boxShadow, borderColor, backgroundColor].join();
  };
  // the button of an upload is the area around its field
  const shown = each => each.closest(".rededge-upload") ?? each;
  // rows of tables and lists are made anew when something changes
  const name = each => each.dataset.id ?? each;
  window.keyboard = { name, controls, look, shown, visited: new Set(), before: new Map() };
  for (const each of controls()) window.keyboard.before.set(name(each), look(shown(each)));
  document.activeElement.blur();
  return controls().length;
}
"""
_FOCUSED = """
() => {
  const { name, look, shown, visited, before } = window.keyboard;
  const focused = document.activeElement;
  // after the last control, the browser takes the focus, and begins again
  if (focused === document.body) return "";
  if (visited.has(name(focused))) return null;
  visited.add(name(focused));
  const luminance = color => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const linear = [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)]
      .map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  let ground = focused.parentElement;
  const clear = each => /^rgba\\(.*, 0\\)$/.test(getComputedStyle(each).backgroundColor);
  while (ground.parentElement && clear(ground)) ground = ground.parentElement;
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(focused);
  const colors = [outlineColor, getComputedStyle(ground).backgroundColor];
  const [dark, light] = colors.map(luminance).sort((one, other) => one - other);
  // a browser draws its own outline, "auto", in two colours
  const outlined = parseFloat(outlineWidth) >= 1
    && (outlineStyle === "auto" || (outlineStyle !== "none" && (light + 0.05) / (dark + 0.05) >= 3));
  const changed = before.has(name(focused)) && look(shown(focused)) !== before.get(name(focused));
  if (outlined || changed) return "";
  return focused.outerHTML.slice(0, 200);
}
"""
_UNREACHED = """
() => {
  const { controls, name, visited } = window.keyboard;
  return controls().filter(each => !visited.has(name(each))).map(each => each.outerHTML.slice(0, 200));
}
"""
_MOST_CONTROLS = 300
_AXE = {"resultTypes": ["violations"]}


def wait_until_none(find: Callable[[Page, str], list[str]], page: Page, root: str) -> None:
    """Wait until one of the functions below finds nothing: a page that changes may need a moment."""
    deadline = time.monotonic() + PATIENCE
    while found := find(page, root):
        assert time.monotonic() < deadline, f"{find.__name__}: {found}"


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


def keyboard_problems(page: Page, root: str) -> list[str]:
    """The controls in `root` that Tab does not reach, or that do not look different when they have the focus.

    No control may appear meanwhile.
    """
    assert page.evaluate(_KEYBOARD, root) > 0
    problems = []
    for _ in range(_MOST_CONTROLS):
        page.keyboard.press("Tab")
        unseen = page.evaluate(_FOCUSED)
        if unseen is None:
            return problems + [f"not reached: {each}" for each in page.evaluate(_UNREACHED)]
        problems += [f"its focus is not visible: {unseen}"] if unseen else []
    raise AssertionError(f"the focus did not come back to the first control after {_MOST_CONTROLS} steps")
