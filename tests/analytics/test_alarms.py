"""Rules over scripted values: which alarms are raised and cleared, and when."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from rededge_nb.analytics.alarms import AlarmChange, AlarmState, evaluate, read_alarm_state, watch_silence
from rededge_nb.analytics.counts import Crossing, FrameCounts, ZoneNow
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule, Rule, SilenceRule
from rededge_nb.analytics.schedules import Schedule, Window
from rededge_nb.errors import SceneError
from tests.analytics.running import line, run, zone
from tests.analytics.walkers import RATES, Walker, frames, stop, straight, way

QUEUE = OccupancyRule(name="queue", zone="desk", at_least=3, clear_after=0)
DOOR = CrossingsRule(name="door", line="door", at_least=1, within=10, clear_after=0)


def at(
    seconds: float, people: int = 0, longest: float = 0, crossings: Sequence[str] = (), track: int = 1
) -> FrameCounts:
    ts_ms = round(1000 * seconds)
    crossed = tuple(Crossing(i, "door", direction, ts_ms) for i, direction in enumerate(crossings))  # type: ignore[arg-type]
    return FrameCounts(ts_ms, crossed, (), (), {"desk": ZoneNow(people, longest, track if longest else None)}, ())


def changes(rules: Sequence[Rule], counted: Iterable[FrameCounts], *, reload: bool = True) -> list[AlarmChange]:
    """All changes; the state goes through JSON between every two frames, and no state is changed."""
    state, found = AlarmState(), []
    for counts in counted:
        before = copy.deepcopy(state)
        new, after = evaluate(rules, state, counts)
        assert state == before
        assert evaluate(rules, state, counts) == (new, after)
        found += new
        state = after
        if reload:
            state = read_alarm_state(json.loads(json.dumps(state.to_data())))
            assert state == after
    return found


def brief(found: Iterable[AlarmChange]) -> list[tuple[str, str, float]]:
    return [(change.rule, change.change, change.ts_ms / 1000) for change in found]


def crowd(*parts: tuple[float, int], fps: int = 10) -> list[FrameCounts]:
    """Frames with so many people, for so many seconds each."""
    counted, t = [], 0.0
    for seconds, people in parts:
        for _ in range(round(seconds * fps)):
            counted.append(at(t, people))
            t = round(t + 1 / fps, 6)
    return counted


def test_an_alarm_is_raised_and_cleared_with_one_id() -> None:
    raised, cleared = changes([QUEUE], crowd((5, 2), (5, 4), (5, 2)))
    assert raised == AlarmChange("raised", "queue-5000", "queue", "occupancy", "warning", 5000, 5000, 4)
    assert cleared == AlarmChange("cleared", "queue-5000", "queue", "occupancy", "warning", 10_000, 5000, 2, "over")


def test_occupancy_must_last() -> None:
    rule = replace(QUEUE, lasting=4)
    assert brief(changes([rule], crowd((5, 2), (3.9, 3), (5, 2)))) == []
    raised, _ = changes([rule], crowd((5, 2), (6, 3), (5, 2)))
    assert (raised.ts_ms, raised.since_ms) == (9000, 5000)


def test_a_short_dip_does_not_restart_the_time() -> None:
    rule = replace(QUEUE, lasting=4)
    assert brief(changes([rule], crowd((2, 3), (0.9, 2), (5, 3), (2, 0)))) == [
        ("queue", "raised", 4.0),
        ("queue", "cleared", 7.9),
    ]
    assert brief(changes([rule], crowd((2, 3), (1.2, 2), (5, 3), (2, 0)))) == [
        ("queue", "raised", 7.2),
        ("queue", "cleared", 8.2),
    ]


def test_an_alarm_is_never_raised_in_a_frame_in_which_the_condition_is_false() -> None:
    rule = replace(QUEUE, lasting=4)
    assert brief(changes([rule], crowd((3.5, 3), (0.9, 2), (1, 3), (3, 0)))) == [
        ("queue", "raised", 4.4),
        ("queue", "cleared", 5.4),
    ]


def test_hysteresis_gives_one_alarm_for_a_value_near_its_limit() -> None:
    near = crowd(*[(0.3, 3), (0.3, 2)] * 50, (3, 1))
    assert len(changes([QUEUE], near)) == 100
    assert brief(changes([replace(QUEUE, hysteresis=1)], near)) == [
        ("queue", "raised", 0.0),
        ("queue", "cleared", 30.0),
    ]


def test_clear_after_gives_one_alarm_for_a_value_near_its_limit() -> None:
    near = crowd(*[(0.3, 3), (0.3, 2)] * 50, (6, 2))
    assert brief(changes([replace(QUEUE, clear_after=5)], near)) == [
        ("queue", "raised", 0.0),
        ("queue", "cleared", 34.7),
    ]


def test_cooldown_bounds_the_number_of_alarms() -> None:
    busy = crowd(*[(1, 3), (1, 0)] * 30)
    assert len([c for c in changes([QUEUE], busy) if c.change == "raised"]) == 30
    found = brief(changes([replace(QUEUE, cooldown=20)], busy))
    assert found == [("queue", c, t + d) for t in (0, 20, 40) for c, d in (("raised", 0), ("cleared", 1))]


def test_a_condition_that_outlasts_the_cooldown_is_raised_then() -> None:
    found = changes([replace(QUEUE, cooldown=20)], crowd((1, 3), (1, 0), (30, 3), (1, 0)))
    assert brief(found)[2:] == [("queue", "raised", 20.0), ("queue", "cleared", 32.0)]
    assert found[2].since_ms == 2000


def test_too_few_people() -> None:
    rule = OccupancyRule(name="empty", zone="desk", at_most=1, lasting=3, clear_after=0, hysteresis=1)
    assert brief(changes([rule], crowd((5, 3), (5, 1), (5, 2), (5, 3)))) == [
        ("empty", "raised", 8.0),
        ("empty", "cleared", 15.0),
    ]
    assert brief(changes([replace(rule, at_most=0, hysteresis=0)], crowd((5, 3), (5, 0), (5, 1)))) == [
        ("empty", "raised", 8.0),
        ("empty", "cleared", 10.0),
    ]


def test_dwell() -> None:
    rule = DwellRule(name="waits", zone="desk", longer_than=5, clear_after=0, hysteresis=2, severity="info", clip=True)
    counted = [at(i / 10, 1, i / 10, track=7) for i in range(70)]
    counted += [at(7 + i / 10, 1, 4 - i / 10) for i in range(20)]
    raised, cleared = changes([rule], counted)
    assert raised == AlarmChange("raised", "waits-5000", "waits", "dwell", "info", 5000, 5000, 5.0, "", 7, True)
    assert (cleared.id, cleared.ts_ms, cleared.value, cleared.reason) == ("waits-5000", 8100, 2.9, "over")


def test_crossings_within_a_time() -> None:
    rule = replace(DOOR, at_least=3)
    counted = [at(i, crossings=["forward"] if i in (1, 8, 12, 14, 15) else []) for i in range(40)]
    raised, cleared = changes([rule], counted)
    assert (raised.ts_ms, raised.since_ms, raised.value) == (14_000, 8000, 3)
    assert (cleared.ts_ms, cleared.value) == (22_000, 2)


def test_several_crossings_in_one_frame_and_directions() -> None:
    both = [at(0), at(1, crossings=["forward", "backward", "backward"]), at(2)]
    assert brief(changes([replace(DOOR, at_least=3)], both)) == [("door", "raised", 1.0)]
    assert brief(changes([replace(DOOR, at_least=2, direction="backward")], both)) == [("door", "raised", 1.0)]
    assert brief(changes([replace(DOOR, at_least=2, direction="forward")], both)) == []
    assert brief(changes([replace(DOOR, line="gate")], both)) == []


def test_each_crossing_a_while_after_the_last_is_an_alarm_of_its_own() -> None:
    counted = [at(i, crossings=["forward"] if i in (5, 8, 30) else []) for i in range(60)]
    assert brief(changes([DOOR], counted)) == [
        ("door", "raised", 5.0),
        ("door", "cleared", 18.0),
        ("door", "raised", 30.0),
        ("door", "cleared", 40.0),
    ]


def test_the_state_of_a_crossings_rule_is_bounded() -> None:
    state = AlarmState()
    for i in range(500):
        _, state = evaluate([replace(DOOR, at_least=5, within=86_400)], state, at(i, crossings=["forward"] * 3))
    assert len(state.rules["door"].crossings) == 5


def berlin(*local: int) -> float:
    return datetime(*local, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # type: ignore[arg-type,misc]


def test_a_schedule() -> None:
    night = Schedule("Europe/Berlin", (Window("22:00", "06:00"),))
    rule = replace(DOOR, schedule=night)
    start = berlin(2026, 3, 2, 21, 59)
    before = [at(start + i, crossings=["forward"] if i in (50, 61, 90) else []) for i in range(150)]
    assert [(c.change, c.ts_ms / 1000 - start) for c in changes([rule], before)] == [
        ("raised", 61),
        ("cleared", 71),
        ("raised", 90),
        ("cleared", 100),
    ]
    end = berlin(2026, 3, 3, 5, 59)
    found = changes([rule], [at(end + i, crossings=["forward"] if i in (55, 62) else []) for i in range(100)])
    assert [(c.change, c.ts_ms / 1000 - end, c.reason) for c in found] == [
        ("raised", 55, ""),
        ("cleared", 60, "schedule"),
    ]


def test_a_condition_outside_the_schedule_does_not_count_for_the_time_it_must_last() -> None:
    start = berlin(2026, 3, 2, 21, 59)
    rule = replace(QUEUE, lasting=30, schedule=Schedule("Europe/Berlin", (Window("22:00", "06:00"),)))
    (raised,) = changes([rule], [at(start + i, 5) for i in range(120)])
    assert (raised.ts_ms / 1000 - start, raised.since_ms / 1000 - start) == (90, 60)


def test_a_pause_of_the_frames_starts_the_times_again() -> None:
    rule = replace(QUEUE, lasting=20)
    early, late = [at(i, 4) for i in range(15)], [at(500 + i, 4) for i in range(30)]
    assert brief(changes([rule], [*early, *late])) == [("queue", "raised", 520.0)]


def test_frames_out_of_order_do_not_raise() -> None:
    rule = replace(QUEUE, lasting=20)
    backwards = [*[at(i, 4) for i in range(15)], *[at(5 + i, 4) for i in range(18)]]
    assert changes([rule], backwards) == []


def with_change(first: Sequence[Rule], second: Sequence[Rule]) -> list[AlarmChange]:
    state, found = AlarmState(), []
    for i in range(20):
        new, state = evaluate(first if i < 10 else second, state, at(i, 4))
        found += new
    return found


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ([], "removed"),
        ([replace(QUEUE, enabled=False)], "removed"),
        ([replace(QUEUE, at_least=6)], "changed"),
        ([DwellRule(name="queue", zone="desk", longer_than=9)], "changed"),
    ],
)
def test_an_alarm_of_a_rule_that_is_gone_is_cleared(second: list[Rule], reason: str) -> None:
    raised, cleared = with_change([QUEUE], second)
    assert cleared == AlarmChange("cleared", raised.id, "queue", "occupancy", "warning", 10_000, 0, None, reason)


def test_a_changed_rule_that_still_holds_raises_a_new_alarm() -> None:
    found = with_change([QUEUE], [replace(QUEUE, severity="alarm")])
    assert [(c.change, c.id, c.severity) for c in found] == [
        ("raised", "queue-0", "warning"),
        ("cleared", "queue-0", "warning"),
        ("raised", "queue-10000", "alarm"),
    ]


def test_other_rules_are_not_disturbed_by_a_change() -> None:
    other = DwellRule(name="waits", zone="desk", longer_than=5)
    assert [c.rule for c in with_change([QUEUE, other], [QUEUE])] == ["queue"]


def test_active_alarms_can_be_listed() -> None:
    _, state = evaluate([QUEUE, replace(QUEUE, name="q2", at_least=9)], AlarmState(), at(1, 4))
    assert state.active() == ["queue-1000"]


def test_nothing_is_remembered_of_quiet_rules() -> None:
    rules = [QUEUE, DOOR, replace(QUEUE, name="q2", lasting=5, cooldown=5)]
    _, state = evaluate(rules, AlarmState(), at(1))
    assert state == AlarmState(1000, {})


def test_rules_of_another_scene_are_refused() -> None:
    with pytest.raises(ValueError, match='it has no zone "till"'):
        evaluate([replace(QUEUE, zone="till")], AlarmState(), at(1))


def test_a_state_of_a_newer_version_is_refused() -> None:
    with pytest.raises(SceneError, match="format: the state of the alarms has format 2"):
        read_alarm_state({**AlarmState().to_data(), "format": 2})
    assert read_alarm_state(None) == AlarmState()


def silence(rules: Sequence[Rule], calls: Iterable[tuple[float, float | None]]) -> list[AlarmChange]:
    state, found = AlarmState(), []
    for now, silent_s in calls:
        new, state = watch_silence(rules, state, round(1000 * now), silent_s)
        state = read_alarm_state(json.loads(json.dumps(state.to_data())))
        found += new
    return found


def test_silence_is_watched_without_a_rule() -> None:
    calls = [(100 + i, max(0, i - 10)) for i in range(40)] + [(140.0, 0.4), (141.0, 0.1)]
    raised, cleared = silence([QUEUE], calls)
    assert raised == AlarmChange("raised", "silence-120000", "silence", "silence", "alarm", 120_000, 110_000, 10)
    assert (cleared.id, cleared.ts_ms, cleared.value, cleared.reason) == ("silence-120000", 140_000, 0.4, "over")


def test_a_rule_replaces_the_default_or_switches_it_off() -> None:
    calls = [(100.0 + i, float(i)) for i in range(40)]
    assert brief(silence([SilenceRule(name="long", after=30)], calls)) == [("long", "raised", 130.0)]
    assert silence([SilenceRule(name="off", enabled=False)], calls) == []


def test_a_camera_that_need_not_send_is_not_silent() -> None:
    found = silence([], [(100.0, 5.0), (110.0, 15.0), (120.0, 25.0), (130.0, None), (140.0, None)])
    assert brief(found) == [("silence", "raised", 110.0), ("silence", "cleared", 130.0)]


def test_a_camera_that_is_silent_after_a_restart_of_the_worker_is_reported_once() -> None:
    found = silence([], [(100.0, 50.0), (160.0, 110.0), (900.0, 850.0)])
    assert brief(found) == [("silence", "raised", 100.0)]
    assert found[0].since_ms == 50_000


def test_silence_does_not_disturb_the_rules_of_frames() -> None:
    assert evaluate([SilenceRule(name="s")], AlarmState(), at(1))[0] == []
    assert watch_silence([QUEUE], AlarmState(), 1000, 0.0)[0] == []


@pytest.mark.parametrize(("fps", "drop_third"), RATES)
def test_four_rules_over_scripted_walkers(fps: int, drop_third: bool) -> None:
    scene = zone((284, 200), (484, 200), (484, 400), (284, 400), scene=line((550, 460), (550, 120)))
    rules: list[Rule] = [
        OccupancyRule(name="two", zone="desk", at_least=2, lasting=2, clear_after=1),
        DwellRule(name="waits", zone="desk", longer_than=8, clear_after=1),
        CrossingsRule(name="out", line="door", direction="forward", within=3, clear_after=1),
        CrossingsRule(name="many", line="door", at_least=3, within=60),
    ]
    walkers = [
        Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 10)),
        Walker(stop(straight(700, 400, 350, start=5), 1, 3)),
    ]
    counted = run(scene, frames(walkers, fps, drop_third=drop_third, jitter=0.01, start_ms=0))
    found = brief(changes(rules, counted.frames, reload=False))
    expected = [
        ("two", "raised", 9.6),
        ("waits", "raised", 9.9),
        ("two", "cleared", 12.5),
        ("waits", "cleared", 15.3),
        ("out", "raised", 15.0),
        ("out", "cleared", 18.7),
    ]
    assert sorted(x[:2] for x in found) == sorted(x[:2] for x in expected)
    times = {x[:2]: x[2] for x in found}
    assert [times[x[:2]] for x in expected] == pytest.approx([x[2] for x in expected], abs=0.7)


def test_the_same_recording_again_raises_the_same_alarms() -> None:
    rule = replace(QUEUE, cooldown=3600)
    recording = crowd((5, 2), (5, 4))
    first, again_cleared, again = changes([rule], [*recording, *recording])
    assert (first.change, first.id) == ("raised", "queue-5000")
    assert (again_cleared.change, again_cleared.reason, again_cleared.ts_ms) == ("cleared", "restarted", 0)
    assert again == first


def test_a_clock_that_is_set_back_a_little_keeps_the_alarm() -> None:
    found = changes([QUEUE], [at(100, 4), at(99, 4), at(98, 4), at(101, 0)])
    assert brief(found) == [("queue", "raised", 100), ("queue", "cleared", 101)]
