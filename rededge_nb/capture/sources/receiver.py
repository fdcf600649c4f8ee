"""Receiving from a camera in a thread of its own, and connecting again for as long as it takes."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import closing
from typing import Protocol

from rededge_nb.capture.sources import backoff
from rededge_nb.capture.sources.base import Captured, Source
from rededge_nb.capture.sources.problems import BadImageError, Problems
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import size_of

logger = logging.getLogger(__name__)

FIRST_TIMEOUT = 15.0
"""Seconds in which a camera that is opened has to send its first frame."""
MOST_WAITING = 8
"""Frames that are kept for the reader; older ones are lost."""
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Memory that they may take; the newest is kept however large it is."""

_CATCH_UP_TIMEOUT = 5.0
"""Seconds that a reader gets for the frames that arrive together when a connection begins, before any is lost."""
_POLL = 0.1
_END_TIMEOUT = 0.5


class Connection(Protocol):
    """How to reach one camera."""

    native_fps: float | None
    """The rate that it tells, once it was reached."""

    def frames(self) -> Generator[Captured]:
        """Connect and receive; ends where there are no more frames and connecting again would be wrong.

        Raises:
            SourceError: the camera does not answer, falls silent, hangs up, or sends something else.
        """

    def close(self) -> None:
        """Make `frames` end soon, by an error if need be. Called from another thread, perhaps twice."""


class Receiver:
    """Keeps the newest frames of a camera ready.

    A thread receives, so that no frame is older than it must be, and the reader can stop at any time, whatever the
    connection waits for. When the connection breaks, it connects again, at first soon, then less often.

    Attributes:
        problem: Why no frames come, while that is so.
        missed: Frames that came and were lost because nobody read them.
        size_wh: Width and height of the first frame, once that is known.
    """

    def __init__(self, connection: Connection, describe: str) -> None:
        self.problem: str | None = None
        self.missed = 0
        self.size_wh = (0, 0)
        self._connection = connection
        self._describe = describe
        self._changed = threading.Condition()
        self._waiting: deque[Captured] = deque()
        self._waiting_bytes = 0
        self._received = 0
        self._catching_up = True
        self._failure: Exception | None = None
        self._ended = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"rededge {describe}", daemon=True)
        self._thread.start()

    @property
    def native_fps(self) -> float | None:
        """The rate that the camera states; None if it states none, or was not reached yet."""
        return self._connection.native_fps

    def wait_for_first(self, stop: threading.Event | None) -> None:
        """Wait for the first frame, or until `stop` is set.

        Raises:
            SourceError: the first try failed, or brought no frame within `FIRST_TIMEOUT`.
        """
        deadline = time.monotonic() + FIRST_TIMEOUT
        while not (stop is not None and stop.is_set()):
            with self._changed:
                self._changed.wait_for(lambda: self._received or self._failure or self._ended, _POLL)
                received, failure, ended = self._received, self._failure, self._ended
            if received:
                return
            if failure is None and (ended or time.monotonic() > deadline):
                failure = SourceError(
                    f"{self._describe} sent no frame within {FIRST_TIMEOUT:g} s: see whether it is the address of a "
                    "video stream, and whether the camera is on"
                )
            if failure is not None:
                self.close()
                raise failure

    def ready(self, timeout: float) -> bool:
        """Wait for a frame or the end, `timeout` seconds at most; whether `read` will return at once."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._waiting or self._ended, timeout))

    def read(self) -> Captured | None:
        """The oldest frame that waits, or the next one that comes; None once closed, or at the end of a video."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                if self._failure is not None and not self._closing.is_set():
                    raise self._failure
                return None
            captured = self._pop()
            self._catching_up = self._catching_up and bool(self._waiting)
            self._changed.notify_all()
            return captured

    def close(self) -> None:
        """End the thread, or let it end by itself where it waits in a system call."""
        self._closing.set()
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()
        self._connection.close()
        self._thread.join(_END_TIMEOUT)

    def _work(self) -> None:
        try:
            delays = backoff.delays()
            while not self._closing.is_set():
                received = self._received
                try:
                    if self._receive():
                        break
                except SourceError as error:
                    if self._received > received:
                        delays = backoff.delays()
                    self._wait(next(delays), error)
        except Exception as error:  # noqa: BLE001  `read` raises it
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _receive(self) -> bool:
        """Receive over one connection; True at the end of all frames."""
        self._catching_up = True
        with closing(self._connection.frames()) as frames:
            for captured in frames:
                if self._closing.is_set():
                    return True
                self._put(captured)
        return True

    def _wait(self, delay: float, error: SourceError) -> None:
        if self._closing.is_set():
            return
        with self._changed:
            self.problem = f"{error}; trying again in {delay:.1f} s"
            self._failure = error
            self._changed.notify_all()
        logger.info("%s", self.problem)
        self._closing.wait(delay)

    def _put(self, captured: Captured) -> None:
        with self._changed:
            if not self._received:
                self.size_wh = size_of(captured.image)
            self.problem = self._failure = None
            self._received += 1
            if self._catching_up and self._is_full():
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._ended or not self._is_full(), _CATCH_UP_TIMEOUT)
                self._catching_up = not self._is_full()
            self._waiting.append(captured)
            self._waiting_bytes += _bytes(captured)
            while len(self._waiting) > MOST_WAITING or (
                self._waiting_bytes > MOST_WAITING_BYTES and len(self._waiting) > 1
            ):
                self._pop()
                self.missed += 1
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return len(self._waiting) >= MOST_WAITING or self._waiting_bytes > MOST_WAITING_BYTES

    def _pop(self) -> Captured:
        captured = self._waiting.popleft()
        self._waiting_bytes -= _bytes(captured)
        return captured


def _bytes(captured: Captured) -> int:
    return len(captured.image) if isinstance(captured.image, bytes) else captured.image.nbytes


class LiveSource(Source):
    """A camera, or a video in the network, which sets the pace itself."""

    live = True

    def __init__(
        self, receiver: Receiver, *, describe: str, problems: Problems, fps: float | None, shape: Shape | None = None
    ) -> None:
        super().__init__(describe=describe, fps=fps, shape=shape, problems=problems)
        self._receiver = receiver

    @property
    def native_fps(self) -> float | None:
        """The rate that the camera tells; None if it does not, or was not reached yet."""
        return self._receiver.native_fps

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the first frame as it is handed on; (0, 0) before it has come."""
        return self._shape.fitted(self._receiver.size_wh)

    @property
    def problem(self) -> str | None:
        """As `Source.problem`."""
        return self._receiver.problem

    @property
    def missed(self) -> int:
        """As `Source.missed`."""
        return self._receiver.missed

    def ready(self, timeout: float) -> bool:
        """Wait for the next frame, `timeout` seconds at most; whether `read` will return at once."""
        return self._receiver.ready(timeout)

    def read(self) -> Captured | None:
        """As `Source.read`."""
        while (captured := self._receiver.read()) is not None:
            try:
                return captured._replace(image=self._shape.apply(captured.image))
            except BadImageError as error:
                self.problems.skip(str(error))
        return None

    def close(self) -> None:
        """End the connection."""
        self._receiver.close()
