"""Controls that choose a source, and start and stop its capture."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import ipywidgets
import redis

from rededge_nb import assets, schema, streams
from rededge_nb.capture.captures import Captures
from rededge_nb.capture.feeding import end_capture
from rededge_nb.capture.run import Capture, CaptureOptions
from rededge_nb.connection import shard_of
from rededge_nb.display.tables import Table
from rededge_nb.errors import NoDataError, SourceError
from rededge_nb.images import IMAGE_SUFFIXES
from rededge_nb.reading import frames
from rededge_nb.reading.captures import CaptureRecord, current_capture
from rededge_nb.widgets.confirm import Confirmation
from rededge_nb.widgets.panels import Panel, button, named, on_enter, row
from rededge_nb.widgets.status_text import Level, StatusText
from rededge_nb.widgets.upload import Upload

SAMPLE = "sample video"
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mjpeg")
RATES = (1, 2, 5, 10, 15, 20, 25, 30, 50, 60)
"""Frames per second to choose from, besides the source's own rate."""
SILENT_AFTER_MS = 2000
"""If the newest frame is older than this, no client adds frames to the camera."""
STOP_TIMEOUT = 5.0
"""Seconds to wait for the end of a capture."""

_KINDS = {
    "File": "a video, an image or a folder of images on the computer of the kernel",
    "Webcam": "a camera at the computer of the kernel",
    "URL": "a camera in the network",
    "Upload": "a file from the computer of the browser",
}
_FED_BY_CLIENT = "another client adds frames"
_START, _REPLACE = "Start capture", "Replace capture"
_MAX_FILES = 100


