"""The figures of captures: every frame of their own is counted once, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.producer import Producer
from rededge_nb.capture.sources import Captured
from rededge_nb.errors import NoDataError
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.series import create_series
from rededge_nb.reading.summary import pending_frames, summarize

pytest_plugins = ("tests.bare_fixtures",)

JPEG = b"\xff\xd8\xff\xd9"
START_MS = 1_700_000_000_000


class Camera:
    """A camera whose captures and gear are played by the test, entry by entry."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.times: dict[str, int] = {}
        create_series(client, 0)
        client.xgroup_create("camera:0", schema.GEAR_GROUP, id="0", mkstream=True)

    def capture(self, name: str, count: int, *, start_ms: int = START_MS, refused: int = 0) -> list[str]:
        """Add frames, 100 ms apart, and the record of their capture; returns their entry ids."""
        producer = Producer(
            self.client, "0", capture=name, quality=90, max_age=3600, max_bytes=10**9, keep=True, own_times=True
        )
        refs = []
        for number in range(count):
            captured = Captured(JPEG, start_ms + 100 * number)
            refs.append(producer.send(captured, not_answered=[])[0])
            self.times[refs[-1]] = captured.ts_ms
        record = CaptureRecord(
            capture=name,
            camera="0",
            ended_ms=1,
            frames=count,
            refused=refused,
            first_ms=start_ms,
            first_id=refs[0] if refs else "",
            last_id=refs[-1] if refs else "",
        )
        fields: dict[str, str] = record.as_fields()
        self.client.xadd(schema.captures_key(0), fields)  # type: ignore[arg-type]
        return refs

    def read(self, count: int) -> list[bytes]:
        ((_, entries),) = self.client.xreadgroup(schema.GEAR_GROUP, "worker", {"camera:0": ">"}, count=count)
        return [entry_id for entry_id, _ in entries]

    def process(
        self,
        refs: Iterable[str],
        *,
        capture: str | None,
        people: Iterable[int],
        model_ms: float = 10,
        tracks: list[list[int]] | None = None,
    ) -> None:
        for number, (ref, count) in enumerate(zip(refs, people, strict=False)):
            ts_ms = self.times[ref]
            own = {} if capture is None else {"capture": capture}
            own |= {} if tracks is None else {"tracks": json.dumps(tracks[number])}
            self.client.xadd("camera:0:yolo", {"ref": ref, "ts": ts_ms, "people": count, **own})
            values = {"people": count, "latency": 40, "prf_model": model_ms, "prf_total": model_ms + 5}
            for name, value in values.items():
                self.client.execute_command("TS.ADD", f"camera:0:{name}", ts_ms, value)

    def refuse(self, ref: str, *, capture: str | None) -> None:
        own = {} if capture is None else {"capture": capture}
        self.client.xadd("camera:0:errors", {"ref": ref, "reason": "not an image", **own})


@pytest.fixture
def camera(bare_client: redis.Redis) -> Camera:
    return Camera(bare_client)


def test_a_capture_that_is_not_known(bare_client: redis.Redis) -> None:
    with pytest.raises(NoDataError, match="camera 0 has no capture at all"):
        summarize(bare_client, 0, [])
    with pytest.raises(NoDataError, match="camera 0 has no capture c5"):
        summarize(bare_client, 0, ["c5"])


def test_a_capture_without_frames(camera: Camera) -> None:
    camera.capture("c1", 0)
    summary = summarize(camera.client, 0, ["c1"])
    assert (summary.frames_in, summary.processed, summary.dropped, summary.failed, summary.pending) == (0, 0, 0, 0, 0)
    assert (summary.fps, summary.seconds) == (0, 0)
    text = json.dumps(summary.as_dict(), allow_nan=False)
    assert json.loads(text)["people"]["mean"] is None
    assert json.loads(text)["ms_per_step"]["model"] == {"median": None, "p95": None}


def test_every_frame_is_accounted_for(camera: Camera) -> None:
    refs = camera.capture("c1", 20)
    read = camera.read(15)
    for number, ref in enumerate(refs[:10]):
        camera.process([ref], capture="c1", people=[number % 5], model_ms=10 + number)
    camera.process(refs[:1], capture="c1", people=[0])  # a second time, as after the end of a worker: still one frame
    camera.refuse(refs[10], capture="c1")
    camera.client.xack("camera:0", schema.GEAR_GROUP, *read[:13])

    summary = summarize(camera.client, 0, ["c1"])
    assert (summary.frames_in, summary.processed, summary.failed) == (20, 10, 1)
    assert summary.pending == 5 + 2
    assert summary.dropped == 2
    assert (summary.people_mean, summary.people_min, summary.people_max) == (2, 0, 4)
    assert summary.steps_ms["model"].median == 14.5
    assert summary.steps_ms["model"].p95 == pytest.approx(18.55)
    assert list(summary.steps_ms) == [*schema.STEPS, "total"]
    assert (summary.latency_ms.median, summary.latency_ms.p95) == (40, 40)
    assert summary.seconds > 0
    assert summary.fps == pytest.approx(10 / summary.seconds)
    assert "20 frames in, 10 processed, 2 dropped, 1 failed, 7 pending" in repr(summary)


