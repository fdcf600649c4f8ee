from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.producer import Producer
from rededge_nb.capture.run import CaptureReport, Pace, capture, start_capture
from rededge_nb.capture.sources import Captured, LiveSource, RecordedSource
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.receiver import Receiver
from rededge_nb.capture.sources.recorded import PendingFrame, Reader
from rededge_nb.errors import ConfigurationError, ServerUnavailableError, SourceError, WaitTimeoutError
from tests.bare import BareServer, bare_server
from tests.paths import WALKING
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

FRAMES = "camera:0"
FOUND = "camera:0:yolo"
ERRORS = "camera:0:errors"


class Gray(Reader):
    """A reader of gray images whose brightness is their number; notes which were loaded."""

    def __init__(
        self, count: int, *, fps: float = 1000.0, before_load: Callable[[int], object] = lambda number: None
    ) -> None:
        self._before_load = before_load
        self._next = 0
        self.numbers: list[int] = []
        self.native_fps = fps
        self.frame_count = count

    def next(self, not_before: float) -> PendingFrame | None:
        if self._next >= (self.frame_count or 0):
            return None
        self._next += 1
        return PendingFrame((self._next - 1) / self.native_fps, partial(self._load, self._next - 1))

    def rewind(self) -> None:
        self._next = 0

    def _load(self, number: int) -> np.ndarray:
        self._before_load(number)
        self.numbers.append(number)
        return np.full((16, 16, 3), number % 256, np.uint8)


def gray(count: int, *, fps: float | None = None, native_fps: float = 1000.0, **more: Any) -> RecordedSource:
    return recorded(Gray(count, fps=native_fps), fps=fps, **more)


def recorded(reader: Reader, **more: Any) -> RecordedSource:
    return RecordedSource(reader, describe="gray", problems=Problems(), **more)


class Line:
    """A connection to a camera that sends so many images, as fast as they are read, and ends."""

    native_fps = 1000.0

    def __init__(self, count: int) -> None:
        self._count = count

    def frames(self) -> Generator[Captured]:
        for number in range(self._count):
            yield Captured(np.full((16, 16, 3), number % 256, np.uint8), 1000 * number)

    def close(self) -> None: ...


def live(count: int) -> LiveSource:
    return LiveSource(Receiver(Line(count), "gray"), describe="gray", problems=Problems(), fps=None)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 255, (120, 160, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), noise)
    return tmp_path


class StandInGear(threading.Thread):
    """Answers every frame of camera 0: number `failing` with an error, once `go` is set, each one `times` times."""

    def __init__(self, client: redis.Redis, *, failing: int = 0, times: int = 1) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._failing = failing
        self._times = times
        self.go = threading.Event()
        self.most_waiting = 0
        self.answered = 0
        self._over = threading.Event()

    def run(self) -> None:
        last = "0-0"
        while not self._over.is_set():
            for _, entries in self._client.xread({FRAMES: last}, block=50):
                self.most_waiting = max(self.most_waiting, len(entries))
                if self.go.wait(0.05):
                    for entry_id, fields in entries:
                        self._answer(entry_id, fields)
                        last = entry_id.decode()

    def _answer(self, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        for _ in range(self._times):
            if int(fields[b"count"]) == self._failing:
                self._client.xadd(ERRORS, {"ref": entry_id, "reason": "no image", "capture": fields[b"capture"]})
            else:
                self._client.xadd(FOUND, {"ref": entry_id, "boxes": "[]", "people": 0})
        self.answered += 1

    def end(self) -> None:
        self._over.set()
        self.go.set()
        self.join()


@pytest.fixture
def gear(bare_client: redis.Redis) -> Iterator[StandInGear]:
    gear = StandInGear(bare_client, failing=3, times=2)
    gear.start()
    yield gear
    gear.end()


def entries(client: redis.Redis) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(FRAMES)]


