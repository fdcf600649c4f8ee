"""A newcomer's first hour: clone, `rededge lab`, and in every notebook "Run All" and all exercises, word for word.

The tests of this file share a checkout and a JupyterLab and run in this order, as the newcomer does. The last one is
what comes afterwards: the pipeline runs, and the checkout is unchanged. The exercises that install packages or need a
webcam are left out.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, Page, expect

from rededge_nb import assets, settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.reading.frames import next_frame_arrives
from tests.browser import jupyter
from tests.browser.desk import Desk
from tests.browser.jupyter import Lab
from tests.paths import TOP
from tests.waiting import wait_for

NAMES = sorted(path.stem for path in assets.folder("notebooks").glob("*.ipynb"))
COPY = "rededge-notebooks"
LIVE = {
    "04_watch_streams": ".rededge-player-stage",
    "05_time_series": ".rededge-charts",
    "06_dashboard": ".rededge-player-stage",
    "07_lines_and_zones": ".rededge-player-stage",
}
"""What moves in a notebook when all of its cells have run."""
CHANGES = 3
"""How often a view must change to be called live."""
PATIENCE = 60.0
"""Seconds that a result may take."""
SHORTER = {
    "01_load_model": [
        ("timing: float = 0.5 ", "timing: float = 0.1 "),
        ("%timeit -r 5 -n 5 ", "%timeit -r 1 -n 2 "),
        ("frames=20", "frames=2"),
    ],
    "03_produce_frames": [("seconds: float = 0 ", "seconds: float = 3 ")],
    "05_time_series": [("minutes: float = 5.0 ", "minutes: float = 1.0 ")],
    "07_lines_and_zones": [("seconds: float = 40.0 ", "seconds: float = 5.0 ")],
    "08_events": [("seconds: float = 20.0 ", "seconds: float = 3.0 ")],
    "09_look_back": [("days: int = 14 ", "days: int = 2 ")],
    "10_score": [("seconds: float = 60.0 ", "seconds: float = 10.0 ")],
}
"""What is changed to save time."""
CROWD = """%%gear --id crowd
gear = GB("StreamReader")
gear.filter(lambda record: int(record["value"]["people"]) > 5)
gear.foreach(lambda record: execute("INCR", "crowded"))
gear.register("camera:0:yolo", trimStream=False)"""
MANY_BOXES = """found, sure = detect_people(wb.client, card, image, iou=0.9)
plot_frame(draw_boxes(image, found, sure), title=f"{len(found)} boxes")"""
FOLLOW = "for found in cam.follow(seconds=5):\n    print(found)"
LONGEST = "longest = max(tracks, key=lambda track: track.seconds)\nplot_tracks([longest], frame.image())"
OVERLOAD = "cam.summary(cam.capture(source, fps=60, seconds=5))"
WORDS = """words = GB("KeysReader").flatmap(lambda record: record["value"].split())
words.filter(lambda word: len(word) > 3).countby().run(prefix + "*")"""
SLOWLY = """async def slowly(arguments):
    await asyncio.sleep(1)
    return len(arguments)

GB("CommandReader").map(slowly).register(trigger="slowly")"""
LENGTHS = """def length(record):
    execute("HSET", "lengths", record["key"], len(record["value"]))

