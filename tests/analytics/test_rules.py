from __future__ import annotations

from typing import Any

import pytest

from rededge_nb.analytics.rules import (
    DEFAULT_SILENCE,
    CrossingsRule,
    DwellRule,
    OccupancyRule,
    Rule,
    SilenceRule,
    fingerprint,
    parse_rule,
)
from rededge_nb.analytics.schedules import Schedule, Window
from rededge_nb.errors import SceneError

NIGHT = Schedule("Europe/Berlin", (Window("22:00", "06:00"),))
RULES: list[tuple[dict[str, Any], Rule]] = [
    (
        {"name": "queue", "kind": "occupancy", "zone": "desk", "at_least": 6, "lasting": 30, "hysteresis": 1},
        OccupancyRule(name="queue", zone="desk", at_least=6, lasting=30, hysteresis=1),
    ),
    (
        {"name": "empty", "kind": "occupancy", "zone": "desk", "at_most": 0, "lasting": 300, "severity": "info"},
        OccupancyRule(name="empty", zone="desk", at_most=0, lasting=300, severity="info"),
    ),
    (
        {"name": "waits", "kind": "dwell", "zone": "desk", "longer_than": 300, "hysteresis": 10, "clear_after": 0.5},
        DwellRule(name="waits", zone="desk", longer_than=300, hysteresis=10, clear_after=0.5),
    ),
    (
        {
            "name": "night",
            "kind": "crossings",
            "line": "door",
            "direction": "in",
            "at_least": 2,
            "within": 10,
            "severity": "alarm",
            "clip": True,
            "enabled": False,
            "cooldown": 60,
            "schedule": {
                "time_zone": "Europe/Berlin",
                "windows": [
                    {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "22:00", "end": "06:00"}
                ],
            },
        },
        CrossingsRule(
            name="night",
            line="door",
            direction="in",
            at_least=2,
            within=10,
            severity="alarm",
            clip=True,
            enabled=False,
            cooldown=60,
            schedule=NIGHT,
        ),
    ),
    ({"name": "silence", "kind": "silence"}, DEFAULT_SILENCE),
    ({"name": "slow", "kind": "silence", "after": 60}, SilenceRule(name="slow", after=60)),
]


@pytest.mark.parametrize(("value", "rule"), RULES, ids=lambda x: x.name if isinstance(x, Rule) else "")
def test_rules_are_read_and_written(value: dict[str, Any], rule: Rule) -> None:
    assert parse_rule(value) == rule
    assert rule.to_dict() == value
    assert hash(parse_rule(value)) == hash(rule)


def test_defaults() -> None:
    rule = parse_rule({"name": "c", "kind": "crossings", "line": "door"})
    assert rule == CrossingsRule(name="c", line="door", direction=None, at_least=1, within=60, hysteresis=0)
    assert (rule.severity, rule.enabled, rule.schedule) == ("warning", True, None)
    assert (rule.cooldown, rule.clear_after, rule.clip) == (0, 5, False)
    assert (DEFAULT_SILENCE.after, DEFAULT_SILENCE.severity, DEFAULT_SILENCE.clear_after) == (10, "alarm", 0)


def test_the_fingerprint_differs_for_any_difference() -> None:
    rules = [rule for _, rule in RULES]
    assert len({fingerprint(rule) for rule in rules}) == len(rules)
    assert fingerprint(SilenceRule(name="a", after=10)) == fingerprint(SilenceRule(name="a", after=10.0))


def occupancy(**change: Any) -> dict[str, Any]:
    return {"name": "q", "kind": "occupancy", "zone": "desk", "at_least": 6, **change}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "[] is not an object"),
        ({"name": "q"}, 'the field "kind" is missing'),
        ({"kind": "silence"}, 'the field "name" is missing'),
        ({"name": "q", "kind": "occupency"}, 'kind: "occupency" is unknown; did you mean "occupancy"?'),
        ({"name": "q", "kind": ["dwell"]}, 'kind: ["dwell"] is unknown'),
        (occupancy(atleast=6), 'unknown field "atleast"; did you mean "at_least"?'),
        (occupancy(line="door"), 'unknown field "line"; known are "kind", "name", "severity"'),
        (occupancy(at_most=0), 'exactly one of the fields "at_least" and "at_most" is needed'),
        ({"name": "q", "kind": "occupancy", "zone": "desk"}, 'exactly one of the fields "at_least" and "at_most"'),
        ({"name": "q", "kind": "occupancy", "at_least": 6}, 'the field "zone" is missing'),
        (occupancy(name="a b"), 'name: "a b" is not a name'),
        (occupancy(zone="a b"), 'zone: "a b" is not a name'),
        (occupancy(zone=None), "zone: null is not a name"),
        (occupancy(at_least=0), "at_least: is 0, must be from 1 to 1000"),
        (occupancy(at_least=1.5), "at_least: 1.5 is not a whole number"),
        (occupancy(at_least="6"), 'at_least: "6" is not a whole number'),
        (occupancy(lasting=-1), "lasting: is -1, must be from 0 to 86400"),
        (occupancy(lasting="30 s"), 'lasting: "30 s" is not a number'),
        (occupancy(lasting=True), "lasting: true is not a number"),
        (occupancy(hysteresis=6), "hysteresis: is 6, must be from 0 to 5"),
        (occupancy(severity="high"), 'severity: "high" is unknown; known are "info", "warning", "alarm"'),
        (occupancy(enabled="yes"), 'enabled: "yes" is neither true nor false'),
        (occupancy(clip=1), "clip: 1 is neither true nor false"),
        (occupancy(cooldown=1e9), "cooldown: is 1000000000.0, must be from 0 to 604800"),
        (occupancy(clear_after=None), "clear_after: null is not a number"),
        (occupancy(schedule={"time_zone": "Mars"}), 'schedule: the field "windows" is missing'),
        (occupancy(schedule=[]), "schedule: [] is not an object"),
        ({"name": "d", "kind": "dwell", "zone": "desk", "longer_than": 0}, "longer_than: is 0, must be from 0.1 to"),
        (
            {"name": "d", "kind": "dwell", "zone": "desk", "longer_than": 5, "hysteresis": 6},
            "hysteresis: is 6, must be",
        ),
        ({"name": "c", "kind": "crossings", "line": "door", "within": 0}, "within: is 0, must be from 0.1 to 86400"),
        (
            {"name": "c", "kind": "crossings", "line": "door", "direction": "in out"},
            'direction: "in out" is not a name',
        ),
        ({"name": "c", "kind": "crossings", "line": "door", "hysteresis": 1}, "hysteresis: is 1, must be from 0 to 0"),
        ({"name": "s", "kind": "silence", "after": 0.5}, "after: is 0.5, must be from 1 to 604800"),
    ],
)
def test_errors_name_the_field(value: object, message: str) -> None:
    with pytest.raises(SceneError) as found:
        parse_rule(value)
    assert message in str(found.value)


def test_a_rule_made_in_python_is_checked_as_well() -> None:
    with pytest.raises(SceneError, match="longer_than: is -1"):
        DwellRule(name="d", zone="desk", longer_than=-1)
    with pytest.raises(SceneError, match="schedule: is not a Schedule"):
        SilenceRule(name="s", schedule={})  # type: ignore[arg-type]