def test_everybody_is_seen_once(camera: Camera) -> None:
    refs = camera.capture("c1", 4)
    tracks = [[3], [3, 4], [], [4, 9]]
    camera.process(refs, capture="c1", people=[1, 2, 0, 2], tracks=tracks)
    camera.process(refs[:2], capture="c1", people=[1, 2], tracks=tracks)
    summary = summarize(camera.client, 0, ["c1"])
    assert summary.people_seen == summary.as_dict()["people"]["seen"] == 3
    assert "people 1.25 (0 to 2), 3 seen;" in repr(summary)


def test_a_gear_that_does_not_track_does_not_say_who_was_seen(camera: Camera) -> None:
    refs = camera.capture("c1", 2)
    camera.process(refs[:1], capture="c1", people=[1], tracks=[[1]])
    camera.process(refs[1:], capture="c1", people=[1])
    assert summarize(camera.client, 0, ["c1"]).people_seen is None


@pytest.mark.parametrize("named", [True, False], ids=["the gear names the capture", "the gear does not"])
def test_frames_of_other_captures_are_not_counted(camera: Camera, named: bool) -> None:
    for number, name in enumerate(("before", "own", "after")):
        refs = camera.capture(name, 5 + number, start_ms=START_MS + 10_000 * number)
        camera.process(refs, capture=name if named else None, people=[10 * number] * 4, model_ms=100 * number)
        camera.refuse(refs[-1], capture=name if named else None)
    camera.client.xack("camera:0", schema.GEAR_GROUP, *camera.read(100))

    summary = summarize(camera.client, 0, ["own"])
    assert (summary.frames_in, summary.processed, summary.failed, summary.dropped) == (6, 4, 1, 1)
    assert (summary.people_mean, summary.people_min, summary.people_max) == (10, 10, 10)
    assert summary.steps_ms["model"].median == 100
    together = summarize(camera.client, 0, ["own", "after"])
    assert (together.frames_in, together.processed, together.failed, together.dropped) == (13, 8, 2, 3)
    assert (together.people_mean, together.people_max) == (15, 20)


def test_detections_that_have_left_their_stream_are_counted(camera: Camera) -> None:
    before = camera.capture("before", 3, start_ms=START_MS - 10_000)
    camera.process(before, capture="before", people=[50] * 3)
    refs = camera.capture("c1", 20, refused=2)
    camera.process(refs[:12], capture="c1", people=range(12), model_ms=20)
    camera.process(refs[12:18], capture="c1", people=[3] * 6, model_ms=10)
    camera.client.xack("camera:0", schema.GEAR_GROUP, *camera.read(100))
    whole = summarize(camera.client, 0, ["c1"])
    camera.client.xtrim("camera:0:yolo", maxlen=4, approximate=False)
    camera.client.delete("camera:0:errors")

    summary = summarize(camera.client, 0, ["c1"])
    assert (summary.frames_in, summary.processed, summary.failed, summary.dropped) == (20, 18, 2, 0)
    assert (summary.people_mean, summary.people_max) == (np.mean([*range(12), *[3] * 6]), 11)
    assert summary.steps_ms == whole.steps_ms
    assert summary.seconds == pytest.approx(whole.seconds, abs=0.02)


def test_frames_trimmed_before_anyone_read_them_are_dropped(camera: Camera) -> None:
    camera.capture("c1", 30)
    camera.client.xtrim("camera:0", maxlen=4, approximate=False)
    summary = summarize(camera.client, 0, ["c1"])
    assert (summary.frames_in, summary.pending, summary.dropped) == (30, 4, 26)


def test_pending_frames_are_those_not_read_and_those_not_acknowledged(camera: Camera) -> None:
    client = camera.client
    assert pending_frames(client, 1) == 0
    camera.capture("c1", 10)
    assert pending_frames(client, 0) == 10
    read = camera.read(3)
    assert pending_frames(client, 0) == 10
    client.xack("camera:0", schema.GEAR_GROUP, *read[:2])
    assert pending_frames(client, 0) == 8
    client.xdel("camera:0", client.xrange("camera:0")[-2][0])
    assert client.xinfo_groups("camera:0")[0]["lag"] is None
    client.xack("camera:0", schema.GEAR_GROUP, *camera.read(100))
    assert pending_frames(client, 0) == 1


def test_frames_of_others_that_are_not_numbered_are_counted(camera: Camera) -> None:
    for _ in range(40):
        camera.client.xadd("camera:0", {"image": JPEG})
    camera.read(3)
    assert pending_frames(camera.client, 0) == 40
