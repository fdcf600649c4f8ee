"""The charts in JupyterLab: what is drawn, as the page tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Page, expect

from rededge_nb import schema
from rededge_nb.capture import run
from rededge_nb.control import provision
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.live import chart_data
from rededge_nb.reading import series
from tests.browser import jupyter
from tests.browser.conftest import FAST_MODEL, RunNotebook
from tests.waiting import wait_for

SETUP = "from rededge_nb import Workbench\nwb = Workbench()\ncharts = wb.charts('0', minutes=1)"
CHARTS = ".rededge-charts"
LEFT, RIGHT = 46, 14
"""Pixels beside the plots."""


def drawn(page: Page) -> dict[str, int]:
    """Samples in the charts, by series."""
    return dict(json.loads(page.get_attribute(f"{CHARTS}[data-paints]", "data-samples") or ""))


def latest(page: Page) -> dict[str, float | None]:
    """Newest value by series, as the page has it."""
    return dict(json.loads(page.get_attribute(f"{CHARTS}[data-paints]", "data-latest") or ""))


def stored(client: redis.Redis) -> dict[str, float]:
    """Newest value by series, as Redis has it."""
    return {name: each.latest for name, each in series.read_many(client, "0", chart_data.series_names()).items()}


def legend(page: Page, key: str) -> str:
    """What the legend says of one line."""
    return page.locator(f"[data-key='{key}'] .rededge-charts-value").first.inner_text()


def point(page: Page, at: int) -> None:
    """Move the pointer to a time in the first chart, and wait until the legends follow."""
    canvas = page.locator(".rededge-charts-canvas").first
    box = canvas.bounding_box()
    assert box is not None
    start, end = (float(page.get_attribute(CHARTS, f"data-{each}") or 0) for each in ("start", "end"))
    x = LEFT + (at - start) / (end - start) * (box["width"] - LEFT - RIGHT)
    canvas.hover(position={"x": x, "y": 50})
    page.wait_for_function("document.querySelector('.rededge-charts-canvas').ariaLabel.includes(', at ')")


def add(client: redis.Redis, samples: Mapping[str, Mapping[int, float]]) -> None:
    for name, values in samples.items():
        words = [word for at, value in values.items() for word in (schema.series_key("0", name), at, value)]
        client.execute_command("TS.MADD", *words)


def colours(page: Page, panel: int) -> set[str]:
    """Colours of the pixels of a chart."""
    found: list[str] = page.evaluate(
        """panel => {
            const canvas = document.querySelectorAll(".rededge-charts-canvas")[panel];
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const colours = new Set();
            for (let at = 0; at < data.length; at += 4) {
                if (data[at + 3] > 230) colours.add([...data.slice(at, at + 3)].join());
            }
            return [...colours];
        }""",
        panel,
    )
    return set(found)


@pytest.fixture
def past(client: redis.Redis) -> int:
    """A time long gone, up to which camera 0 has two minutes of samples: the charts stand still there."""
    series.create_series(client, "0")
    end = chart_data.server_ms(client) // 60_000 * 60_000 - 30 * 60_000
    each_second = range(end - 120_000, end, 1000)
    add(client, {"people": {at: at // 1000 % 10 for at in each_second}})
    add(client, {"in_fps": dict.fromkeys(each_second, 20), "out_fps": dict.fromkeys(each_second, 15)})
    for index, step in enumerate(schema.STEPS):
        add(client, {f"prf_{step}": dict.fromkeys(each_second, index + 1)})
    add(client, {"prf_total": dict.fromkeys(each_second, 21)})
    return end


def test_charts_show_what_redis_has_and_grow_with_a_capture(
    client: redis.Redis, video: Path, run_notebook: RunNotebook
) -> None:
    provision.provision(client, model=FAST_MODEL)
    run.capture(client, video, frames=20, pace="asap")
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    before = drawn(page)
    assert before["people"] == before["prf_total"] == 20
    page.wait_for_selector(".rededge-charts-times:text-is('positions in the recording')")
    page.wait_for_selector(".rededge-charts-status:text-is('recording')")
    start, end = (float(page.get_attribute(CHARTS, f"data-{edge}") or "") for edge in ("start", "end"))
    people = series.read_series(client, "0", "people")
    first, last = int(people.timestamps_ms[0]), int(people.timestamps_ms[-1])
    assert (start, end) == (first, first + 10_000), "as wide as the recording, which is shorter than the charts"
    assert last < end
    # at its own speed: counting a recording again as fast as possible would replace the samples from before
    with run.start_capture(client, video, frames=30) as running:
        zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        page.wait_for_selector(f".rededge-charts-times:text-is('times: {zone}')")
        histories = jupyter.execute(page, "print(charts.stats().histories)")
        wait_for(lambda: drawn(page)["people"] > before["people"], timeout=60, what="the charts to grow")
        running.wait(60)
    wait_for(lambda: latest(page) == pytest.approx(stored(client)), timeout=60, what="the newest samples")
    assert jupyter.execute(page, "print(charts.stats().histories)") == histories, "only what is new was sent"
    people = series.read_series(client, "0", "people")
    start, end = (float(page.get_attribute(CHARTS, f"data-{edge}") or "") for edge in ("start", "end"))
    assert drawn(page)["people"] == sum(start <= at <= end for at in people.timestamps_ms.tolist()) > 0
    assert legend(page, "people") == f"{people.latest:g}"


def test_every_line_and_area_is_drawn_in_its_colour(past: int, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    counted = drawn(page)
    assert 44 <= counted["people"] <= 46, "a quarter of the charts is silence"
    assert counted["people"] == counted["prf_model"]
    steps = colours(page, 2)
    areas = json.loads(page.get_attribute(CHARTS, "data-colors") or "")["area"]
    for step in schema.STEPS:
        rgb = [int(value) for value in re.findall(r"\d+", areas[step])]
        assert any(max(abs(a - b) for a, b in zip(map(int, c.split(",")), rgb, strict=True)) <= 14 for c in steps), step
    assert [legend(page, key) for key in ("people", "dropped", "prf_total")] == ["\u2013", "\u2013 %", "\u2013 ms"]
    point(page, past - 10_000)
    assert legend(page, "prf_total") == "21.0 ms"
    assert legend(page, "p95") == "21.0 ms"
    assert legend(page, "dropped") == "25 %"


def test_lines_and_zones_have_charts_of_their_own_when_they_are_drawn(
    past: int, client: redis.Redis, run_notebook: RunNotebook
) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    canvases = page.locator(".rededge-charts-canvas")
    expect(canvases).to_have_count(3)
    CameraScene(client, "0").line("door", (0, 0.5), (1, 0.5), forward="in", backward="out").zone(
        "queue", [(0, 0), (1, 0), (1, 1)]
    )
    add(client, {"line:door:forward": {past - 20_000: 2, past - 10_000: 3}})
    add(client, {"zone:queue:people": dict.fromkeys(range(past - 60_000, past, 1000), 4)})
    expect(canvases).to_have_count(5, timeout=60_000)
    expect(canvases.nth(1)).to_have_attribute("aria-label", re.compile("door: in 5, door: out 0$"))
    point(page, past - 15_000)
    expect(canvases.nth(1)).to_have_attribute("aria-label", re.compile("door: in 2, door: out 0$"))
    expect(canvases.nth(2)).to_have_attribute("aria-label", re.compile("queue 4$"))
    CameraScene(client, "0").remove("door").remove("queue")
    expect(canvases).to_have_count(3, timeout=60_000)


def test_columns_of_milliseconds_show_median_and_p95_and_mark_what_is_higher(
    past: int, client: redis.Redis, run_notebook: RunNotebook
) -> None:
    # a hundred frames in a second: the median is 21 ms, but four of them took a second
    second = past - 20_000
    add(client, {"prf_total": {second + 10 * each: 21 for each in range(1, 99)}})
    add(client, {"prf_total": dict.fromkeys(range(second + 800, second + 840, 10), 1000)})
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    assert legend(page, "clipped") == "1000 ms"
    point(page, second + 815)
    assert legend(page, "prf_total") == "21.0 ms"


def test_the_slider_changes_what_is_shown(past: int, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    assert drawn(page)["people"] < 60
    slider = page.get_by_role("slider", name="Window")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"{CHARTS}[data-minutes='5']")
    page.wait_for_function(f"JSON.parse(document.querySelector('{CHARTS}').dataset.samples).people === 120")
    start, end = (float(page.get_attribute(CHARTS, f"data-{each}") or 0) for each in ("start", "end"))
    assert end - start == 5 * 60_000
    assert jupyter.execute(page, "print(charts.minutes)") == "5.0\n"
    assert page.locator(".jp-Cell").count() == 2, "arrows are not JupyterLab's here"
    jupyter.execute(page, "charts.minutes = 2")
    page.wait_for_selector(f"{CHARTS}[data-minutes='2']")
    expect(slider).to_have_value("2")


def test_the_average_can_be_selected(past: int, client: redis.Redis, run_notebook: RunNotebook) -> None:
    # apart from the others, so that each average is another number
    add(client, {"people": {past - 10 * 60_000: 60}})
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    for minutes in schema.COMPACTION_MINUTES:
        page.get_by_role("button", name=f"{minutes} min", exact=True).click()
        point(page, past - 1000)
        expected = latest(page)[f"people_avg_{minutes}m"]
        assert expected is not None
        page.wait_for_function(
            "text => document.querySelector(\"[data-key='average'] .rededge-charts-value\").textContent === text",
            arg=f"{expected:.1f}",
        )
        wait_for(
            lambda wanted=minutes: jupyter.execute(page, "print(charts.average)") == f"{wanted}\n",
            what="the kernel to hear of it",
        )


def test_the_crosshair_shows_the_values_of_its_time(past: int, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    canvas = page.locator(".rededge-charts-canvas").first
    box = canvas.bounding_box()
    assert box is not None
    start, end = (float(page.get_attribute(CHARTS, f"data-{each}") or 0) for each in ("start", "end"))
    assert end == past + 15_000
    for seconds in (10, 23):
        at = past - seconds * 1000
        x = LEFT + (at - start) / (end - start) * (box["width"] - LEFT - RIGHT)
        canvas.hover(position={"x": x, "y": 50})
        page.wait_for_function(
            "text => document.querySelector(\"[data-key='people'] .rededge-charts-value\").textContent === text",
            arg=str(at // 1000 % 10),
        )
        assert legend(page, "in_fps") == "20.0"
        assert legend(page, "prf_model") == f"{schema.STEPS.index('model') + 1:.1f}"
    canvas.hover(position={"x": box["width"] - RIGHT - 2, "y": 50})
    page.wait_for_function(
        "document.querySelector(\"[data-key='people'] .rededge-charts-value\").textContent === '\\u2013'",
    )


def test_another_page_gets_everything(
    past: int, lab: jupyter.Lab, run_notebook: RunNotebook, open_page: Callable[[], Page]
) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    before = drawn(page)
    jupyter.wait_until_idle(page)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    other = open_page()
    jupyter.open_notebook(other, lab, str(page.evaluate("notebookPanel.context.path")))
    other.wait_for_selector(f"{CHARTS}[data-paints]")
    assert drawn(other) == before


def test_a_second_view_has_everything_and_hidden_charts_are_sent_nothing(
    past: int, client: redis.Redis, run_notebook: RunNotebook
) -> None:
    page = run_notebook([SETUP, "charts", "charts"])
    page.wait_for_function(f"document.querySelectorAll('{CHARTS}').length === 2")
    # only charts that are seen are drawn, and the two may not fit into the window together
    for each in (0, 1):
        page.locator(CHARTS).nth(each).scroll_into_view_if_needed()
        page.wait_for_function(f"document.querySelectorAll('{CHARTS}')[{each}].dataset.samples")
    first, second = (page.locator(CHARTS).nth(each).get_attribute("data-samples") for each in (0, 1))
    assert first == second
    jupyter.command(page, "launcher:create")
    wait_for(lambda: "unseen" in jupyter.execute(page, "print(charts)"), timeout=60, what="the charts to be hidden")


def test_charts_are_drawn_while_cells_run(past: int, client: redis.Redis, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts", "wb.client.blpop('go on', 100)"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    at = past - 500
    add(client, {"people": {at: 77}})
    page.wait_for_function(f"JSON.parse(document.querySelector('{CHARTS}').dataset.latest).people === 77")
    blocked = [one for one in client.client_list() if one["cmd"] == "blpop" and "b" in one["flags"]]
    assert len(blocked) == 1, "the cell is still running"
    client.rpush("go on", "please")
    jupyter.wait_until_idle(page)


def test_missing_series_are_shown_as_text(client: redis.Redis, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(".rededge-charts-notice:text('Camera 0 has no time series: wb.provision')")
    page.wait_for_selector(".rededge-charts-status:text('no samples')")
    series.create_series(client, "0")
    page.wait_for_selector(".rededge-charts-notice", state="hidden")
    page.wait_for_selector(".rededge-charts-status:text('are capture and gear running?')")
    jupyter.execute(page, "charts._notice = '<b>bold</b>'")
    page.wait_for_selector(".rededge-charts-notice:text('<b>bold</b>')")


def test_no_drops_are_shown_if_processed_frames_are_not_counted(
    past: int, client: redis.Redis, run_notebook: RunNotebook
) -> None:
    client.delete(schema.series_key("0", "out_fps"))
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    point(page, past - 10_000)
    assert [legend(page, each) for each in ("in_fps", "out_fps", "dropped")] == ["20.0", "\u2013", "\u2013 %"]
    series.create_series(client, "0")
    page.wait_for_selector(".rededge-charts-notice", state="hidden")
    point(page, past - 10_000)
    page.wait_for_selector("[data-key='dropped'] .rededge-charts-value:text-is('100 %')")


def test_close_replaces_the_charts_by_an_image(past: int, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "charts"])
    page.wait_for_selector(f"{CHARTS}[data-paints]")
    jupyter.execute(page, "wb.close()")
    page.wait_for_selector(CHARTS, state="detached")
    page.wait_for_selector(".jp-OutputArea-output img[src^='data:image/png']")
    threads = jupyter.execute(page, "import threading; print([each.name for each in threading.enumerate()])")
    assert "rededge charts" not in threads
