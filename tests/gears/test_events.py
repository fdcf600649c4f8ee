"""Events of the gear: each once, in the transaction of its frame; rules that change; alarms of a second run."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from rededge_nb.reading.events import Event, active_alarms, read_events
from tests.gears.test_scene import SCENE, newest
from tests.gears.test_tracks import INTERVAL_MS, START_MS, add_frames, samples, total, wait_until_acknowledged

FRAMES = 80
CROWD = 6
RULES = (
    SCENE.with_rule(OccupancyRule(name="crowd", zone="lawn", at_least=CROWD, clear_after=0, severity="info"))
    .with_rule(OccupancyRule(name="never", zone="lawn", at_least=100))
    .with_rule(DwellRule(name="waits", zone="lawn", longer_than=3, clear_after=1))
    .with_rule(CrossingsRule(name="left", line="left", within=2, clear_after=0, severity="alarm", clip=True))
)


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(FRAMES)


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    client.set(schema.scene_key("0"), RULES.to_json())
    return client


def oldest_first(client: redis.Redis) -> list[Event]:
    """The events of the gear; on a slow machine, a worker may write meanwhile that the camera is silent."""
    return [event for event in reversed(read_events(client, "0")) if not event.kind.startswith(("camera_", "gear_"))]


def alarms_of_rules(client: redis.Redis) -> list[Event]:
    return [event for event in reversed(active_alarms(client, "0")) if event.kind == "alarm_raised"]


def alarms(found: list[Event]) -> list[tuple[Any, ...]]:
    return [(e.kind, e.alarm, e.severity, e.ts_ms, e.value, e.clip) for e in found if e.kind.startswith("alarm_")]


def expected_crowds(client: redis.Redis) -> list[tuple[str, int]]:
    """When the number of people in the zone passes the limit, from the series."""
    found, active = [], False
    for at_ms, people in samples(client, "zone:lawn:people"):
        if (people >= CROWD) != active:
            active = not active
            found.append(("alarm_raised" if active else "alarm_cleared", at_ms))
    return found


def test_the_sample_raises_the_alarms_that_its_rules_imply_and_again_in_a_second_run(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    add_frames(counting, jpegs)
    first = oldest_first(counting)
    crossings = [event for event in first if event.kind == "line_crossed"]
    for line in ("left", "right"):
        for direction in ("forward", "backward"):
            happened = [e for e in crossings if (e.line, e.direction) == (line, direction)]
            assert len(happened) == total(counting, f"line:{line}:{direction}")
    lawn = newest(counting)["zones"]["lawn"]
    assert [sum(e.kind == kind for e in first) for kind in ("zone_entered", "zone_left")] == lawn[2:]
    refs = {entry.decode() for entry, _ in counting.xrange(schema.frames_key("0"))}
    assert all(event.ref in refs for event in first)

    crowds = [(e.kind, e.ts_ms) for e in first if e.rule == "crowd"]
    assert crowds == expected_crowds(counting)
    assert len(crowds) >= 1, "the limit is one that the sample passes"
    assert not [event for event in first if event.rule == "never"]
    (waits, *_) = [event for event in first if event.rule == "waits"]
    assert (waits.kind, waits.ts_ms - START_MS) == ("alarm_raised", pytest.approx(3000, abs=1500))
    raised = [e for e in first if e.rule == "left" and e.kind == "alarm_raised"]
    assert raised
    for event in raised:
        assert [e for e in crossings if e.line == "left" and e.ts_ms == event.since_ms]
        assert event.clip == f"0-left-{event.ts_ms}.mp4"
    ended = {event.alarm for event in first if event.kind == "alarm_cleared"}
    active = [event for event in first if event.kind == "alarm_raised" and event.alarm not in ended]
    assert alarms_of_rules(counting) == active

    add_frames(counting, jpegs)
    second = oldest_first(counting)[len(first) :]
    restarted = [event for event in second if event.reason == "restarted"]
    assert {event.alarm for event in restarted} == {event.alarm for event in active}
    assert alarms([event for event in second if event.reason != "restarted"]) == alarms(first)

    # frames that are processed twice have their events once
    key = schema.frames_key("0")
    again = second[-1].ref
    assert [event for event in second if event.ref == again]
    counting.xgroup_setid(key, schema.GEAR_GROUP, f"{int(again.split('-')[0]) - 1}-0")
    wait_until_acknowledged(counting, counting.xrevrange(key, count=1)[0][0])
    assert oldest_first(counting) == [*first, *second]


def test_a_rule_is_in_force_with_the_next_frame_and_ends_with_its_removal(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    scene = CameraScene(counting, "0")
    add_frames(counting, jpegs[:30])
    entries = newest(counting)["zones"]["lawn"][2]
    scene.rule("anybody", "occupancy", zone="lawn", at_least=1, severity="alarm")
    add_frames(counting, jpegs[30:31], start_ms=START_MS + 30 * INTERVAL_MS)
    (raised,) = [event for event in active_alarms(counting, "0") if event.rule == "anybody"]
    assert raised.ts_ms == START_MS + 30 * INTERVAL_MS
    assert newest(counting)["zones"]["lawn"][2] >= entries
    scene.remove_rule("anybody")
    add_frames(counting, jpegs[31:32], start_ms=START_MS + 31 * INTERVAL_MS)
    cleared = read_events(counting, "0", kinds=["alarm_cleared"])[0]
    assert (cleared.alarm, cleared.reason) == (raised.alarm, "removed")
    assert raised.alarm not in [event.alarm for event in active_alarms(counting, "0")]


def test_alarms_whose_state_was_lost_are_cleared(counting: redis.Redis, jpegs: list[bytes]) -> None:
    CameraScene(counting, "0").rule("anybody", "occupancy", zone="lawn", at_least=1)
    add_frames(counting, jpegs[:20])
    (before,) = [event for event in active_alarms(counting, "0") if event.rule == "anybody"]
    counting.delete(schema.tracker_key("0"))
    add_frames(counting, jpegs[20:40], start_ms=START_MS + 20 * INTERVAL_MS)
    (after,) = [event for event in active_alarms(counting, "0") if event.rule == "anybody"]
    assert after.alarm != before.alarm
    (cleared,) = [e for e in read_events(counting, "0", kinds=["alarm_cleared"]) if e.alarm == before.alarm]
    assert cleared.reason == "restarted"


def test_refused_frames_are_one_event_until_all_is_well_for_a_while(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, [b"broken", b"broken", jpegs[0], b"broken"])
    (event,) = read_events(counting, "0", kinds=["frames_refused"])
    assert "not an image that can be decoded" in event.reason
    assert (event.severity, event.ts_ms) == ("warning", START_MS)
