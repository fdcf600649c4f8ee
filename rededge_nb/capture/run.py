"""Captures: the frames of a source are added to a camera's stream, in this thread or in the background."""

from __future__ import annotations

import atexit
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import redis

from rededge_nb.capture.capturing import Resume, open_for_capture, run_capture
from rededge_nb.capture.options import CaptureOptions, Pace, Progress, settings_of
from rededge_nb.capture.report import CaptureReport, Tally
from rededge_nb.capture.sources import Source
from rededge_nb.errors import CameraInUseError, WaitTimeoutError

__all__ = ["Capture", "CaptureOptions", "CaptureReport", "Pace", "Progress", "capture", "start_capture"]

_EXIT_TIMEOUT = 5.0


def capture(
    client: redis.Redis,
    source: str | int | Path | Source,
    *,
    stop: threading.Event | None = None,
    **options: Unpack[CaptureOptions],
) -> CaptureReport:
    """Add the frames of a source to the stream `camera:<id>`, and return when the source has ended.

    With pace `realtime` a source is played at its own speed, and frames are skipped when the capture is late. With
    `asap` every frame is added, and never more than `window` of them have no answer of the gear yet, neither in
    detections nor in errors.

    Args:
        client: Tells where the server is; the capture makes a connection of its own, in a Redis Cluster to the
            camera's shard.
        source: Whatever `open_source` takes, or an open source, which stays open and keeps the options that it was
            opened with.
        stop: Ends the capture soon after it is set; frames without an answer are not waited for.
        options: See `Settings`. `progress` is called after each frame that was added, or answered with `asap`.

    Raises:
        SourceError: the source cannot be opened or read.
        ServerUnavailableError: the server does not answer at the start, or was away for `away_timeout` seconds. Until
            then a camera, or a file at its own speed, skips frames; with `asap` no frame is lost, but some may be
            processed twice.
        WaitTimeoutError: with `asap`, no gear answered for `stall_timeout` seconds.
        ServerFullError: with `asap`, the server had no room for a frame for `stall_timeout` seconds. With `realtime`
            frames are skipped until there is room again.
        CameraInUseError: another capture feeds the camera, and `replace` was not set.
        ConfigurationError: an option is out of bounds.
    """
    settings = settings_of(options)
    opening: AbstractContextManager[Source] = (
        nullcontext(source) if isinstance(source, Source) else open_for_capture(client, source, settings, stop)
    )
    with opening as opened:
        tally = Tally(settings.camera, opened)
        run_capture(client, opened, settings, tally, progress=options.get("progress"), stop=stop)
        return tally.report()


def start_capture(client: redis.Redis, source: str | int | Path, **options: Unpack[CaptureOptions]) -> Capture:
    """Begin a capture in the background, with the options of `capture`.

    Raises:
        SourceError: the source cannot be opened.
        CameraInUseError: another capture feeds the camera, and `replace` was not set.
        ConfigurationError: an option is out of bounds.
    """
    started = Capture(client, source, **options)
    started.wait_for_camera()
    return started


class Capture:
    """A capture in the background: see `start_capture`. Leaving its `with` block, or the interpreter, stops it."""

    def __init__(
        self,
        client: redis.Redis,
        source: str | int | Path,
        *,
        resume: Resume | None = None,
        **options: Unpack[CaptureOptions],
    ) -> None:
        self._options = settings_of(options)
        self._source = open_for_capture(client, source, self._options, None)
        self._tally = Tally(self._options.camera, self._source)
        self._resume = resume
        self._progress = options.get("progress")
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(client,), name="rededge capture", daemon=True)
        atexit.register(self._leave)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether frames are still being added."""
        return self._thread.is_alive()

    @property
    def report(self) -> CaptureReport:
        """What was done so far."""
        return self._tally.report()

    @property
    def error(self) -> Exception | None:
        """What ended the capture, if it was an error; `wait` and `stop` raise it."""
        return self._error

    @property
    def problem(self) -> str | None:
        """Why no frames are added at the moment: the camera or the server is away; None when all is well."""
        return (self._tally.problem or self._source.problem) if self.running else None

    @property
    def resume(self) -> Resume:
        """Where another capture of this source can go on."""
        return Resume(self._tally.position, self._tally.times)

    def wait_for_camera(self) -> None:
        """Wait until the capture feeds its camera, or has failed.

        Raises:
            CameraInUseError: another capture feeds it.
        """
        self._tally.settled.wait()
        if isinstance(self._error, CameraInUseError):
            raise self._error

    def wait(self, timeout: float | None = None) -> CaptureReport:
        """Wait until the capture has ended.

        Raises:
            WaitTimeoutError: it still runs after `timeout` seconds, or the gear did not answer.
            RedEdgeError: whatever else ended it, see `capture`.
        """
        self._thread.join(timeout)
        if self.running:
            raise WaitTimeoutError(f"{self!r} has not ended after {timeout:g} s: give it longer, or stop() it")
        if self._error is not None:
            raise self._error
        return self.report

    def stop(self) -> CaptureReport:
        """End the capture and wait until it has; does nothing but report when it has ended already.

        Raises:
            RedEdgeError: the capture had ended with this error.
        """
        self.request_stop()
        return self.wait()

    def request_stop(self) -> None:
        """Let the capture end soon, and do not wait for it."""
        self._stop.set()

    def close(self) -> None:
        """End the capture and wait until it has; an error that ended it is not raised."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.close()

    def __repr__(self) -> str:
        if self.running:
            state = f"waiting ({self.problem})" if self.problem else "running"
        else:
            state = f"failed: {self._error}" if self._error else "ended"
        report = self.report
        return f"<Capture camera {report.camera}, {state}: {report.frames} frames at {report.fps:.1f} fps>"

    def _work(self, client: redis.Redis) -> None:
        try:
            with self._source:
                run_capture(
                    client,
                    self._source,
                    self._options,
                    self._tally,
                    progress=self._progress,
                    stop=self._stop,
                    resume=self._resume,
                )
        except Exception as error:  # noqa: BLE001  kept for wait() and stop(), which raise it
            self._error = error
        finally:
            self._tally.settled.set()
            atexit.unregister(self._leave)

    def _leave(self) -> None:
        self._stop.set()
        self._thread.join(_EXIT_TIMEOUT)