class CapturePanel(Panel):
    """Adds the frames of a file, webcam, URL or uploaded file to a camera's stream.

    It shows the capture that feeds the camera, whoever started it, or else the newest one that this workbench started.
    A capture that is started here replaces those of this workbench; before it replaces another one, the panel asks.

    Attributes:
        kind, file, webcam, url, upload: The controls for the source.
        rate, pace, loop: The controls for how it is played.
        start_button, stop_button: Call `start` and `stop`.
        confirmation: Asks before `start`, if somebody else feeds the camera.
        progress: Bar of a capture whose length is known.
        state: What the capture does, in a sentence.
    """

    def __init__(self, client: redis.Redis, captures: Captures, camera: object = "0") -> None:
        self._captures = captures
        self._camera = schema.camera_id(camera)
        self._started: dict[str, _Progress] = {}
        self._opening = ""
        self._cancelled = threading.Event()
        self.kind = ipywidgets.ToggleButtons(
            options=list(_KINDS), tooltips=list(_KINDS.values()), style={"button_width": "auto"}
        )
        self.kind.observe(lambda _: self.show_message(""), "value")
        self.file = named(
            ipywidgets.Combobox(
                options=(SAMPLE, *_files_here()), value=SAMPLE, placeholder="path of a video or a folder of images"
            ),
            "File",
        )
        self.webcam = named(ipywidgets.BoundedIntText(value=0, min=0, max=99), "Number of the webcam")
        self.url = named(ipywidgets.Text(placeholder="rtsp:// or http:// address"), "Address")
        for field in (self.file, self.url):
            on_enter(field, lambda: self.start(ask=True))
        self.upload = Upload([*VIDEO_SUFFIXES, *sorted(IMAGE_SUFFIXES)])
        choices = ipywidgets.Stack([self.file, self.webcam, self.url, self.upload], selected_index=0)
        choices.add_class("rededge-source")
        # linked in the browser, so that it works while a cell runs
        self._link = ipywidgets.jslink((self.kind, "index"), (choices, "selected_index"))
        rates = [("own rate", 0.0), *((f"{rate} fps", float(rate)) for rate in RATES)]
        self.rate = named(ipywidgets.Dropdown(options=rates, tooltip="frames per second"), "Frames per second")
        self.pace = named(
            ipywidgets.Dropdown(
                options=[("real time", "realtime"), ("every frame", "asap")],
                tooltip="at the speed of the recording, or as fast as the gear processes every frame",
            ),
            "Speed",
        )
        self.loop = ipywidgets.Checkbox(description="loop", indent=False, tooltip="start again at the end")
        self.start_button = button(
            _START, "add the frames of the source to the camera", lambda: self.start(ask=True), "primary"
        )
        self.stop_button = button("Stop capture", "stop the capture", self.stop)
        self.confirmation = Confirmation()
        self.progress = ipywidgets.IntProgress(min=0, max=1)
        self.state = StatusText()
        playing = row(self.rate, self.pace, self.loop)
        buttons = row(self.start_button, self.stop_button, self.progress)
        super().__init__(client, "Capture", [self.kind, choices, playing, buttons, self.confirmation, self.state])
        self.start_updates()

    @property
    def camera(self) -> str:
        """The camera whose capture is shown, started and stopped. Captures of other cameras continue."""
        return self._camera

    @camera.setter
    def camera(self, camera: object) -> None:
        self._camera = schema.camera_id(camera)
        self.submit(lambda _: self.show_message(""))

    @property
    def capture(self) -> Capture | None:
        """The newest capture that this workbench started for the camera."""
        started = self._captures.of(self._camera)
        return started[-1] if started else None

    def start(
        self,
        source: str | int | Path | None = None,
        *,
        loop: bool | None = None,
        only_if_silent: bool = False,
        replace: bool = False,
        ask: bool = False,
    ) -> None:
        """Start a capture as the controls say; it replaces those of this workbench. Returns at once.

        Args:
            source: Set the controls to this file or webcam first.
            loop: Set the control to this first.
            only_if_silent: Do nothing if a capture or another client feeds the camera.
            replace: Replace also a capture of somebody else; otherwise the panel shows who feeds the camera.
            ask: If somebody else feeds the camera, ask what to do, as the button does.
        """
        if isinstance(source, int):
            self.kind.value, self.webcam.value = "Webcam", source
        elif source is not None:
            self.kind.value, self.file.value = "File", str(source)
        if loop is not None:
            self.loop.value = loop
        chosen, camera = self._source(), self._camera
        options: CaptureOptions = {"fps": self.rate.value or None, "loop": self.loop.value, "pace": self.pace.value}
        self._cancelled.clear()
        self._opening = f"opening {_short(str(chosen))}" if chosen is not None else ""
        self.state.show(self._opening)
        self.stop_button.disabled = False

        def start(client: redis.Redis) -> None:
            try:
                feeding = current_capture(client, camera)
                own = feeding is not None and self._is_own(feeding)
                if only_if_silent and (feeding is not None or frames.next_frame_arrives(client, camera)):
                    return
                if ask and feeding is not None and not own:
                    question = f"Camera {camera} is fed by the capture of {feeding}."
                    self.confirmation.ask(question, "Replace that capture", lambda: self.start(replace=True))
                elif ask and feeding is None and self._is_fed_by_client(client):
                    question = f"Another client adds frames to camera {camera}. With two, their videos alternate."
                    self.confirmation.ask(question, "Start a capture all the same", self.start)
                else:
                    self._start(camera, chosen, {**options, "replace": replace or own})
            finally:
                self._opening = ""

        self.submit(start)

    def stop(self) -> None:
        """Stop the capture that feeds the camera, or the opening of a source; returns at once."""
        self._cancelled.set()
        camera, opening = self._camera, bool(self._opening)

        def stop(client: redis.Redis) -> None:
            for capture in self._captures.of(camera):
                _close(capture)
            if not opening:
                self._stop_other(client, camera)

        self.submit(stop)

    def refresh(self, client: redis.Redis) -> None:
        """Show how far the capture is."""
        capture = self.capture
        running = capture is not None and capture.running
        feeding = None if running else current_capture(client, self._camera)
        self.start_button.description = _REPLACE if running or feeding else _START
        self.stop_button.disabled = not (running or feeding or self._opening)
        self.state.show(*self._state(client, capture, feeding))
        started = self._started.get(self._camera)
        done, total = (started.done, started.total) if started and started.capture is capture else (0, None)
        with self.progress.hold_sync():
            self.progress.max = total or 1
            self.progress.value = done if total else 0
            self.progress.layout.display = "" if running and total else "none"

    def table(self) -> Table:
        """What the capture does."""
        return Table(("camera", "capture"), [(self._camera, self.state.text)])

    def close(self) -> None:
        """Stop the captures that were started here, end the thread, remove the views; may be called again."""
        if self._ended:
            return
        self._cancelled.set()
        super().close()
        for started in self._started.values():
            _close(started.capture)

    def _source(self) -> str | int | Path | None:
        match self.kind.value:
            case "Webcam":
                return int(self.webcam.value)
            case "URL":
                return str(self.url.value).strip() or None
            case "Upload":
                return self.upload.path
        text = str(self.file.value).strip()
        return assets.sample_video() if text == SAMPLE else text or None

    def _start(self, camera: str, source: str | int | Path | None, options: CaptureOptions) -> None:
        if source is None:
            raise SourceError("no source is chosen: name a file or an address, or drop a file")
        self.show_message("")
        earlier = self._captures.of(camera)
        progress = _Progress()
        options |= {"progress": progress.advance, "camera": camera}
        # if the source cannot be opened, the earlier capture continues
        progress.capture = self._captures.start(source, **options)
        self._started[camera] = progress
        for capture in earlier:
            _close(capture)
        if self._cancelled.is_set():
            _close(progress.capture)

    def _stop_other(self, client: redis.Redis, camera: str) -> None:
        """End the capture that feeds a camera, if somebody else has started it."""
        words = f"ended in the capture panel of process {os.getpid()} on {socket.gethostname()}"
        with suppress(NoDataError), shard_of(client, camera) as there:
            ended = end_capture(there, camera, words)
            self.show_message(f"the capture of {ended} has ended, after {ended.frames} frames")

    def _is_own(self, feeding: CaptureRecord) -> bool:
        return any(capture.report.capture == feeding.capture for capture in self._captures.of(feeding.camera))

    def _is_fed_by_client(self, client: redis.Redis) -> bool:
        """Whether frames have arrived lately that no capture of this workbench has added."""
        capture = self.capture
        return _is_fed(client, self._camera, after=None if capture is None else capture.report.last_id)

    def _state(self, client: redis.Redis, capture: Capture | None, feeding: CaptureRecord | None) -> tuple[str, Level]:
        if self._opening:
            return self._opening, "info"
        if feeding is not None:
            return f"fed by the capture of {feeding}: {feeding.problem or _rate(feeding)}", "info"
        if capture is None:
            return (_FED_BY_CLIENT if self._is_fed_by_client(client) else "no capture runs"), "info"
        report = capture.report
        source = _short(report.source)
        if capture.running and capture.problem:
            return f"{source}: {capture.problem}", "warning"
        if capture.running:
            skipped = f", {report.skipped:,} skipped" if report.skipped else ""
            return f"{source}: {report.frames:,} frames at {report.fps:.1f} fps{skipped}", "good"
        if capture.error is not None:
            return f"{source}: ended after {report.frames:,} frames: {capture.error}", "error"
        if self._is_fed_by_client(client):
            return _FED_BY_CLIENT, "info"
        ended = f"{source}: ended after {report.frames:,} frames in {report.seconds:.0f} s"
        return ": ".join([ended, *report.problems]), "warning" if report.problems else "info"


