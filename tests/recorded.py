"""What Redis has of a camera that was fed with a live source, then with a recording of another time."""

from __future__ import annotations

from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.lease import Lease
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.series import create_series

POSITION_MS = 61_000
"""Where in the recording the last frame is that was processed."""


def feed_with_recording(client: redis.Redis, start_ms: int, live_ms: int) -> Lease:
    """Write what a running capture of a recording leaves; returns its lease.

    The samples of the live source end at `live_ms`. In each of the last ten seconds of the recording the gear read 8
    frames and processed 6, and failed at one of the last second. The capture adds 40 frames a second.
    """
    create_series(client, "0")

    def add(name: str, at_ms: int, value: float) -> None:
        client.execute_command("TS.ADD", schema.series_key("0", name), at_ms, value)

    for at_ms, people in ((start_ms - 30_000, 99), (start_ms, 2), (start_ms + POSITION_MS, 3), (live_ms, 77)):
        add("people", at_ms, people)
        add("latency", at_ms, people)
        add("seen", at_ms // 1000 * 1000, people)
    for second in range(10):
        at_ms = (start_ms + POSITION_MS) // 1000 * 1000 - 1000 * second
        add("in_fps", at_ms, 8)
        add("out_fps", at_ms, 6)
    for at_ms in (live_ms, live_ms - 1000, live_ms - 2000):
        add("in_fps", at_ms // 1000 * 1000, 500)
    fields: Any = {"ref": "1-0", "boxes": "[]", "people": 3, "zones": '{"desk": [3, 4.5, 9, 6]}'}
    client.xadd(schema.detections_key("0"), fields | {"ts": start_ms + POSITION_MS})
    client.xadd(schema.frames_key("0"), {"image": b"x"})
    client.xgroup_create(schema.frames_key("0"), schema.GEAR_GROUP, id="$")
    lease = Lease(client, schema.capture_key("0"), recording_of(start_ms).as_fields())
    assert lease.acquire(timeout=0) is None
    client.xadd(schema.errors_key("0"), {"ref": "1-0", "ts": start_ms + POSITION_MS, "reason": "no picture"})
    return lease


def end_recording(client: redis.Redis, lease: Lease, start_ms: int, ended_ms: int) -> None:
    """End its capture."""
    lease.release()
    fields: Any = recording_of(start_ms, ended_ms).as_fields()
    client.xadd(schema.captures_key("0"), fields)


def recording_of(start_ms: int, ended_ms: int = 0) -> CaptureRecord:
    """The capture as it describes itself."""
    fps = 0.0 if ended_ms else 40.0
    last_ms = start_ms + POSITION_MS
    return CaptureRecord(
        "c", "0", source="video walk.mp4", fps=fps, start_ms=start_ms, last_ms=last_ms, ended_ms=ended_ms
    )