GB("KeysReader").foreach(length).register("tour:*", eventTypes=["set"])"""

# for each notebook: what is typed into new cells, and a pattern that is found in what they show
EXERCISES: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [
        ("wb.models.list?", ""),
        ('%redis SET greeting "hello $camera"', "^OK$"),
        ("reply = %redis GET greeting\nreply.value", "b'hello 0'"),
        ("%redis DEL greeting", "integer. 1"),
    ],
    "01_load_model": [(MANY_BOXES, "")],
    "02_register_gear": [
        ("%redis XADD $numbers * n 7", r"\d+-\d+"),
        ("%redis LRANGE $squares 0 -1", '"49"'),
        ("%redis XADD $numbers * n six", ""),
        (CROWD, "^OK$"),
        ("%redis GET crowded", "nil"),
    ],
    "03_produce_frames": [
        ("cam.play(source, minutes=1)", ""),
        (OVERLOAD, r"(?s)dropped"),
        ("cam.capture('photos')", r"2 frames"),
        ("short = [track for track in cam.tracks() if track.seconds < 5]\nshort[0].path", r"\d"),
        ("%redis GET crowded", r'"\d+"'),
    ],
    "04_watch_streams": [
        ("%redis XREAD BLOCK 5000 STREAMS camera:0:yolo $", '"boxes"'),
        (FOLLOW, r"(?s)(people.*){2}"),
        ("%redis XADD camera:0 * image rubbish keep 1", r"\d+-\d+"),
        ("cam.errors()", "image"),
        (LONGEST, "Axes"),
        ('wb.gears.pause("people_counter")', ""),
    ],
    "05_time_series": [
        ("%redis TS.RANGE camera:0:people $start_ms + AGGREGATION max 10000", r'"?\d+"?'),
        ("%redis TS.MRANGE $start_ms + COUNT 3 FILTER camera=0 __name__=(in_fps,out_fps)", "camera:0:out_fps"),
        ('plot_people(cam.series("detected", start_ms=start_ms))', "Axes"),
        ("{name: median_p95(f'prf_{name}') for name in ('read', 'resize', 'model', 'store')}", "model"),
    ],
    "07_lines_and_zones": [
        ('cam.scene.line("path", (0.2, 0.6), (0.7, 0.6), forward="down", backward="up")', ""),
        ('cam.capture(source, pace="asap", seconds=5, replace=True)', "50 frames"),
        ("cam.crossings()", "path"),
        ('cam.scene.reverse("middle")', ""),
        ('cam.scene.rename("lawn", "grass")', ""),
        ("%redis TS.INFO camera:park:zone:grass:people", "grass"),
        ('cam.scene.mask([(0.7, 0), (1, 0), (1, 0.3)], style="blur")', ""),
        ('cam.scene.remove("mask-1")', ""),
    ],
    "08_events": [
        ('cam.scene.rule("crossing", "crossings", line="middle", within=2, cooldown=20)', "crossing"),
        (
            'cam.acknowledge(next(each.alarm for each in cam.alarms() if each.rule == "crowd")).acknowledged_ms',
            r"^\d+",
        ),
        ("cam.clip(int(time.time() * 1000), before=10, after=0)", "pixels"),
    ],
    "09_look_back": [
        ('plot_week(by_hour, "line:side:backward")', "Axes"),
        ('by_day.select("start", "zone:desk:stays", "zone:desk:stay_mean_s")', "zone:desk:stays"),
        ('cam.history(start, end, every="1d", time_zone="America/New_York")', "America/New_York"),
    ],
    "10_score": [
        ("[(each / 10, follow(each / 10).scene.lines) for each in range(1, 4)]", "matched="),
    ],
    "tour_redisai": [
        ("%redis AI.TENSORSET words STRING 3 VALUES sea open blue", "OK"),
        ("%redis AI.TENSORGET words VALUES", "(?s)sea.*blue"),
        ("%redis AI.TENSORGET words BLOB", "sea"),
    ],
    "tour_redisgears": [
        (f"%%gear --with prefix\n{WORDS}", ""),
        (f"%%gear --id lengths\n{LENGTHS}", "^OK$"),
        ("%redis SET tour:text 'some words'", "^OK$"),
        (f"%%gear --id slowly\n{SLOWLY}", "^OK$"),
        ("%redis RG.TRIGGER slowly a b", "3"),
    ],
}
CELLS = ("camera: str", "wb = Workbench()", "board = wb.dashboard")
"""Parts of the cells that show the dashboard."""
ENDLESS = "%%gear\nGB('PythonReader').map(lambda x: print('once more')).run(lambda: iter([1]))"

_UNDONE = """
[...notebookPanel.content.widgets]
    .filter(cell => cell.model.type === "code" && cell.model.executionCount === null)
    .map(cell => cell.model.sharedModel.getSource())
