"""What a run found out: the peak, gaps between captures, and positions in the recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.images import encode_jpeg
from rededge_nb.pipeline.findings import Findings, read_findings
from rededge_nb.pipeline.run import _figures
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.series import call, create_series

pytest_plugins = ("tests.bare_fixtures",)

START_MS = 1_780_000_000_000
PEOPLE = [1] * 20 + [3] * 2 + [2] * 10 + [3] * 7 + [0] * 21
"""Two frames a second. The longest time with three people are frames 32 to 38."""


def record(**more: Any) -> CaptureRecord:
    known: dict[str, Any] = {"first_ms": START_MS, "last_ms": START_MS + 29_500, "start_ms": START_MS}
    return CaptureRecord(**{"capture": "c", "camera": "0", "first_id": "1-0", "content_id": "x", **known, **more})


def add_frame(client: redis.Redis, index: int, people: int, *, image: bytes | None = None) -> None:
    ts_ms, ref = START_MS + 500 * index, f"{index + 1}-0"
    call(client, "TS.ADD", schema.series_key("0", schema.PEOPLE), ts_ms, people)
    boxes = [value for each in range(people) for value in (10 * each, 5, 10 * each + 8, 25)]
    fields = {"ref": ref, "ts": ts_ms, "boxes": json.dumps(boxes), "people": people, "model": "m", "ms": 1}
    fields["confidence"] = json.dumps([0.5] * people)
    client.xadd(schema.detections_key("0"), fields, id=f"{index + 2}-0")
    if image is not None:
        client.xadd(schema.frames_key("0"), {"count": index + 1, "ts": ts_ms, "image": image}, id=ref)


@pytest.fixture
def counted(bare_client: redis.Redis) -> redis.Redis:
    create_series(bare_client, "0")
    image = encode_jpeg(np.full((36, 64, 3), 90, np.uint8), quality=90)
    for index, people in enumerate(PEOPLE):
        add_frame(bare_client, index, people, image=image if index > 30 else None)
    return bare_client


def found(client: redis.Redis, *records: CaptureRecord) -> Findings:
    findings = read_findings(client, "0", records, None)
    assert findings is not None
    return findings


def test_the_peak_is_the_middle_of_the_longest_time_with_the_most_people_in_its_period(counted: redis.Redis) -> None:
    findings = found(counted, record())
    assert findings.peak is not None
    assert (findings.period_s, findings.peak.people) == (1, 3)
    assert findings.position(findings.peak.ts_ms) == 10.0
    assert findings.peak.image is None, "this frame has left its stream, and there is no file"
    assert findings.background is not None
    assert findings.peak.detections is not None
    assert findings.peak.detections.people == 3


def test_the_frame_of_the_peak_is_shown_while_it_is_in_the_stream(counted: redis.Redis) -> None:
    later = record(first_ms=START_MS + 500 * 22, start_ms=START_MS + 500 * 22, first_id="23-0")
    peak = found(counted, later).peak
    assert peak is not None
    assert peak.image is not None
    assert peak.image.shape == (36, 64, 3)


def test_the_figures_of_each_second_are_those_of_its_frames(counted: redis.Redis) -> None:
    figures = found(counted, record()).as_dict()
    over_time = figures["people_over_time"]
    pairs = np.array(PEOPLE, float).reshape(-1, 2)
    assert over_time["mean"] == pairs.mean(axis=1).tolist()
    assert over_time["min"] == pairs.min(axis=1).tolist()
    assert over_time["max"] == pairs.max(axis=1).tolist()
    assert figures["video"]["seconds"] == 29.5
    assert figures["peak"] == {"people": 3, "seconds": 10.0, "time": figures["peak"]["time"]}
    json.dumps(figures, allow_nan=False)


def test_what_was_between_two_captures_is_not_counted(counted: redis.Redis) -> None:
    first, second = record(last_ms=START_MS + 4_900), record(first_ms=START_MS + 25_000, capture="d")
    over_time = found(counted, first, second).as_dict()["people_over_time"]
    assert [each is None for each in over_time["max"]] == [False] * 5 + [True] * 20 + [False] * 5
    assert found(counted, first, second).peak.people == 1  # type: ignore[union-attr]


def test_a_long_video_has_longer_periods_of_whole_minutes(counted: redis.Redis) -> None:
    long = record(last_ms=START_MS + 9 * 3_600_000)
    findings = found(counted, long)
    assert findings.period_s == 300
    assert (findings.counts.edges_ms % 60_000 == 0).all()
    assert findings.peak is not None
    assert findings.position(findings.peak.ts_ms) == 17.5  # the longest time with three people in this period


def test_captures_without_frames_find_nothing(counted: redis.Redis) -> None:
    assert read_findings(counted, "0", [record(first_ms=0, last_ms=0)], None) is None


def test_a_track_that_cannot_be_read_leaves_the_other_figures(
    counted: redis.Redis, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    fields = {name: value for name, value in record().as_fields().items() if name != "ended_ms"}
    counted.xadd(schema.captures_key("0"), {**fields, "run": "r", "frames": "60", "last_id": "60-0", "ended_ms": "1"})
    counted.xadd(schema.tracks_key("0"), {"track": "no number"})
    figures, findings = _figures(counted, "0", "r", tmp_path / "none.mp4")
    assert findings is None
    assert figures["people"]["max"] == 3
    assert "the report has no chart, peak and paths: entry" in caplog.text
