"""The panels against a real server: buttons are clicked and sliders moved as a browser would."""

from __future__ import annotations

import html
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import redis

from rededge_nb import Workbench, assets, schema
from rededge_nb.capture import run
from rededge_nb.control import gears, provision
from rededge_nb.display.tables import Table
from rededge_nb.edge import server
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError
from rededge_nb.widgets import snapshot
from rededge_nb.widgets.capture_panel import SAMPLE, CapturePanel
from rededge_nb.widgets.gear_panel import GearPanel
from rededge_nb.widgets.model_panel import ModelPanel
from rededge_nb.widgets.panels import Panel
from tests.control.model_import import toys
from tests.waiting import wait_for

BROKEN_GEAR = """
def fail(record):
    raise ValueError("<b>no</b> such thing")

GB("StreamReader").foreach(fail).register("broken")
"""


@pytest.fixture
def wb(client: redis.Redis, edge: Instance) -> Iterator[Workbench]:
    with Workbench(edge.url) as workbench:
        yield workbench


class Asking(Panel):
    """A panel that shows how often it looked."""

    def __init__(self, client: redis.Redis) -> None:
        self.looks = 0
        super().__init__(client, "Asking", [])
        self.start_updates()

    def refresh(self, client: redis.Redis) -> None:
        client.ping()
        self.looks += 1

    def table(self) -> Table:
        return Table(("looks",), [(self.looks,)])


def threads_of(title: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if title in thread.name]


# every panel


def test_a_panel_shows_an_error_and_continues(wb: Workbench) -> None:
    panel = Asking(wb.client)
    panel.submit(lambda client: client.execute_command("NO.SUCH"))
    wait_for(lambda: "unknown command" in panel.message.text, what="the error of Redis")
    assert panel.message.level == "error"
    panel.submit(lambda client: [][0])
    wait_for(lambda: "IndexError" in panel.message.text, what="the error of Python")
    looks = panel.looks
    wait_for(lambda: panel.looks > looks, what="another look")
    panel.close()


def test_closing_ends_the_thread_and_may_be_repeated(wb: Workbench) -> None:
    panel = Asking(wb.client)
    assert threads_of("asking")
    panel.close()
    assert not threads_of("asking")
    assert panel.comm is None
    panel.close()


def test_a_panel_shows_that_the_server_is_away_and_recovers(folder: Path) -> None:
    with Workbench(directory=folder / "state") as wb:
        panel = Asking(wb.client)
        server.stop(folder / "state")
        wait_for(lambda: panel.connection_error.text, what="the text about the server")
        assert "does not answer" in panel.connection_error.text
        assert panel.connection_error.level == "error"
        server.start(folder / "state")
        wait_for(lambda: not panel.connection_error.text, timeout=30, what="the panel to recover")
        panel.close()


def test_closing_the_workbench_closes_its_panels(client: redis.Redis, edge: Instance) -> None:
    wb = Workbench(edge.url)
    panels = [wb.capture_panel(), wb.model_panel(), wb.gear_panel()]
    wb.close()
    assert all(panel.comm is None for panel in panels)
    assert not threads_of("panel")