"""
_ERRORS = """
[...notebookPanel.content.widgets]
    .filter(cell => cell.model.type === "code")
    .flatMap(cell => cell.model.outputs.toJSON())
    .filter(output => output.output_type === "error" || output.name === "stderr")
    .map(output => output.evalue ?? output.text)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the newest commit."""
    if not (TOP / ".git").exists():
        pytest.skip("this is no checkout of the repository")
    clone = tmp_path_factory.mktemp("first-hour") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(TOP), str(clone)], check=True)
    for built in (TOP / "rededge_nb").rglob("_switchboard*.so"):
        shutil.copy(built, clone / built.relative_to(TOP))
    return clone


@pytest.fixture(scope="module")
def environment(checkout: Path, own_state_folder: Path) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
    state = own_state_folder / "first-hour"
    yield {**kept, settings.STATE_DIR: str(state), "PYTHONPATH": str(checkout)}
    server.stop(state)


@pytest.fixture(scope="module")
def lab(chromium: str, checkout: Path, environment: dict[str, str], own_state_folder: Path) -> Iterator[Lab]:
    folder = own_state_folder / "first-lab"
    folder.mkdir()
    command = [sys.executable, "-m", "rededge_nb.cli", "lab", "--"]
    with jupyter.started(command, checkout, folder, environment) as lab:
        yield lab


def rededge(checkout: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rededge_nb.cli", *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def run_all(page: Page) -> None:
    """ "Run All", and wait for its end."""
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => {})")
    assert page.evaluate(_UNDONE) == []
    assert page.evaluate(_ERRORS) == []


@pytest.fixture(scope="module")
def desk(browser: Browser, lab: Lab) -> Iterator[Desk]:
    desk = Desk(browser, lab)
    yield desk
    desk.replace()


@pytest.mark.parametrize("name", NAMES)
def test_all_cells_and_exercises_of_a_notebook(name: str, lab: Lab, lab_page: Page) -> None:
    page = lab_page
    # with all cells in the page at once
    page.set_viewport_size({"width": 1280, "height": 1600})
    jupyter.open_in_same_page(page, f"{COPY}/{name}.ipynb")
    try:
        for change in SHORTER.get(name, []):
            jupyter.change(page, *change)
        run_all(page)
        if name in LIVE:
            assert_moves(page, LIVE[name])
        special = SPECIAL.get(name)
        if special is not None:
            special(page, lab)
        for source, pattern in EXERCISES.get(name, []):
            shown = jupyter.run_new_cell(page, source)
            deadline = time.monotonic() + PATIENCE
            # what a gear does is there a moment later
            while not re.search(pattern, shown, re.MULTILINE) and time.monotonic() < deadline:
                shown = jupyter.run_again(page)
            assert re.search(pattern, shown, re.MULTILINE), (source, shown)
            assert "Traceback" not in shown, (source, shown)
        if name in AFTERWARDS:
            AFTERWARDS[name](page)
        page.evaluate("notebookPanel.context.save()")
    finally:
        jupyter.shut_down_kernel(page)


def assert_moves(page: Page, selector: str) -> None:
    """Wait until something is seen to change, again and again."""
    output = f"document.querySelector('{selector}').closest('.jp-OutputArea')"
    page.wait_for_selector(f"{selector} canvas")
    page.evaluate(f"{output}.scrollIntoView({{ block: 'start' }})")
    canvas = f"{output}.querySelector('canvas').toDataURL()"
    for _ in range(CHANGES):
        before = page.evaluate(canvas)
        page.wait_for_function(f"before => {canvas} !== before", arg=before)


def other_picture_and_other_model(page: Page, lab: Lab) -> None:
    jupyter.change_and_run(page, "picture: int = 600", "picture: int = 100")
    run_all(page)
    jupyter.change_and_run(page, '"nanodet-g-two-sizes"', '"nanodet-g-416"')
    run_all(page)
    shown = jupyter.run_new_cell(page, "{card.classes[best] for best in all_scores.argmax(axis=1)}")
    assert "person" in shown


def misspelled_gear(page: Page, lab: Lab) -> None:
    # "run the cell of the second gear again, because it was unregistered above"
    assert "OK" in jupyter.change_and_run(page, "def square(record)", "def square(record)")
    shown = jupyter.change_and_run(page, ".foreach(square)", ".foreech(square)")
    assert "has no attribute 'foreech'" in shown


def photos(page: Page, lab: Lab) -> None:
    folder = lab.folder / COPY / "photos"
    folder.mkdir()
    video = cv2.VideoCapture(str(assets.sample_video()))
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.jpg"), video.read()[1])
    video.release()


def clicks_on_the_dashboard(page: Page, lab: Lab) -> None:
    board = page.locator(".rededge-dashboard")
    capture, model, gear = (board.locator(f".rededge-area-{part}") for part in ("capture", "model", "gear"))
    page.click(".rededge-drawer-button")
    slider = model.locator(".rededge-slider input").first
    slider.focus()
    while float(slider.input_value()) > 0.2:
        slider.press("ArrowLeft")
    jupyter.run_new_cell(page, "wb.settings()['confidence']")
    wait_for(lambda: "'0.2'" in jupyter.run_again(page), timeout=PATIENCE, what="the setting")
    gear.get_by_role("button", name="Pause gear", exact=True).click()
    expect(gear.locator(".rededge-pill").first).to_have_text("paused")
    gear.get_by_role("button", name="Unpause gear").click()
    expect(gear.locator(".rededge-pill").first).to_have_text("ok")
    capture.get_by_role("button", name="Stop capture").click()
    state = capture.locator("[role=status]")
    expect(state.filter(has_text="ended after")).to_be_visible(timeout=30_000)
    capture.get_by_label("Frames per second").select_option("2 fps")
    capture.get_by_role("button", name="Start capture").click()
    expect(state.filter(has_text=re.compile(r"\d+ frames at"))).to_be_visible(timeout=60_000)
    capture.get_by_label("Speed").select_option("every frame")
    capture.get_by_role("button", name="Replace capture").click()
    capture.get_by_role("button", name="Upload").click()
    capture.locator(".rededge-upload input").set_input_files(
        {"name": "mine.mp4", "mimeType": "video/mp4", "buffer": assets.sample_video().read_bytes()}
    )
    expect(capture.locator(".rededge-upload")).to_contain_text("mine.mp4, ", timeout=60_000)
    capture.get_by_role("button", name="Replace capture").click()
    expect(state.filter(has_text=re.compile(r"mine.mp4: \d+ frames at"))).to_be_visible(timeout=60_000)


def removed_by_clicking(page: Page) -> None:
    """Remove the gear that squares numbers in the table; the one that counts crowds needs the frames of notebook 3."""
    panel = page.locator(".rededge-panel", has_text="Unregister gear").first
    row = panel.locator("tr", has_text="demo-")
    expect(row.locator(".rededge-pill[data-tone=error]")).to_have_text("1")
    row.click()
    panel.get_by_role("button", name="Unregister gear").click()
    panel.locator(".rededge-confirmation").get_by_role("button", name="Unregister", exact=True).click()
    expect(row).to_have_count(0)


def unpaused(page: Page) -> None:
    lag = "wb.client.xinfo_groups('camera:0')[0]['lag']"
    wait_for(lambda: int(jupyter.execute(page, f"print({lag} or 0)")) > 3, timeout=30, what="the lag to grow")
    # a player that is out of sight is sent nothing
    page.locator(".rededge-player").first.scroll_into_view_if_needed()
    expect(page.locator(".rededge-player-notice").first).to_contain_text("no detections", timeout=30_000)
    jupyter.run_new_cell(page, 'wb.gears.unpause("people_counter")')
    wait_for(lambda: int(jupyter.execute(page, f"print({lag} or 0)")) <= 3, timeout=60, what="the gear to continue")


SPECIAL = {
    "01_load_model": other_picture_and_other_model,
    "02_register_gear": misspelled_gear,
    "03_produce_frames": photos,
    "06_dashboard": clicks_on_the_dashboard,
}
AFTERWARDS = {"02_register_gear": removed_by_clicking, "04_watch_streams": unpaused}


def test_an_interrupted_cell_a_killed_kernel_and_a_reload(
    lab: Lab, lab_page: Page, environment: dict[str, str]
) -> None:
    page = lab_page
    page.set_viewport_size({"width": 1280, "height": 1600})
    path = f"{COPY}/06_dashboard.ipynb"
    jupyter.open_in_same_page(page, path)
    for cell in CELLS:
        jupyter.change_and_run(page, cell, cell)
    jupyter.run_new_cell(page, "%load_ext rededge_nb")
    page.evaluate(f"void ({jupyter.RUN_NEW_CELL})({ENDLESS!r})")
    output = page.locator(".jp-Cell-outputArea").last
    expect(output).to_contain_text("once more", timeout=30_000)
    jupyter.command(page, "notebook:interrupt-kernel")
    expect(output).to_contain_text("interrupted: the gear was aborted", timeout=30_000)
    expect(output).not_to_contain_text("Traceback")
    instance = server.find(Path(environment[settings.STATE_DIR]))
    assert instance is not None
    with client_from_url(instance.url) as client:
        running = [entry for entry in client.execute_command("RG.DUMPEXECUTIONS") if entry[3] == b"running"]
        assert [entry for entry in running if not entry[5]] == []

    # of a killed kernel, JupyterLab writes tracebacks of its own
    assert not re.search(r'File "\S*/rededge_nb/', lab.log.read_text()), "a traceback of ours"
    kernel = int(jupyter.execute(page, "import os; print(os.getpid())"))
    page.evaluate("notebookPanel.context.save()")
    os.kill(kernel, signal.SIGKILL)
    expect(page.get_by_text("no message from the kernel for").first).to_be_visible(timeout=60_000)
    page.goto("about:blank")
    jupyter.open_notebook(page, lab, path)
    board = page.locator(".jp-Cell-outputArea", has=page.locator("img[src^='data:image/jpeg']")).last
    expect(board).to_contain_text("run this cell to", use_inner_text=True)
    expect(board).not_to_contain_text("model not found", use_inner_text=True)
    for cell in CELLS:
        jupyter.change_and_run(page, cell, cell)
    assert_moves(page, LIVE["06_dashboard"])
    jupyter.shut_down_kernel(page)


def assert_all_is_well(checkout: Path, environment: dict[str, str]) -> None:
    """Wait until `rededge status` finds no problem: on a busy machine a worker may take more than its 5 s to answer."""
    deadline = time.monotonic() + PATIENCE
    while (state := rededge(checkout, environment, "status")).returncode != 0:
        assert time.monotonic() < deadline, state.stdout + state.stderr


def test_afterwards_the_pipeline_runs_and_the_checkout_is_unchanged(
    lab: Lab, checkout: Path, environment: dict[str, str]
) -> None:
    instance = server.find(Path(environment[settings.STATE_DIR]))
    assert instance is not None
    with client_from_url(instance.url) as client:
        wait_for(lambda: not next_frame_arrives(client, "0"), timeout=PATIENCE, what="the end of the last capture")
    assert_all_is_well(checkout, environment)
    # the command of `make demo`, but on the server that the newcomer has used, with a shorter video and fewer notebooks
    some = [word for name in ("03_produce_frames", "07_lines_and_zones") for word in ("--notebook", name)]
    done = rededge(checkout, environment, "pipeline", "run", "-o", "runs", "--seconds", "2", *some)
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"^frames in +20$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^processed +20$", done.stdout, re.MULTILINE), done.stdout
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=checkout, capture_output=True, text=True, check=True)
    assert changed.stdout == ""
