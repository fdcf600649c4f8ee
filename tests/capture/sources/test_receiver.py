from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import numpy as np
import pytest

from rededge_nb.capture.sources import Captured, backoff, receiver
from rededge_nb.capture.sources.receiver import Receiver
from rededge_nb.errors import SourceError
from tests.waiting import wait_for


class Script:
    """A connection that does, each time, what the next of several generators does; the last one for ever."""

    native_fps = 30.0

    def __init__(self, *tries: Callable[[], Generator[Captured]]) -> None:
        self._tries = tries
        self.count = 0
        self.closed = threading.Event()

    def frames(self) -> Generator[Captured]:
        self.count += 1
        yield from self._tries[min(self.count, len(self._tries)) - 1]()

    def close(self) -> None:
        self.closed.set()


def sends(*sizes: int) -> Callable[[], Generator[Captured]]:
    """Sends JPEG of these sizes, whose time is their number, and breaks off."""

    def frames() -> Generator[Captured]:
        for number, size in enumerate(sizes, 1):
            yield Captured(bytes(size), number)
        raise SourceError("the line is cut")

    return frames


def fails() -> Generator[Captured]:
    raise SourceError("nobody there")
    yield


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.02)


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    opened: list[Receiver] = []

    def start(connection: Script) -> Receiver:
        opened.append(Receiver(connection, "camera"))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_it_connects_again_until_there_are_frames(receive: Callable[..., Receiver]) -> None:
    camera = receive(Script(fails, fails, sends(10), fails, sends(20, 20)))
    assert [len(camera.read().image) for _ in range(3)] == [10, 20, 20]
    wait_for(lambda: camera.problem, what="the problem")
    assert camera.problem.startswith("the line is cut; trying again in 0.0")


def test_only_the_newest_are_kept(receive: Callable[..., Receiver]) -> None:
    held = threading.Event()

    def many() -> Generator[Captured]:
        for number in range(100):
            yield Captured(b"x", number)
        held.wait(10)

    camera = receive(Script(many))
    wait_for(lambda: camera.missed == 100 - receiver.MOST_WAITING, what="missed frames")
    assert [camera.read().ts_ms for _ in range(receiver.MOST_WAITING)] == list(range(92, 100))
    assert not camera.ready(0)
    held.set()
    assert camera.read() is None


def test_large_frames_are_bounded_by_bytes(receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "MOST_WAITING_BYTES", 3000)
    image = np.zeros((20, 30, 3), np.uint8)

    def large() -> Generator[Captured]:
        yield from (Captured(image, number) for number in range(5))
        yield Captured(bytes(5000), 5)

    camera = receive(Script(large))
    wait_for(lambda: camera.missed == 5, what="missed frames")
    assert camera.read().ts_ms == 5
    assert camera.size_wh == (30, 20)


def test_the_first_failure_is_raised_by_wait_for_first(receive: Callable[..., Receiver]) -> None:
    camera = receive(Script(fails))
    with pytest.raises(SourceError, match="nobody there"):
        camera.wait_for_first(None)
    assert camera.read() is None


def test_silence_is_an_error_of_wait_for_first(
    receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "FIRST_TIMEOUT", 0.05)
    script = Script(lambda: script.closed.wait(10) and iter(()))  # type: ignore[arg-type, return-value]
    with pytest.raises(SourceError, match=r"camera sent no frame within 0\.05 s"):
        receive(script).wait_for_first(None)


def test_stop_ends_wait_for_first(receive: Callable[..., Receiver]) -> None:
    stop = threading.Event()
    stop.set()
    script = Script(lambda: script.closed.wait(10) and iter(()))  # type: ignore[arg-type, return-value]
    receive(script).wait_for_first(stop)
    assert script.count <= 1


def test_closing_wakes_a_reader_and_ends_the_thread(receive: Callable[..., Receiver]) -> None:
    script = Script(lambda: script.closed.wait(10) and iter(()))  # type: ignore[arg-type, return-value]
    camera = receive(script)
    result: list[Captured | None] = []
    reading = threading.Thread(target=lambda: result.append(camera.read()))
    reading.start()
    camera.close()
    camera.close()
    reading.join(10)
    assert result == [None]
    wait_for(lambda: "rededge camera" not in {each.name for each in threading.enumerate()}, what="the thread's end")


def test_a_mistake_in_a_connection_is_raised_and_not_tried_again(receive: Callable[..., Receiver]) -> None:
    def broken() -> Generator[Captured]:
        raise ZeroDivisionError
        yield

    script = Script(broken)
    camera = receive(script)
    with pytest.raises(ZeroDivisionError):
        camera.read()
    assert script.count == 1


def test_delays_grow_to_a_bound_and_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    several = [list(islice(backoff.delays(), 12)) for _ in range(20)]
    for number, ceiling in enumerate([0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]):
        assert all(ceiling / 2 <= delays[number] <= ceiling for delays in several)
    assert len({delays[0] for delays in several}) > 1
