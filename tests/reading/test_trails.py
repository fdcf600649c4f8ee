"""Trails: where people have walked in the last seconds."""

from __future__ import annotations

import json

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.reading.detections import Detections, parse_detections, read_detections
from rededge_nb.reading.trails import SECONDS, Trails, read_trails, trails_before

pytest_plugins = ("tests.bare_fixtures",)


def found(ts_ms: int, people: dict[int, float]) -> Detections:
    """People by id, each with the left side of a box that is 10 wide and ends at 80."""
    boxes = [value for left in people.values() for value in (left, 20, left + 10, 80)]
    fields = {
        "ref": f"{ts_ms}-0", "ts": ts_ms, "boxes": json.dumps(boxes), "tracks": json.dumps(list(people)),
        "people": len(people),
    }  # fmt: skip
    return parse_detections("0", (f"{ts_ms}-1", {name.encode(): str(value).encode() for name, value in fields.items()}))


def after(frames: list[Detections]) -> Trails:
    trails = Trails()
    for each in frames:
        trails.add(each)
    return trails


def test_a_trail_leads_to_the_feet_of_each_person() -> None:
    frames = [found(1000 * at, {7: 10 * at, 9: 200}) for at in range(3)]
    seven, nine = after(frames).of(frames[-1])
    assert seven.tolist() == [[5, 80], [15, 80], [25, 80]]
    assert nine.tolist() == [[205, 80]] * 3


def test_old_points_and_people_who_left_are_forgotten() -> None:
    frames = [found(100 * at, {1: at}) for at in range(200)]
    (trail,) = after(frames).of(frames[-1])
    assert len(trail) == 10 * SECONDS + 1
    assert trail[0].tolist() == [199 - 10 * SECONDS + 5, 80]
    trails = after([*frames, *(found(20_000 + 100 * at, {2: 0}) for at in range(40))])
    (trail,) = trails.of(found(24_000, {1: 0}))
    assert len(trail) == 1, "its only point is where the person is now"


def test_fast_frames_give_few_points() -> None:
    frames = [found(10 * at, {1: at}) for at in range(101)]
    (trail,) = after(frames).of(frames[-1])
    assert len(trail) == 11


def test_tracking_that_begins_again_begins_new_trails() -> None:
    frames = [found(5000, {1: 0}), found(5100, {1: 10}), found(100, {1: 20})]
    (trail,) = after(frames).of(frames[-1])
    assert trail.tolist() == [[25, 80]]


def test_boxes_without_tracks_have_no_trails() -> None:
    plain = parse_detections("0", ("2-0", {b"ref": b"1-0", b"boxes": b"[1, 2, 3, 4]"}))
    assert [len(trail) for trail in after([plain]).of(plain)] == [0]


def test_trails_from_redis_end_at_the_frame(bare_client: redis.Redis) -> None:
    key = schema.detections_key("0")
    for at in range(5):
        fields = {"ref": f"{at}-1", "ts": 1000 + 100 * at, "boxes": f"[{at}, 0, {at}, 9]", "tracks": "[3]"}
        bare_client.xadd(key, fields, id=f"{1 + at}-0")
    bare_client.xadd(key, {"ref": "nonsense"}, id="6-0")
    bare_client.xadd(key, {"ref": "6-1", "ts": 1600, "boxes": "[9, 0, 9, 9]", "tracks": "[3]"}, id="7-0")
    frames = read_detections(bare_client, "0", end="5-0")
    (trail,) = read_trails(bare_client, frames[2])
    assert trail.tolist() == [[0, 9], [1, 9], [2, 9]]
    newest = parse_detections("0", streams.entries(bare_client, key, count=1, newest_first=True)[0])
    (trail,) = read_trails(bare_client, newest)
    assert len(trail) == 6
    entries = streams.entries(bare_client, key, newest_first=True)
    assert np.array_equal(trails_before("0", entries).of(newest)[0], trail)