def test_frames_have_number_time_and_jpeg(bare_client: redis.Redis) -> None:
    before = time.time() * 1000
    report = capture(bare_client, WALKING, frames=2)
    found = bare_client.xrange(FRAMES)
    assert [set(fields) for _, fields in found] == [{b"count", b"ts", b"image", b"capture"}] * 2
    assert [int(fields[b"count"]) for _, fields in found] == [1, 2]
    times = [int(fields[b"ts"]) for _, fields in found]
    assert before - 1 <= times[0] < times[1] <= time.time() * 1000 + 1
    image = cv2.imdecode(np.frombuffer(found[0][1][b"image"], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (576, 768, 3)
    assert (report.camera, report.frames) == ("0", 2)
    assert (report.first_id, report.last_id) == (found[0][0].decode(), found[1][0].decode())
    assert report.bytes == sum(len(fields[b"image"]) for _, fields in found)
    assert report.fps == pytest.approx(2 / report.seconds)
    assert {fields[b"capture"].decode() for _, fields in found} == {report.capture}
    assert "2 frames" in repr(report)
    assert str(WALKING) in repr(report)


def test_a_client_with_redis_py_defaults_will_do(shared_bare_server: BareServer, images: Path) -> None:
    plain = redis.Redis(unix_socket_path=str(shared_bare_server.socket))
    assert capture(plain, images, camera="plain", frames=2).frames == 2
    plain.close()


def test_numbers_and_times_go_on_from_what_is_there(bare_client: redis.Redis) -> None:
    newest = 1_000_000_000
    bare_client.xadd(FRAMES, {"count": 41, "ts": newest, "image": b"x"})
    producer = Producer(bare_client, "0", quality=90, max_age=60, max_bytes=1_000_000, keep=False)
    for back in (4_000, 4_000, -5, 8_000, 0):
        producer.send(Captured(b"y", newest - back), not_answered=[])
    assert [(int(each[b"count"]), int(each[b"ts"]) - newest) for each in entries(bare_client)] == [
        (41, 0),
        (42, 1),
        (43, 2),
        (44, 5),
        (45, -8_000),  # the clock went back: to follow it is better than to squeeze hours into seconds
        (46, 0),
    ]


def test_jpeg_files_pass_unchanged_and_quality_counts(bare_client: redis.Redis, images: Path) -> None:
    capture(bare_client, images, fps=500, frames=1)
    assert entries(bare_client)[0][b"image"] == (images / "0.jpg").read_bytes()
    coarse = capture(bare_client, WALKING, camera="coarse", frames=1, quality=20)
    fine = capture(bare_client, WALKING, camera="fine", frames=1, quality=95)
    assert coarse.bytes * 2 < fine.bytes


def test_frames_are_shrunk_and_mirrored_on_request(bare_client: redis.Redis, tmp_path: Path) -> None:
    left = np.zeros((100, 200, 3), np.uint8)
    left[:, :100] = 255
    cv2.imwrite(str(tmp_path / "left.png"), left)
    with start_capture(bare_client, tmp_path, size="100x100", flip=True) as running:
        assert running.wait(30).frames == 1
    image = cv2.imdecode(np.frombuffer(entries(bare_client)[0][b"image"], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (50, 100, 3)
    assert image[:, :40].max() < 20
    assert image[:, 60:].min() > 235


@pytest.mark.parametrize("pace", ["realtime", "asap"])
def test_lower_fps_leaves_frames_out_without_calling_them_skipped(
    bare_client: redis.Redis, gear: StandInGear, pace: Pace
) -> None:
    gear.go.set()
    reader = Gray(9, fps=30)
    told: list[tuple[int, int | None]] = []
    report = capture(
        bare_client, recorded(reader, fps=10), pace=pace, progress=lambda done, total: told.append((done, total))
    )
    # On a machine that is slow beyond measure a frame may be late, and then it is told.
    assert report.frames + report.skipped == 3
    assert all(number % 3 == 0 for number in reader.numbers)
    assert told[-1] == (report.frames, 3)


def test_late_capture_skips_instead_of_bursting(bare_client: redis.Redis) -> None:
    reader = Gray(40, fps=50, before_load=lambda number: threading.Event().wait(0.3) if number == 1 else None)
    report = capture(bare_client, recorded(reader))
    # The second image came 0.3 s late: those that were due meanwhile are gone.
    assert reader.numbers[:2] == [0, 1]
    assert reader.numbers[2] >= 14
    assert report.skipped >= 12
    assert report.frames + report.skipped == 40


def test_realtime_takes_its_time(bare_client: redis.Redis) -> None:
    report = capture(bare_client, gray(1000, native_fps=40), seconds=0.5)
    assert report.frames + report.skipped == 20
    assert report.seconds >= 19 / 40


def test_loop_goes_on_until_stopped(bare_client: redis.Redis, images: Path) -> None:
    stop = threading.Event()
    report = capture(
        bare_client, images, fps=500, loop=True, stop=stop, progress=lambda done, _: done >= 20 and stop.set()
    )
    assert report.frames == 20


def test_camera_sets_the_pace(bare_client: redis.Redis) -> None:
    report = capture(bare_client, live(5))
    assert report.frames + report.skipped == 5
    times = [int(each[b"ts"]) for each in entries(bare_client)]
    assert times == sorted(times)


def test_stream_is_bounded_by_bytes_whatever_the_frame_size(bare_client: redis.Redis) -> None:
    sizes = [50_000, 1_000, 200_000, 20_000]
    for number, size in enumerate(sizes):
        reader = Gray(30)
        reader._load = lambda number, size=size: bytes(size)  # type: ignore[assignment, method-assign]
        capture(bare_client, recorded(reader), max_bytes=400_000)
        held = sum(len(each[b"image"]) for each in entries(bare_client))
        assert held <= 400_000
        if number in (0, 2, 3):
            assert held >= min(300_000, size) * 0.5
    assert int(bare_client.memory_usage(FRAMES, samples=0)) < 700_000


def test_a_frame_above_the_bound_is_kept_alone(bare_client: redis.Redis, images: Path) -> None:
    report = capture(bare_client, images, fps=500, max_bytes=10)
    assert [entry_id.decode() for entry_id, _ in bare_client.xrange(FRAMES)] == [report.last_id]


def test_stream_is_bounded_by_age(bare_client: redis.Redis, images: Path) -> None:
    seconds, _ = bare_client.time()
    old = (seconds - 100) * 1000
    for number in range(3):
        bare_client.xadd(FRAMES, {"count": number, "image": bytes(5000)}, id=f"{old + number}-0")
    report = capture(bare_client, images, fps=500, max_age=60)
    assert bare_client.xrange(FRAMES)[0][0].decode() == report.first_id
    assert bare_client.xlen(FRAMES) == report.frames


def test_producers_of_one_camera_leave_each_other_their_frames(bare_client: redis.Redis) -> None:
    first = Producer(bare_client, "0", quality=90, max_age=60, max_bytes=1_000_000, keep=True)
    second = Producer(bare_client, "0", quality=90, max_age=60, max_bytes=1_000_000, keep=False)
    sent = [
        producer.send(Captured(bytes(100), 0), not_answered=[])[0] for _ in range(10) for producer in (first, second)
    ]
    assert [entry_id.decode() for entry_id, _ in bare_client.xrange(FRAMES)] == sent


def test_a_frame_that_another_client_pushed_out_is_said_to_be_gone(bare_client: redis.Redis, images: Path) -> None:
    capturing = start_capture(bare_client, images, pace="asap", stall_timeout=1)
    wait_for(lambda: bare_client.xlen(FRAMES) == 4, what="frames under way")
    bare_client.xtrim(FRAMES, maxlen=0)
    with pytest.raises(WaitTimeoutError, match="left the stream before the gear answered"):
        capturing.wait()


def test_asap_takes_every_frame_and_never_overruns(bare_client: redis.Redis, gear: StandInGear) -> None:
    gear.go.set()
    told: list[tuple[int, int | None]] = []
    report = capture(
        bare_client, gray(40, native_fps=1), pace="asap", progress=lambda done, total: told.append((done, total))
    )
    assert report.frames == 40
    assert report.skipped == 0
    assert 1 <= gear.most_waiting <= 4
    refs = {fields[b"ref"] for _, fields in [*bare_client.xrange(FOUND), *bare_client.xrange(ERRORS)]}
    frames = bare_client.xrange(FRAMES)
    assert refs == {entry_id for entry_id, _ in frames}
    assert {fields[b"keep"] for _, fields in frames} == {b"1"}
    assert bare_client.xlen(ERRORS) == 2
    # the stand-in answers twice, as a worker does that takes over from a dead one
    assert report.refused == 1
    slow, refused = report.problems
    assert slow.startswith("the rate is 1 fps, and people can be followed from 3.5 fps on")
    assert refused == "1 frame was refused by the gear: no image"
    assert told[-1] == (40, 40)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_asap_seconds_are_the_sources(bare_client: redis.Redis, gear: StandInGear) -> None:
    gear.go.set()
    assert capture(bare_client, gray(500, native_fps=10), pace="asap", seconds=1.2).frames == 12


def test_asap_survives_a_worker_that_is_away_for_a_while(bare_client: redis.Redis, gear: StandInGear) -> None:
    running = start_capture(bare_client, WALKING, frames=7, pace="asap", max_age=0.001, max_bytes=1)
    wait_for(lambda: running.report.frames == 4, what="four frames under way")
    assert running.running
    assert bare_client.xlen(FRAMES) == 4
    gear.go.set()
    assert running.wait(30).frames == 7
    # Not even the tightest bounds took a frame away that had no answer.
    assert gear.answered == 7


def test_asap_without_gear_says_where_to_look(bare_client: redis.Redis) -> None:
    bare_client.xadd(FOUND, {"ref": "1-0"})
    with pytest.raises(WaitTimeoutError, match=r"4 are waiting: see whether the gear is registered \(RG\.DUMP"):
        capture(bare_client, gray(9), pace="asap", stall_timeout=0.2)


def test_stop_does_not_wait_for_answers(bare_client: redis.Redis) -> None:
    running = start_capture(bare_client, WALKING, pace="asap")
    wait_for(lambda: running.report.frames == 4, what="four frames under way")
    assert running.stop().frames == 4
    assert running.stop().frames == 4
    assert not running.running


def test_one_bad_image_affects_one_image_only_and_the_report_says_so(bare_client: redis.Redis, images: Path) -> None:
    (images / "3.jpg").write_bytes(b"broken")
    report = capture(bare_client, images, fps=500)
    assert report.frames + report.skipped == 6
    assert report.skipped >= 1
    (problem,) = report.problems
    assert problem.startswith("1 image was left out: the image ")
    assert "3.jpg is not an image" in problem


def test_background_error_is_raised_when_asked(bare_client: redis.Redis) -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise SourceError("the disk is gone")

    source = recorded(Gray(6, before_load=fail))
    with pytest.raises(SourceError, match="the disk is gone"):
        capture(bare_client, source)
    running = start_capture(bare_client, "synthetic:", stall_timeout=0.2, pace="asap")
    with pytest.raises(WaitTimeoutError, match="no frame of camera 0 was answered"):
        running.wait(30)
    assert isinstance(running.error, WaitTimeoutError)
    assert "failed" in repr(running)
    with pytest.raises(WaitTimeoutError), running:
        pass


def test_background_start_errors_come_at_once(bare_client: redis.Redis) -> None:
    with pytest.raises(SourceError):
        start_capture(bare_client, "no such file")
    with pytest.raises(ConfigurationError, match="quality is 0"):
        start_capture(bare_client, WALKING, quality=0)
    assert bare_client.xlen(FRAMES) == 0


def test_with_block_stops_it(bare_client: redis.Redis) -> None:
    with start_capture(bare_client, WALKING, loop=True) as running:
        wait_for(lambda: bare_client.xlen(FRAMES) > 0, what="a frame")
        with pytest.raises(WaitTimeoutError, match="has not ended"):
            running.wait(0.01)
    assert not running.running
    assert isinstance(running.report, CaptureReport)


def test_interpreter_exit_stops_it(shared_bare_server: BareServer, bare_client: redis.Redis) -> None:
    script = (
        "import redis\n"
        "from rededge_nb.capture.run import start_capture\n"
        f"client = redis.Redis(unix_socket_path={str(shared_bare_server.socket)!r}, protocol=2)\n"
        f"running = start_capture(client, {str(WALKING)!r}, loop=True, pace='asap')\n"
        "while running.report.frames < 2: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bare_client.xlen(FRAMES) >= 2


@pytest.mark.parametrize("pace", ["asap", "realtime"])
def test_lost_server_is_told(pace: str) -> None:
    with bare_server() as server:
        running = start_capture(server.client(), WALKING, loop=True, pace=pace, away_timeout=0.5)  # type: ignore[typeddict-item]
        wait_for(lambda: running.report.frames > 0, what="a frame")
        server.kill()
        with pytest.raises(ServerUnavailableError, match=r"does not answer .*rededge up"):
            running.wait(30)


def test_server_that_is_not_there(tmp_path: Path) -> None:
    client = redis.Redis(unix_socket_path=str(tmp_path / "none"), protocol=2)
    with pytest.raises(ServerUnavailableError, match="none does not answer"):
        capture(client, WALKING)


@pytest.mark.parametrize("client_options", [{"decode_responses": True}, {"protocol": 3}, {"socket_timeout": 0.05}])
def test_any_client_will_do(
    shared_bare_server: BareServer, bare_client: redis.Redis, gear: StandInGear, client_options: dict[str, object]
) -> None:
    options = {"protocol": 2, **client_options}
    client = redis.Redis(unix_socket_path=str(shared_bare_server.socket), **options)  # type: ignore[arg-type]
    running = start_capture(client, WALKING, frames=5, pace="asap")
    wait_for(lambda: bare_client.xlen(FRAMES) == 4, what="four frames under way")
    gear.go.set()
    assert running.wait(30).frames == 5
    client.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pace": "slow"}, "pace is 'slow': take 'realtime' or 'asap'"),
        ({"quality": 101}, "quality is 101"),
        ({"seconds": 0}, "seconds is 0"),
        ({"frames": -1}, "frames is -1"),
        ({"max_age": 0}, "max_age is 0"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"window": 0}, "window is 0"),
        ({"camera": "a:b"}, "camera id 'a:b'"),
        ({"fps": 0}, "fps is 0"),
        ({"size": "large"}, "size is 'large'"),
    ],
)
def test_options_out_of_range(bare_client: redis.Redis, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        capture(bare_client, WALKING, **options)  # type: ignore[arg-type]


def test_fields_are_those_of_the_schema() -> None:
    assert (schema.COUNT, schema.TS, schema.IMAGE, schema.KEEP) == ("count", "ts", "image", "keep")
    assert (schema.frames_key(0), schema.detections_key(0), schema.errors_key(0)) == (FRAMES, FOUND, ERRORS)
