"""The commands that write events: ids that grow, active alarms, bounds."""

from __future__ import annotations

import json

import pytest

from rededge_nb.analytics.events import event_commands, next_event_id


@pytest.mark.parametrize(
    ("last", "now_ms", "expected"),
    [
        ("", 5000, "5000-0"),
        ("4999-7", 5000, "5000-0"),
        ("5000-0", 5000, "5000-1"),
        ("9000-3", 5000, "9000-4"),  # the clock was set back
    ],
)
def test_ids_grow(last: str, now_ms: int, expected: str) -> None:
    assert next_event_id(last, now_ms) == expected


def test_an_alarm_is_stored_with_the_id_of_its_event_until_it_is_cleared() -> None:
    raised = {"kind": "alarm_raised", "severity": "alarm", "ts": 4000, "alarm": "queue-4000", "value": 6}
    crossed = {"kind": "line_crossed", "severity": "info", "ts": 4000, "line": "door"}
    cleared = {"kind": "alarm_cleared", "severity": "alarm", "ts": 9000, "alarm": "queue-4000"}
    commands = event_commands("camera:7", [crossed, raised, cleared], "6000-2", 5000)
    assert [command[0] for command in commands] == ["XADD", "XADD", "HSET", "XADD", "HDEL", "XTRIM"]
    assert [command[5] for command in commands if command[0] == "XADD"] == ["6000-3", "6000-4", "6000-5"]
    words = commands[0][6:]
    assert words[:6] == ("kind", "line_crossed", "severity", "info", "ts", 4000)
    fields = [dict(zip(command[6::2], command[7::2], strict=True)) for command in commands if command[0] == "XADD"]
    assert (fields[0]["line"], fields[0]["alarm"], fields[1]["line"], fields[1]["alarm"]) == (
        "door",
        "",
        "",
        "queue-4000",
    )
    assert list(fields[0]) == list(fields[1]) == list(fields[2]), "Grafana needs the same fields in each entry"
    assert commands[2][:3] == ("HSET", "camera:7:alarms", "queue-4000")
    assert json.loads(str(commands[2][3])) == {
        **{name: str(value) for name, value in raised.items()},
        "event": "6000-4",
    }
    assert commands[4] == ("HDEL", "camera:7:alarms", "queue-4000")
    assert commands[5] == ("XTRIM", "camera:7:events", "MINID", "~", 0)


def test_no_events_need_no_commands() -> None:
    assert event_commands("camera:7", [], "", 5000) == []


def test_old_events_are_removed() -> None:
    (_, trim) = event_commands("camera:7", [{"kind": "gear_paused"}], "", 3_000_000_000)
    assert trim == ("XTRIM", "camera:7:events", "MINID", "~", 3_000_000_000 - 30 * 24 * 3600 * 1000)
