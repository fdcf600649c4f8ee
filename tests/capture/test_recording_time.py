"""Recordings that are counted `asap`: their samples are on the timeline of the video, once, and replace no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.capture.run import CaptureReport, capture
from rededge_nb.control.provision import provision
from rededge_nb.errors import ConfigurationError
from rededge_nb.reading.captures import ended_captures
from rededge_nb.reading.series import create_series, read_series
from tests.paths import WALKING
from tests.video_files import gray_levels, write_video
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

START = "2026-01-05T10:00:00Z"
START_MS = 1_767_607_200_000
Samples = dict[int, float]


class SeriesGear(threading.Thread):
    """Answers every frame of camera 0, and writes its samples as the bundled gear does; people are its brightness."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._over = threading.Event()
        create_series(client, "0")

    def run(self) -> None:
        last = "0-0"
        while not self._over.is_set():
            for _, entries in self._client.xread({"camera:0": last}, block=50):
                for entry_id, fields in entries:
                    last = entry_id.decode()
                    self._process(last, {name.decode(): value for name, value in fields.items()})

    def _process(self, ref: str, fields: dict[str, bytes]) -> None:
        ts_ms = int(fields["ts"])
        image = cv2.imdecode(np.frombuffer(fields["image"], np.uint8), cv2.IMREAD_GRAYSCALE)
        people = round(float(image.mean()) / 10)
        for name, at, value in (
            ("people", ts_ms, people),
            ("in_fps", ts_ms // 1000 * 1000, 1),
            ("out_fps", ts_ms // 1000 * 1000, 1),
        ):
            self._client.execute_command("TS.ADD", f"camera:0:{name}", at, value)
        self._client.xadd("camera:0:yolo", {"ref": ref, "boxes": "[]", "people": people, "ts": ts_ms})

    def end(self) -> None:
        self._over.set()
        self.join()


@pytest.fixture
def counting(bare_client: redis.Redis) -> Iterator[redis.Redis]:
    gear = SeriesGear(bare_client)
    gear.start()
    yield bare_client
    gear.end()


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """Makes videos of 5 frames a second."""

    def film(frames: int = 20, name: str = "a.mp4", **more: Any) -> Path:
        write_video(tmp_path / name, gray_levels(frames), fps=5, **more)
        return tmp_path / name

    return film


def samples(client: redis.Redis, name: str = "people") -> Samples:
    series = read_series(client, "0", name)
    return dict(zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True))


def count(client: redis.Redis, source: Path | str, **options: Any) -> CaptureReport:
    return capture(client, source, pace="asap", **options)


def expected(start_ms: int, frames: int, step_ms: int = 200) -> Samples:
    return {start_ms + step_ms * number: float(number % 25) for number in range(frames)}


def test_samples_have_the_times_of_the_video(counting: redis.Redis, film: Callable[..., Path]) -> None:
    report = count(counting, film(20), start=START)
    assert samples(counting) == expected(START_MS, 20)
    assert samples(counting, "in_fps") == {START_MS + 1000 * second: 5.0 for second in range(4)}
    assert report.problems == ()
    assert report.seconds < 4
    (_, fields) = counting.xrange("camera:0")[3]
    assert int(fields[b"ts"]) == START_MS + 600
    assert abs(int(fields[b"captured"]) - 1000 * time.time()) < 60_000


@pytest.mark.parametrize("name", ["people", "in_fps", "people_avg_1m", "people_max_1m"])
def test_a_second_count_gives_the_same_series(counting: redis.Redis, film: Callable[..., Path], name: str) -> None:
    source = film(20)
    assert count(counting, source, start=START).problems == ()
    first = samples(counting, name)
    assert first
    assert count(counting, source, start=START).problems == ()
    assert samples(counting, name) == first


def test_uneven_frames_keep_their_times(counting: redis.Redis, film: Callable[..., Path]) -> None:
    times = [0, 0.1, 0.5, 1.7, 4.0, 4.1]
    count(counting, film(6, times=times), start=START)
    assert list(samples(counting)) == [START_MS + round(1000 * each) for each in times]


def test_without_a_start_the_creation_time_counts(counting: redis.Redis, film: Callable[..., Path]) -> None:
    count(counting, film(5, metadata={"creation_time": "2026-02-03T04:05:06.000000Z"}))
    assert next(iter(samples(counting))) == 1_770_091_506_000
    assert count(counting, film(5, "b.mkv", metadata={"creation_time": "2026-02-03T14:05:06Z"})).frames == 5
    assert next(reversed(samples(counting))) == 1_770_127_506_000 + 800


@pytest.mark.parametrize("created", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", ""])
def test_without_any_time_the_recording_ends_now(
    counting: redis.Redis, film: Callable[..., Path], created: str
) -> None:
    source = film(20, metadata={"creation_time": created} if created else {})
    before = time.time_ns() // 1_000_000
    count(counting, source)
    found = list(samples(counting))
    assert 0 <= found[0] + 4000 - before < 30_000
    assert [each - found[0] for each in found] == list(expected(0, 20))


def test_counting_again_later_moves_the_samples(counting: redis.Redis, film: Callable[..., Path]) -> None:
    source = film(20)
    count(counting, source)
    first = samples(counting)
    source = source.rename(source.with_name("moved.mp4"))
    report = count(counting, source)
    again = samples(counting)
    assert list(again.values()) == list(first.values())
    assert next(iter(again)) > next(iter(first))
    assert sum(samples(counting, "in_fps").values()) == 20
    assert report.problems == ()


def test_a_new_start_moves_the_samples(counting: redis.Redis, film: Callable[..., Path]) -> None:
    source = film(20)
    count(counting, source, start=START)
    count(counting, source, start="2026-01-05T10:00:01.500+00:00")
    assert samples(counting) == expected(START_MS + 1500, 20)
    assert sum(samples(counting, "in_fps").values()) == 20


def test_other_recordings_without_a_time_are_kept(counting: redis.Redis, film: Callable[..., Path]) -> None:
    count(counting, film(20))
    first = samples(counting)
    report = count(counting, film(15, "other.mp4"))
    both = samples(counting)
    assert len(both) == 35
    assert both.items() >= first.items()
    assert sum(samples(counting, "in_fps").values()) == 35
    (problem,) = report.problems
    assert "the frames got times from" in problem
    assert "--start" in problem


def test_what_a_camera_has_counted_live_is_kept(counting: redis.Redis, film: Callable[..., Path]) -> None:
    capture(counting, "synthetic:people=1,size=128x64,frames=8,fps=10", pace="realtime")
    wait_for(lambda: len(samples(counting)) >= 7, what="the live frames")
    live = samples(counting)
    count(counting, film(20))
    both = samples(counting)
    assert both.items() >= live.items()
    assert len(both) == len(live) + 20
    assert sum(samples(counting, "in_fps").values()) == len(both)


def test_a_camera_without_free_time_refuses_what_has_no_time(counting: redis.Redis, film: Callable[..., Path]) -> None:
    now = time.time_ns() // 1_000_000
    every = range(now - 86_400_000, now, 3000)
    for at in range(0, len(every), 1000):
        words = [word for each in every[at : at + 1000] for word in ("camera:0:people", each, 1)]
        counting.execute_command("TS.MADD", *words)
    before = samples(counting)
    with pytest.raises(ConfigurationError, match=r"has samples of all the time that it keeps them.*--start"):
        count(counting, film(40))
    assert samples(counting) == before


def test_a_start_replaces_what_the_camera_had_then_and_says_so(
    counting: redis.Redis, film: Callable[..., Path]
) -> None:
    count(counting, film(30), start=START)
    report = count(counting, film(10, "other.mp4"), start="2026-01-05T10:00:02Z")
    assert samples(counting) == expected(START_MS, 30) | expected(START_MS + 2000, 10)
    assert samples(counting, "in_fps") == {START_MS + 1000 * second: 5.0 for second in range(6)}
    assert report.problems == ("10 samples that camera 0 had from the time of the recording were replaced",)


@pytest.mark.parametrize("offset_ms", [0, 400, 2000, 2600])
def test_recordings_that_follow_each_other_leave_each_other_alone(
    counting: redis.Redis, film: Callable[..., Path], offset_ms: int
) -> None:
    """As a recorder cuts them, in the middle of a second, too."""
    first, second = film(12), film(13, "second.mp4")
    start_ms = START_MS + offset_ms
    middle_ms = start_ms + 12 * 200
    starts = {
        first: f"2026-01-05T10:00:0{offset_ms / 1000}Z",
        second: f"2026-01-05T10:00:0{(middle_ms - START_MS) / 1000}Z",
    }
    whole = expected(start_ms, 12) | expected(middle_ms, 13)
    for source in (first, second, first, second, second, first):
        assert count(counting, source, start=starts[source]).problems == ()
    assert samples(counting) == whole
    for name in ("in_fps", "out_fps"):
        per_second: Samples = {}
        for at in whole:
            per_second[at // 1000 * 1000] = per_second.get(at // 1000 * 1000, 0) + 1
        assert samples(counting, name) == per_second


def test_a_part_that_is_counted_again_leaves_the_rest(counting: redis.Redis, film: Callable[..., Path]) -> None:
    source = film(30)
    count(counting, source, start=START)
    for part in ({"frames": 7}, {"seconds": 2}):
        count(counting, source, start=START, **part)
        assert samples(counting) == expected(START_MS, 30), part
        assert sum(samples(counting, "in_fps").values()) == 30
    count(counting, source, start="2026-01-06T10:00:00Z", seconds=2)
    # RedisTimeSeries keeps a day before the newest sample
    assert samples(counting, "in_fps") == {START_MS + 86_400_000 + 1000 * second: 5.0 for second in range(2)} | {
        START_MS + 1000 * second: 5.0 for second in range(2, 6)
    }


def test_fewer_frames_replace_all(counting: redis.Redis, film: Callable[..., Path]) -> None:
    source = film(20)
    count(counting, source, start=START)
    count(counting, source, start=START, fps=1)
    assert list(samples(counting)) == [START_MS + 1000 * second for second in range(4)]
    assert set(samples(counting, "in_fps").values()) == {1.0}


@pytest.mark.parametrize("container", ["h264", "mjpeg", "ts", "avi", "webm", "gif"])
def test_every_container_has_the_times_of_the_video(
    counting: redis.Redis, film: Callable[..., Path], container: str
) -> None:
    formats = {"mjpeg": ("mjpeg", "yuvj420p"), "webm": ("libvpx", "yuv420p"), "gif": ("gif", "gray")}
    codec, pix_fmt = formats.get(container, ("libx264", "yuv420p"))
    source = film(
        12, f"a.{container}", codec=codec, pix_fmt=pix_fmt, options={"bf": "0"} if container == "h264" else {}
    )
    for _ in range(2):
        count(counting, source, start=START, fps=None)
        found = samples(counting)
        # MJPEG without a container has no rate: FFmpeg takes 25 frames a second
        step = 40 if container == "mjpeg" else 200
        assert list(found) == pytest.approx(list(expected(START_MS, 12, step)), abs=1)
        assert sum(samples(counting, "in_fps").values()) == 12


def test_a_start_before_what_the_series_keep_is_refused(counting: redis.Redis, film: Callable[..., Path]) -> None:
    count(counting, film(5), start="2026-01-08T10:00:00Z")
    with pytest.raises(ConfigurationError, match=r"takes no samples from before 2026-01-07T10:00:00Z.*10:00:00Z: "):
        count(counting, film(6, "b.mp4"), start=START)
    report = count(counting, film(7, "c.mp4", metadata={"creation_time": "2026-01-05T10:00:00Z"}))
    assert "do not get the times of the recording: camera 0 takes no samples" in report.problems[0]
    assert next(iter(samples(counting))) > 1000 * (time.time() - 60)


def test_what_was_not_recorded_has_the_time_of_the_run(counting: redis.Redis, film: Callable[..., Path]) -> None:
    before = time.time_ns() // 1_000_000
    count(counting, film(5), loop=True, frames=12)
    count(counting, "synthetic:people=1,size=128x64,frames=12,fps=5")
    found = list(samples(counting))
    assert len(found) == 24
    assert found[0] >= before
    assert found[-1] <= time.time_ns() // 1_000_000 + len(found)


def test_the_pace_of_life_has_the_time_of_life(counting: redis.Redis, film: Callable[..., Path]) -> None:
    before = time.time_ns() // 1_000_000
    capture(counting, film(3, metadata={"creation_time": "2026-02-03T04:05:06Z"}), pace="realtime")
    (_, fields) = counting.xrange("camera:0")[0]
    assert int(fields[b"ts"]) >= before
    assert b"captured" not in fields


def test_the_record_of_a_capture_has_its_times(counting: redis.Redis, film: Callable[..., Path]) -> None:
    count(counting, film(20), start=START)
    (record,) = ended_captures(counting, 0)
    assert (record.start_ms, record.first_ms, record.last_ms) == (START_MS, START_MS, START_MS + 3800)
    assert record.content_id


def test_the_sample_is_counted_on_its_own_timeline(client: redis.Redis) -> None:
    """With the gear, at two frames a second."""
    provision(client, cameras=["0"])
    found = []
    for _ in range(2):
        report = capture(client, WALKING, pace="asap", start=START, fps=2, seconds=30)
        (slow,) = report.problems
        assert (report.frames, slow.partition(",")[0]) == (60, "the rate is 2 fps")
        wait_for(lambda: sum(samples(client, "out_fps").values()) == 60, what="the last sample")
        found.append({name: samples(client, name) for name in ("people", "in_fps", "out_fps", "people_avg_1m")})
    assert found[0] == found[1]
    assert list(found[0]["people"]) == [START_MS + 500 * number for number in range(60)]
    assert set(found[0]["in_fps"].values()) == {2.0}
    latency = samples(client, "latency")
    assert list(latency) == list(found[0]["people"])
    assert all(0 <= each < 60_000 for each in latency.values())
