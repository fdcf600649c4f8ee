"""The events of frames: what people did, in order, and the alarms of the scene's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule, SilenceRule
from rededge_nb.analytics.scene import Scene
from tests.analytics.test_scene_counting import DESK, START_MS, count, count_all
from tests.analytics.walkers import Walker, frames, straight

RULES = (
    DESK.with_line("door", DESK.lines[0].a, DESK.lines[0].b, forward="inwards")
    .with_rule(OccupancyRule(name="busy", zone="desk", at_least=1, clear_after=0, severity="info"))
    .with_rule(DwellRule(name="waits", zone="desk", longer_than=1, clear_after=0, clip=True))
    .with_rule(CrossingsRule(name="in", line="door", direction="forward", within=1, clear_after=0, severity="alarm"))
    .with_rule(CrossingsRule(name="out", line="door", direction="backward"))
    .with_rule(SilenceRule(name="silence"))
)


def events(scenes: dict[float, Scene]) -> list[dict[str, Any]]:
    return [dict(event) for each in count_all(scenes, [Walker(straight(100, 700))]) for event in each.events]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [f"{event['kind']} {event.get('rule', '')}".strip() for event in found]


def test_a_scene_without_rules_has_events_of_what_people_did() -> None:
    entered, crossed, left = events({0: DESK})
    assert (entered["kind"], crossed["kind"], left["kind"]) == ("zone_entered", "line_crossed", "zone_left")
    assert entered["ts"] < crossed["ts"] < left["ts"]
    assert (crossed["line"], crossed["direction"], crossed["severity"]) == ("door", "forward", "info")
    assert entered["track"] == crossed["track"] == left["track"]
    assert left["seconds"] == pytest.approx((left["ts"] - entered["ts"]) / 1000, abs=0.001)


def test_each_rule_raises_its_alarm_and_clears_it() -> None:
    found = events({0: RULES})
    assert sorted(kinds(found)) == sorted(
        [
            "zone_entered",
            "alarm_raised busy",
            "alarm_raised waits",
            "line_crossed",
            "alarm_raised in",
            "alarm_cleared in",
            "zone_left",
            "alarm_cleared busy",
            "alarm_cleared waits",
        ]
    )
    by_kind = dict(zip(kinds(found), found, strict=True))
    for rule in ("busy", "waits", "in"):
        raised, cleared = by_kind[f"alarm_raised {rule}"], by_kind[f"alarm_cleared {rule}"]
        assert raised["alarm"] == cleared["alarm"]
        assert raised["ts"] < cleared["ts"]
        assert cleared["reason"] == "over"
    waits = by_kind["alarm_raised waits"]
    assert waits["clip"] == f"0-waits-{waits['ts']}.mp4"
    assert (waits["zone"], waits["seconds"]) == ("desk", pytest.approx(1, abs=0.11))
    assert by_kind["alarm_raised busy"]["people"] == 1
    assert by_kind["alarm_raised in"]["direction"] == "forward"
    assert by_kind["alarm_raised in"]["direction_name"] == "inwards"
    assert by_kind["alarm_raised in"]["severity"] == "alarm"
    assert "clip" not in by_kind["alarm_raised busy"]


def test_rules_are_added_and_removed_while_counting_continues() -> None:
    only_busy = Scene(lines=DESK.lines, zones=DESK.zones, rules=RULES.rules[:1])
    found = events({0: DESK, 2.5: only_busy, 3.5: DESK})
    assert kinds(found) == ["zone_entered", "alarm_raised busy", "line_crossed", "alarm_cleared busy", "zone_left"]
    assert found[3]["reason"] == "removed"


def test_a_state_of_an_earlier_version_without_rules_is_continued() -> None:
    saved: Any = None
    everything = list(frames([Walker(straight(100, 700))], 10, start_ms=START_MS))
    found = []
    for at, frame in enumerate(everything):
        counted = count((DESK if at < 25 else RULES).to_json(), saved, frame)
        assert ("alarms" in counted.saved) == (at >= 25)
        assert counted.rules_begin == (at == 25)
        assert not counted.problem
        saved = counted.saved
        found += kinds([dict(event) for event in counted.events])
    assert found.count("zone_entered") == found.count("line_crossed") == found.count("zone_left") == 1
    assert found.count("alarm_raised busy") == 1


@pytest.mark.parametrize("damaged", [7, {}, {"format": 9}, {"format": 1, "ts_ms": 3, "rules": {"busy": [1]}}])
def test_a_damaged_state_of_the_rules_is_reported_and_counts_continue(damaged: Any) -> None:
    everything = list(frames([Walker(straight(100, 700))], 10, start_ms=START_MS))
    saved: Any = None
    for frame in everything[:35]:
        saved = count(RULES.to_json(), saved, frame).saved
    counted = count(RULES.to_json(), json.loads(json.dumps(saved)) | {"alarms": damaged}, everything[35])
    assert "the state of their alarms is damaged" in counted.problem
    assert counted.rules_begin
    assert counted.saved["totals"]["zones"]["desk"] == [1, 0]