class _Progress:
    """How far a capture is that was started here."""

    capture: Capture

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None

    def advance(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total


def _rate(feeding: CaptureRecord) -> str:
    return f"{feeding.frames:,} frames at {feeding.fps:.1f} fps"


def _close(capture: Capture) -> None:
    """Stop a capture, but do not wait for ever: its source may hang."""
    if not capture.running:
        return
    closing = threading.Thread(target=capture.close, name="rededge capture stops", daemon=True)
    closing.start()
    closing.join(STOP_TIMEOUT)


def _is_fed(client: redis.Redis, camera: str, after: str | None = None) -> bool:
    """Whether frames have arrived lately, not counting those up to the id `after`."""
    newest = streams.last_id(client, schema.frames_key(camera))
    if after is not None and streams.id_order(newest) <= streams.id_order(after):
        return False
    seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000 - streams.time_ms(newest) < SILENT_AFTER_MS


def _files_here() -> list[str]:
    """Videos in the notebook's folder and its subfolders, to suggest."""
    found: list[str] = []
    for pattern in ("*", "*/*"):
        found += sorted(str(path) for path in _visible(Path().glob(pattern)) if path.suffix.lower() in VIDEO_SUFFIXES)
    return found[:_MAX_FILES]


def _visible(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if not any(part.startswith(".") for part in path.parts) and path.is_file())


def _short(source: str) -> str:
    """The last part of a path or address: short, and without the credentials that an address may have."""
    return source.rstrip("/").rpartition("/")[2]
