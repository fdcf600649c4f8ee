"""What a page gets with a frame, and what it is told when nothing arrives."""

from __future__ import annotations

import json
from functools import partial

import pytest
import redis

from rededge_nb.display.colors import track_color
from rededge_nb.live import follow
from rededge_nb.live.follow import Follower, FrameWithDetections, silence_notice
from rededge_nb.reading.detections import parse_detections
from rededge_nb.reading.frames import Frame
from rededge_nb.reading.trails import Trails


@pytest.mark.parametrize(
    ("frames", "detections", "notice"),
    [
        (None, None, "no frame yet: is the capture running?"),
        (1.0, 1.0, ""),
        (3.2, 3.1, "no frame for 3 s: is the capture running?"),
        (200.0, 300.0, "no frame for 3 min: is the capture running?"),
        (8000.0, None, "no frame for 2 h: is the capture running?"),
        (0.1, 3.5, "frames arrive, but no detections for 3 s: is the gear registered, and not paused?"),
        (0.1, None, "frames arrive, but no detections yet: is the gear registered, and not paused?"),
    ],
)
def test_silence_gets_a_notice(frames: float | None, detections: float | None, notice: str) -> None:
    assert follow.SILENT_AFTER == 3.0
    assert silence_notice(frames, detections) == notice


def test_an_ended_capture_is_not_asked_for() -> None:
    assert silence_notice(3.2, 3.1, ended=True) == "no frame for 3 s: the capture has ended"
    assert silence_notice(0.1, 0.1, ended=True) == ""


def test_numbers_that_json_lacks_are_not_sent() -> None:
    fields = {b"ref": b"1-0", b"boxes": b"[NaN, 2, 3, Infinity]", b"confidence": b"[NaN]", b"people": b"1"}
    found = FrameWithDetections(Frame("0", "1-0", 1, 1, b""), parse_detections("0", ("2-0", fields)), live=True)
    described = json.loads(json.dumps(found.as_message(), allow_nan=False))
    assert described["boxes"][0][:3] == [0.0, 2.0, 3.0]
    assert described["confidence"] == [None]


def test_a_page_gets_ids_colours_trails_and_times_of_people() -> None:
    fields = {
        b"ref": b"1-0", b"ts": b"5000", b"boxes": b"[0, 0, 10, 20, 30, 0, 40, 20]", b"confidence": b"[0.5, 0]",
        b"tracks": b"[3, 12]", b"since": b"[1000, 4000]", b"people": b"2",
    }  # fmt: skip
    detections = parse_detections("0", ("2-0", fields))
    trails = Trails()
    trails.add(
        parse_detections("0", ("1-0", {**fields, b"ts": b"4500", b"boxes": b"[5.4, 0, 15.4, 20, 30, 0, 40, 20]"}))
    )
    found = FrameWithDetections(Frame("0", "1-0", 1, 1, b""), detections, True, tuple(trails.of(detections)))
    sent = json.loads(json.dumps(found.as_message(), allow_nan=False))
    assert (sent["names"], sent["tracked"], sent["confidence"]) == (["#3", "#12"], True, [0.5, 0.0])
    assert sent["colors"] == [track_color(3), track_color(12)]
    assert sent["trails"] == [[10, 20, 5, 20], [35, 20, 35, 20]]
    assert sent["since"] == [1000, 4000]


@pytest.mark.parametrize("detected", [True, False])
def test_frames_of_a_recording_have_positions_and_those_of_a_live_source_do_not(
    client: redis.Redis, detected: bool
) -> None:
    add = partial(client.xadd, "camera:0")
    client.xadd("camera:0:captures", {"capture": "c1", "source": "door.mp4", "start_ms": 1_000_000})
    for fields, wanted in (
        ({"capture": "c1", "ts": 1_042_500, "captured": 77}, {"position": 42.5, "read": 77}),
        ({"capture": "c2", "ts": 1_042_500}, {}),
        ({"capture": "unknown", "ts": 1_042_500, "captured": 77}, {}),
    ):
        ref = add({"count": 1, "image": b"JPEG", **fields})
        if detected:
            client.xadd("camera:0:yolo", {"ref": ref, "boxes": "[]", "confidence": "[]", "people": 0, **fields})
        follower = Follower("0")
        follower.read(client, block_ms=1)
        found = follower.next_frame(client)
        assert found is not None
        assert (found.detections is not None) == detected
        assert {name: value for name, value in found.as_message().items() if name in ("position", "read")} == wanted
