"""The bounds of a camera's stream, whatever the frames and however many captures."""

from __future__ import annotations

import numpy as np
import pytest
import redis

from rededge_nb.capture.producer import Producer
from rededge_nb.capture.run import capture
from rededge_nb.capture.sources import Captured

pytest_plugins = ("tests.bare_fixtures",)

FRAMES = "camera:0"
LARGE, TINY = 1_500_000, 300


@pytest.mark.parametrize(
    ("sizes", "max_bytes", "rounds"),
    [
        ([LARGE], 8_000_000, 20),
        ([TINY], 200_000, 1500),
        ([LARGE, LARGE], 8_000_000, 15),
        ([TINY, TINY], 200_000, 1500),
        ([LARGE, TINY], 8_000_000, 30),
        ([TINY] * 5 + [LARGE], 8_000_000, 30),
    ],
)
def test_the_memory_is_bounded(bare_client: redis.Redis, sizes: list[int], max_bytes: int, rounds: int) -> None:
    producers = [Producer(bare_client, "0", quality=90, max_age=60, max_bytes=max_bytes, keep=False) for _ in sizes]
    peak = 0
    for number in range(rounds):
        for producer, size in zip(producers, sizes, strict=True):
            last_id, _ = producer.send(Captured(bytes(size), 0), not_answered=[])
        if number % (rounds // 15) == 0 or number == rounds - 1:
            peak = max(peak, bare_client.memory_usage(FRAMES, samples=0))
    # Each capture learns of the others' frames when it adds its next.
    assert peak <= max_bytes + (len(sizes) - 1) * max(sizes)
    assert bare_client.memory_usage(FRAMES, samples=0) <= max_bytes
    if len(set(sizes)) == 1:
        assert peak > max_bytes / 2
    assert bare_client.xrevrange(FRAMES, count=1)[0][0].decode() == last_id


def test_frames_of_four_thousand_pixels_are_bounded(bare_client: redis.Redis) -> None:
    report = capture(bare_client, "synthetic:size=3840x2160,frames=12,fps=1000", pace="realtime", max_bytes=2_000_000)
    assert report.frames > 0
    assert report.frames + report.skipped == 12
    assert report.bytes / report.frames > 200_000
    assert bare_client.memory_usage(FRAMES, samples=0) <= 2_000_000


def test_a_source_that_is_larger_than_the_bound_still_shows_its_newest(bare_client: redis.Redis) -> None:
    producer = Producer(bare_client, "0", quality=90, max_age=60, max_bytes=1000, keep=False)
    for number in range(3):
        producer.send(Captured(np.zeros((500, 500, 3), np.uint8), number), not_answered=[])
        assert bare_client.xlen(FRAMES) == 1


def test_times_are_those_of_the_pictures_and_never_repeat(bare_client: redis.Redis) -> None:
    producer = Producer(bare_client, "0", quality=90, max_age=60, max_bytes=10_000, keep=False)
    for ts_ms in (5000, 5000, 4000, 7000):
        producer.send(Captured(b"jpeg", ts_ms), not_answered=[])
    assert [int(fields[b"ts"]) for _, fields in bare_client.xrange(FRAMES)] == [5000, 5001, 5002, 7000]