@pytest.mark.parametrize("make", ["capture_panel", "model_panel", "gear_panel"])
def test_a_table_stays_in_the_notebook(wb: Workbench, make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    for name in ("display", "update_display"):
        monkeypatch.setattr(snapshot, name, lambda bundle, **options: shown.append(bundle))
    panel = getattr(wb, make)()
    panel._ipython_display_()
    panel.close()
    widget, saved, left_behind, empty = shown
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert html.escape(saved["text/plain"]) in saved["text/html"]
    assert left_behind["text/markdown"].startswith("| ")
    assert empty == {"text/plain": ""}


# capture


def running(panel: CapturePanel) -> bool:
    return panel.capture is not None and panel.capture.running


def test_a_capture_is_started_and_stopped(wb: Workbench, client: redis.Redis) -> None:
    panel = wb.capture_panel("7")
    assert panel.file.value == SAMPLE
    assert panel.state.text == "no capture runs"
    assert panel.stop_button.disabled
    panel.start_button.click()
    wait_for(lambda: client.xlen("camera:7") > 3, what="frames")
    wait_for(lambda: re.fullmatch(r"walking.mp4: \d+ frames at .* fps.*", panel.state.text), what="the text")
    wait_for(lambda: panel.progress.value and panel.progress.max == 795, what="progress")
    assert panel.start_button.description == "Replace capture"
    panel.stop_button.click()
    wait_for(lambda: not running(panel), what="the end")
    wait_for(lambda: "ended after" in panel.state.text, what="the text about the end")
    assert panel.stop_button.disabled


def test_a_source_that_cannot_be_opened_is_shown_as_an_error(wb: Workbench) -> None:
    panel = wb.capture_panel()
    panel.file.value = "no/such.mp4"
    panel.start_button.click()
    wait_for(lambda: "no/such.mp4" in panel.message.text, what="the text")
    assert panel.message.level == "error"
    assert panel.capture is None
    panel.file.value = SAMPLE
    panel.start_button.click()
    wait_for(lambda: running(panel), what="a capture")
    assert panel.message.text == ""


@pytest.mark.parametrize(
    ("kind", "text"), [("URL", "no source is chosen"), ("Upload", "no source is chosen"), ("Webcam", "99")]
)
def test_each_kind_of_source_says_what_is_missing(wb: Workbench, kind: str, text: str) -> None:
    panel = wb.capture_panel()
    panel.webcam.value = 99
    panel.kind.value = kind
    panel.start_button.click()
    wait_for(lambda: text in panel.message.text, what="the text")


def test_starting_again_replaces_the_capture(wb: Workbench, tmp_path: Path) -> None:
    panel = wb.capture_panel()
    panel.start(loop=True)
    first = wait_for(lambda: panel.capture, what="the first capture")
    panel.rate.value = 5.0
    panel.start_button.click()
    second = wait_for(lambda: panel.capture is not first and panel.capture, what="the second capture")
    wait_for(lambda: not first.running, what="the end of the first one")
    wait_for(lambda: second.report.frames > 3, what="frames")
    assert second.report.fps < 8


def test_a_capture_that_a_cell_started_is_shown_and_stopped(wb: Workbench, video: Path) -> None:
    panel = wb.capture_panel("3")
    capture = wb.camera("3").start_capture(video, loop=True)
    wait_for(lambda: "frames at" in panel.state.text, what="the text")
    panel.stop_button.click()
    wait_for(lambda: not capture.running, what="the end")


def test_no_capture_is_started_if_another_one_feeds_the_camera(wb: Workbench, client: redis.Redis, video: Path) -> None:
    panel = wb.capture_panel()
    with run.start_capture(client, video, loop=True) as other:
        wait_for(lambda: other.report.frames, what="frames")
        panel.start(only_if_silent=True)
        wait_for(lambda: panel.state.text.startswith("fed by the capture of video"), what="the text")
        assert f"process {os.getpid()}" in panel.state.text
        panel.start()
        wait_for(lambda: "is fed by" in panel.message.text, what="the refusal")
        assert panel.capture is None
        assert other.running


def test_the_panel_asks_before_it_replaces_the_capture_of_another_notebook(
    wb: Workbench, client: redis.Redis, video: Path
) -> None:
    panel = wb.capture_panel()
    panel.file.value = str(video)
    with run.start_capture(client, video, loop=True) as other:
        wait_for(lambda: panel.start_button.description == "Replace capture", what="the button")
        panel.start_button.click()
        wait_for(lambda: panel.confirmation.question.text, what="the question")
        assert panel.confirmation.question.text.startswith("Camera 0 is fed by the capture of video")
        panel.confirmation.no.click()
        assert other.running
        assert panel.capture is None
        panel.start_button.click()
        wait_for(lambda: panel.confirmation.question.text, what="the question")
        panel.confirmation.yes.click()
        wait_for(lambda: running(panel), timeout=30, what="the capture")
        wait_for(lambda: not other.running, what="the end of the other one")
        assert "has replaced it" in " ".join(other.report.problems)


def test_the_panel_stops_the_capture_of_another_notebook(wb: Workbench, client: redis.Redis, video: Path) -> None:
    panel = wb.capture_panel()
    with run.start_capture(client, video, loop=True) as other:
        wait_for(lambda: not panel.stop_button.disabled, what="the button")
        panel.stop_button.click()
        wait_for(lambda: not other.running, timeout=30, what="its end")
        assert f"ended in the capture panel of process {os.getpid()}" in " ".join(other.report.problems)
    wait_for(lambda: panel.state.text == "no capture runs" and panel.stop_button.disabled, what="the text")


def test_each_camera_keeps_its_capture(wb: Workbench) -> None:
    panel = wb.capture_panel("1")
    panel.start(loop=True)
    one = wait_for(lambda: panel.capture, what="a capture")
    panel.camera = "2"
    wait_for(lambda: panel.state.text == "no capture runs", what="the other camera")
    assert one.running
    panel.camera = "1"
    assert panel.capture is one
    with pytest.raises(ConfigurationError):
        panel.camera = "not a camera"


def test_stop_works_while_the_source_is_being_opened(wb: Workbench, tmp_path: Path) -> None:
    panel = wb.capture_panel()
    held = threading.Event()
    panel.submit(lambda _: held.wait(10) and None)
    panel.start_button.click()
    assert panel.state.text.startswith("opening")
    assert not panel.stop_button.disabled
    panel.stop_button.click()
    held.set()
    ended = wait_for(lambda: panel.capture, what="a capture")
    wait_for(lambda: not ended.running, what="its end")
    assert ended.report.frames <= 1


def test_closing_does_not_wait_for_a_source_that_hangs(wb: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        panel = wb.capture_panel()
        panel.kind.value = "URL"
        panel.url.value = f"http://127.0.0.1:{silent.getsockname()[1]}/video"
        panel.start_button.click()
        panel.stop_button.click()
        panel.close()
        assert panel.comm is None


# model


def test_models_are_loaded_and_marked(wb: Workbench) -> None:
    panel = wb.model_panel()
    assert panel.models.rows == []
    assert panel.sliders["confidence"].disabled
    panel.load_button.click()
    wait_for(lambda: panel.models.rows, timeout=30, what="the model")
    wait_for(lambda: "stored model nanodet-g-two-sizes" in panel.message.text, what="the text")
    wait_for(lambda: not panel.sliders["confidence"].disabled, what="the sliders")
    assert panel.models.texts() == [["model:nanodet-g-two-sizes", "in use", "ONNX"]]
    panel.load_button.click()
    wait_for(lambda: "in use already" in panel.message.text, what="the text")


def test_a_missing_card_is_shown_as_an_error(wb: Workbench) -> None:
    panel = wb.model_panel()
    panel.card.value = "unheard-of"
    panel.load_button.click()
    wait_for(lambda: panel.message.level == "error", what="the text")
    assert "unheard-of" in panel.message.text


@pytest.mark.parametrize("name", ["confidence", "iou"])
def test_sliders_write_at_once_and_follow_other_clients(wb: Workbench, client: redis.Redis, name: str) -> None:
    provision.provision(client)
    panel = wb.model_panel()
    slider = panel.sliders[name]
    assert slider.value == float(provision.read_settings(client)[name])
    for value in (0.61, 0.62, 0.63):
        slider.value = value
    wait_for(lambda: provision.read_settings(client)[name] == "0.63", what="the setting")
    client.hset(schema.GEAR_SETTINGS_KEY, name, "0.25")
    wait_for(lambda: slider.value == 0.25, what="the slider")
    assert provision.read_settings(client)[name] == "0.25"


@pytest.mark.parametrize("value", ["much", "7", "nan"])
def test_an_invalid_setting_is_shown_and_not_overwritten(wb: Workbench, client: redis.Redis, value: str) -> None:
    provision.provision(client)
    panel = wb.model_panel()
    client.hset(schema.GEAR_SETTINGS_KEY, "confidence", value)
    wait_for(lambda: value in panel.settings_error.text, what="the text")
    assert provision.read_settings(client)["confidence"] == value
    panel.sliders["confidence"].value = 0.77
    wait_for(lambda: not panel.settings_error.text, what="the end of the text")
    assert provision.read_settings(client)["confidence"] == "0.77"


# gears


def status(panel: GearPanel) -> list[str]:
    return [row[2] for row in panel.registrations.texts()]


def test_the_people_counter_is_registered_paused_unpaused_and_unregistered(wb: Workbench, client: redis.Redis) -> None:
    panel = wb.gear_panel("5")
    assert panel.registrations.rows == []
    assert panel.pause_button.disabled
    panel.register_button.click()
    wait_for(lambda: status(panel) == ["ok"], timeout=30, what="the registration")
    assert panel.registrations.texts()[0][:2] == ["camera:5", "people_counter"]
    wait_for(lambda: not panel.pause_button.disabled, what="the pause button")
    panel.pause_button.click()
    wait_for(lambda: status(panel) == ["paused"], what="the pause")
    assert gears.list_registrations(client)[0].status == "PAUSED"
    wait_for(lambda: panel.pause_button.disabled and not panel.unpause_button.disabled, what="the buttons")
    panel.unpause_button.click()
    wait_for(lambda: status(panel) == ["ok"], what="its end")
    panel.unregister_button.click()
    assert panel.confirmation.question.text == "Unregister people_counter on camera:5? It will process no more entries."
    panel.confirmation.no.click()
    panel.unregister_button.click()
    assert gears.list_registrations(client) != []
    panel.confirmation.yes.click()
    wait_for(lambda: status(panel) == [], what="no registration")
    assert gears.list_registrations(client) == []


def test_the_table_counts_and_the_last_error_is_shown_in_full(wb: Workbench, client: redis.Redis) -> None:
    panel = wb.gear_panel()
    gears.register_gear(client, BROKEN_GEAR, session="broken")
    client.xadd("broken", {"a": 1})
    row = wait_for(lambda: [row for row in panel.registrations.texts() if row[4] != "0"], what="the failure")[0]
    assert row[:2] == ["broken", "broken"]
    assert panel.registrations.detail == ""
    panel.errors.value = True
    wait_for(lambda: "ValueError" in panel.registrations.detail, what="the error")
    assert "<b>no</b> such thing" in panel.registrations.detail


def test_an_action_on_a_removed_gear_is_shown_as_an_error(wb: Workbench, client: redis.Redis) -> None:
    gears.register_gear(client, BROKEN_GEAR, session="broken")
    panel = wb.gear_panel()
    (found,) = gears.list_registrations(client)
    gears.unregister_gear(client, found.id)
    panel.pause()
    wait_for(lambda: panel.message.level == "error", what="the text")
    assert found.id in panel.message.text


def test_buttons_act_on_the_selected_gear(wb: Workbench, client: redis.Redis) -> None:
    for name in ("first", "second"):
        gears.register_gear(client, BROKEN_GEAR.replace('"broken"', f'"{name}"'), session=name)
    panel = wb.gear_panel()
    second = gears.list_registrations(client)[1]
    panel.registrations.selected = second.id
    panel.pause_button.click()
    wait_for(lambda: status(panel) == ["ok", "paused"], what="the pause")


def test_after_a_removal_no_other_gear_is_selected(wb: Workbench, client: redis.Redis) -> None:
    for name in ("first", "second"):
        gears.register_gear(client, BROKEN_GEAR.replace('"broken"', f'"{name}"'), session=name)
    panel = wb.gear_panel()
    assert panel.selected is not None
    gears.unregister_gear(client, panel.selected.id)
    wait_for(lambda: status(panel) == ["ok"], what="one gear")
    assert panel.selected is None
    assert panel.unregister_button.disabled


def test_running_executions_are_listed_and_aborted(wb: Workbench, client: redis.Redis) -> None:
    panel = wb.gear_panel()
    assert panel.executions.rows == []
    endless = wb.executions.start("GB('PythonReader').foreach(lambda n: n).run(lambda: iter(int, 1))")
    wait_for(lambda: [row[0] for row in panel.executions.texts()] == [endless], what="the execution")
    panel.abort_button.click()
    wait_for(lambda: panel.executions.rows == [], what="its end", timeout=30)
    assert wb.executions.get(endless).ended


def test_a_wrong_source_does_not_end_the_running_capture(wb: Workbench) -> None:
    panel = wb.capture_panel()
    panel.start(loop=True)
    wait_for(lambda: running(panel), what="a capture")
    capture = panel.capture
    panel.file.value = "no/such.mp4"
    panel.start_button.click()
    wait_for(lambda: "no/such.mp4" in panel.message.text, what="the error")
    panel.webcam.value = 99
    panel.kind.value = "Webcam"
    panel.start_button.click()
    wait_for(lambda: "99" in panel.message.text, what="the other error")
    assert panel.capture is capture
    assert running(panel)


def test_a_capture_beside_another_client_needs_a_confirmation(wb: Workbench, client: redis.Redis, video: Path) -> None:
    panel = wb.capture_panel()
    panel.file.value = str(video)
    client.xadd("camera:0", {"count": 1, "image": b"", "ts": 0})
    panel.start_button.click()
    wait_for(lambda: "Another client" in panel.confirmation.question.text, what="the question")
    assert panel.capture is None
    panel.confirmation.yes.click()
    wait_for(lambda: running(panel), what="the capture")


def test_enter_starts_the_capture(wb: Workbench, video: Path) -> None:
    panel = wb.capture_panel()
    panel.file.value = str(video)
    panel.file._handle_custom_msg({"event": "submit"}, [])
    wait_for(lambda: running(panel), what="a capture")


def test_an_error_goes_when_another_kind_of_source_is_chosen(wb: Workbench) -> None:
    panel = wb.capture_panel()
    panel.kind.value = "URL"
    panel.start_button.click()
    wait_for(lambda: panel.message.text, what="the error")
    panel.kind.value = "Upload"
    assert panel.message.text == ""


def test_the_card_beside_an_onnx_file_is_used(wb: Workbench, tmp_path: Path) -> None:
    panel = wb.model_panel()
    panel.card.value = str(tmp_path / "mine.onnx")
    panel.load_button.click()
    wait_for(lambda: panel.message.level == "error", what="the error")
    assert "there is no file" in panel.message.text
    card = assets.model_card_file()
    (tmp_path / "mine.yaml").write_text(card.read_text())
    (tmp_path / f"{card.stem}.onnx").write_bytes(card.with_suffix(".onnx").read_bytes())
    panel.load_button.click()
    wait_for(lambda: "stored model" in panel.message.text, timeout=30, what="the model")


def test_a_model_that_is_dropped_is_imported(wb: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = toys.toy_model(toys.yolov8).SerializeToString()
    panel = wb.model_panel()
    for kind, fields, buffers in (("begin", {"name": "my model.onnx", "size": len(model)}, []), ("piece", {}, [model])):
        panel.upload._handle_custom_msg({"kind": kind, "id": "1", **fields}, [memoryview(each) for each in buffers])
    wait_for(lambda: panel.message.level in ("good", "error"), timeout=60, what="the import")
    assert "layout yolov8" in panel.message.text
    assert (tmp_path / "uploaded-models" / "my-model.yaml").is_file()
    wait_for(
        lambda: any("in use" in row and "my-model" in row[0] for row in panel.models.texts()), timeout=30, what="it"
    )


def test_panels_are_boxes(wb: Workbench) -> None:
    assert isinstance(wb.model_panel(), ModelPanel)
    assert issubclass(Panel, ipywidgets.VBox)
