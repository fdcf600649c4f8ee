"""Reading events and active alarms."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.events import event_commands
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.reading.events import acknowledge_alarm, active_alarms, read_events, read_server_events

pytest_plugins = ("tests.bare_fixtures",)


def event(kind: str, ts: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "severity": "info", "ts": ts, **more}


def write(client: redis.Redis, *events: dict[str, Any], now_ms: int) -> None:
    newest: Any = client.xrevrange(schema.events_key("0"), count=1)
    for command in event_commands("camera:0", events, newest[0][0].decode() if newest else "", now_ms):
        client.execute_command(*command)


def test_events_are_read_newest_first_with_their_types(bare_client: redis.Redis) -> None:
    crossed = event("line_crossed", 900, line="door", direction="forward", track=7, ref="900-0")
    left = event("zone_left", 1900, zone="desk", seconds=2.5, track=7)
    write(bare_client, crossed, now_ms=1000)
    write(bare_client, left, event("gear_paused", 2000, reason="by hand"), now_ms=2000)
    paused, zone_left, line_crossed = read_events(bare_client, "0")
    assert (paused.kind, paused.reason, paused.track, paused.seconds) == ("gear_paused", "by hand", None, None)
    assert (zone_left.zone, zone_left.seconds, zone_left.ts_ms, zone_left.id) == ("desk", 2.5, 1900, "2000-0")
    assert (line_crossed.line, line_crossed.direction, line_crossed.track, line_crossed.ref) == (
        ("door", "forward", 7, "900-0")
    )
    assert line_crossed.full_id == "0/1000-0"
    assert read_events(bare_client, "1") == []


def test_a_range_some_kinds_and_a_limit(bare_client: redis.Redis) -> None:
    for number in range(600):
        write(bare_client, event("zone_entered" if number % 200 else "gear_failing", number), now_ms=1000 + number)
    assert [each.ts_ms for each in read_events(bare_client, "0", limit=2)] == [599, 598]
    assert [each.ts_ms for each in read_events(bare_client, "0", kinds=["gear_failing"])] == [400, 200, 0]
    assert [each.ts_ms for each in read_events(bare_client, "0", kinds=["gear_failing"], limit=2)] == [400, 200]
    assert [each.ts_ms for each in read_events(bare_client, "0", start="(1500-0", end="1503", limit=9)] == [
        503,
        502,
        501,
    ]
    with pytest.raises(ConfigurationError, match="not entry ids"):
        read_events(bare_client, "0", start="yesterday")


def test_an_alarm_is_active_until_it_is_cleared_and_can_be_acknowledged_once(bare_client: redis.Redis) -> None:
    write(bare_client, event("alarm_raised", 1, alarm="queue-1", rule="queue", value=6, since=1), now_ms=1000)
    write(bare_client, event("camera_silent", 2, alarm="silence-2", rule="silence"), now_ms=2000)
    assert [each.alarm for each in active_alarms(bare_client, "0")] == ["silence-2", "queue-1"]
    acknowledged = acknowledge_alarm(bare_client, "0", "queue-1")
    assert acknowledged.acknowledged_ms is not None
    assert acknowledge_alarm(bare_client, "0", "queue-1") == acknowledged
    assert active_alarms(bare_client, "0")[1] == acknowledged
    assert (acknowledged.id, acknowledged.rule, acknowledged.value, acknowledged.since_ms) == ("1000-0", "queue", 6, 1)
    write(bare_client, event("alarm_cleared", 3, alarm="queue-1"), now_ms=3000)
    assert [each.alarm for each in active_alarms(bare_client, "0")] == ["silence-2"]
    with pytest.raises(NoDataError, match="no active alarm 'queue-1'"):
        acknowledge_alarm(bare_client, "0", "queue-1")


def test_entries_of_other_clients_do_no_harm(bare_client: redis.Redis) -> None:
    bare_client.xadd(schema.events_key("0"), {b"kind": b"\xff", b"ts": b"nan", b"track": b"9" * 400}, id="1000-0")
    (found,) = read_events(bare_client, "0")
    assert (found.ts_ms, found.track) == (1000, None)
    for number, text in enumerate((b"\xff", b"[]", b"{}", json.dumps({"event": "x"}).encode())):
        bare_client.hset(schema.alarms_key("0"), str(number), text)
    assert active_alarms(bare_client, "0") == []


def test_events_of_the_server_belong_to_no_camera(bare_client: redis.Redis) -> None:
    bare_client.xadd(schema.SERVER_EVENTS_KEY, {"kind": "worker_lost", "severity": "warning", "ts": "5"}, id="6-0")
    (found,) = read_server_events(bare_client)
    assert (found.camera, found.kind, found.full_id) == ("", "worker_lost", "/6-0")
