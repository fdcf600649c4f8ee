"""Raises and clears the alarms of a scene's rules (`rules.py`).

    changes, state = evaluate(scene.rules, state, counts)                        # for every frame
    changes, silence = watch_silence(scene.rules, silence, now_ms, silent_s)        # by a timer, also without frames

Both change nothing: the state goes in and a new one comes out. A frame is evaluated at its own time, so the same video
raises the same alarms at any speed. Silence is the one thing that no frame can show; it has a state of its own, so that
the timer and the frames do not disturb each other.

A rule is evaluated as follows.

- Its condition holds from the first frame in which it is true. A dip shorter than `DIP_S` does not end it: people are
  hidden from a camera for moments.
- The alarm is raised in a frame in which the condition is true and has held for the time that the rule asks for, unless
  the rule raised an alarm less than `cooldown` seconds ago.
- The alarm is cleared when the value has been beyond the hysteresis for `clear_after` seconds without interruption.
- It is cleared at once when the schedule ends, and when the rule is changed, switched off or removed.
- A pause of more than `GAP_S` between two frames starts all these times again: nobody knows what happened in it.
- Time that goes back by more than `BACK_S` is another recording, or the same one again: all alarms are cleared, and
  nothing is remembered, so that a second run raises the same alarms as the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from rededge_nb.analytics.counts import FrameCounts, ZoneNow
from rededge_nb.analytics.fields import check_integer
from rededge_nb.analytics.rules import (
    DEFAULT_SILENCE,
    CrossingsRule,
    DwellRule,
    OccupancyRule,
    Rule,
    SilenceRule,
    fingerprint,
)
from rededge_nb.errors import SceneError

FORMAT: Final = 1
DIP_S: Final = 1.0
GAP_S: Final = 10.0
BACK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm was raised or cleared.

    Attributes:
        change: Which of the two.
        id: The same for the two changes of one alarm; unique within the camera.
        rule: Name of the rule.
        kind: "occupancy", "dwell", "crossings" or "silence".
        severity: Of the rule.
        ts_ms: Time of the frame, or of the timer.
        since_ms: For a raised alarm: since when the condition holds. For a cleared one: when it was raised.
        value: People, seconds or crossings at that time, according to the kind; None for a rule that was removed.
        reason: Why it was cleared: "over", "schedule" (it ended), "changed" (the rule was), "removed" (the rule was
            removed or switched off), "restarted" (time went back); "" for a raised alarm.
        track: For a dwell alarm the id of the track that has stayed the longest time.
        clip: Whether the rule asks for a video clip.
    """

    change: Literal["raised", "cleared"]
    id: str
    rule: str
    kind: str
    severity: str
    ts_ms: int
    since_ms: int
    value: float | None = None
    reason: str = ""
    track: int | None = None
    clip: bool = False


class RuleState(NamedTuple):
    """What is remembered of one rule.

    Attributes:
        fingerprint: Of the rule; another one means that the rule was changed.
        since: Since when the condition holds, ms; None if it does not.
        off: While there is no alarm: since when the value is not in the condition. While there is one: since when it is
            beyond the hysteresis. ms; None if it is not.
        alarm: Id of the active alarm, or "".
        raised: When the last alarm was raised, ms; None if there was none.
        kind: Of the rule, for the alarm of a rule that was removed.
        severity: The same.
        crossings: Times of the last crossings that count, ms; at most `at_least` of them.
    """

    fingerprint: str
    since: int | None = None
    off: int | None = None
    alarm: str = ""
    raised: int | None = None
    kind: str = ""
    severity: str = ""
    crossings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmState:
    """What is remembered of all rules.

    Attributes:
        ts_ms: Time of the last evaluation.
        rules: By name; rules of which nothing is to be remembered are left out.
    """

    ts_ms: int = 0
    rules: Mapping[str, RuleState] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """The state as `json.dumps` takes it."""
        return {"format": FORMAT, "ts_ms": self.ts_ms, "rules": dict(self.rules)}

    def active(self) -> list[str]:
        """Ids of the alarms that were raised and not yet cleared."""
        return [state.alarm for state in self.rules.values() if state.alarm]


def read_alarm_state(data: Mapping[str, Any] | None) -> AlarmState:
    """The state from what `json.loads` made of `AlarmState.to_data()`; None is a camera without a state.

    Raises:
        SceneError: A newer version of rededge_nb wrote it.
    """
    if data is None:
        return AlarmState()
    number = check_integer(data.get("format"), "format", 1, 2**53)
    if number > FORMAT:
        raise SceneError("format", f"the state of the alarms has format {number}, this version knows 1 to {FORMAT}")
    rules = {}
    for name, (rule, since, off, alarm, raised, kind, severity, crossings) in data["rules"].items():
        rules[name] = RuleState(rule, since, off, alarm, raised, kind, severity, tuple(crossings))
    return AlarmState(data["ts_ms"], rules)


def evaluate(rules: Sequence[Rule], state: AlarmState, counts: FrameCounts) -> tuple[list[AlarmChange], AlarmState]:
    """Evaluates all rules but those about silence for one frame.

    Args:
        rules: The rules of the scene.
        state: After the frame before; `AlarmState()` for the first frame of a camera.
        counts: What the frame says, from `SceneCounter.count` with the same scene.

    Returns:
        The alarms that were raised and cleared, and the state after the frame.
    """
    active = [rule for rule in rules if not isinstance(rule, SilenceRule)]
    return _evaluate_all(active, state, counts.ts_ms, counts)


def watch_silence(
    rules: Sequence[Rule], state: AlarmState, now_ms: int, silent_s: float | None
) -> tuple[list[AlarmChange], AlarmState]:
    """Evaluates the rules about silence; `DEFAULT_SILENCE` if the scene has none.

    Args:
        rules: The rules of the scene.
        state: After the last call; a state of its own, not that of `evaluate`.
        now_ms: The time.
        silent_s: Seconds since the last frame; None if the camera is not expected to send any (a file that has ended,
            a camera that was removed), which clears the alarm. Within the grace time of a reconnect, do not call.

    Returns:
        The alarms that were raised and cleared, and the state.
    """
    active = [rule for rule in rules if isinstance(rule, SilenceRule)] or [DEFAULT_SILENCE]
    return _evaluate_all(active, state, now_ms, silent_s)


def _evaluate_all(
    rules: Sequence[Rule], state: AlarmState, ts_ms: int, source: FrameCounts | float | None
) -> tuple[list[AlarmChange], AlarmState]:
    changes: list[AlarmChange] = []
    kept: dict[str, RuleState] = {}
    enabled = {rule.name: rule for rule in rules if rule.enabled}
    if isinstance(source, FrameCounts) and ts_ms - state.ts_ms < -1000 * BACK_S:
        changes += [_cleared(name, old, ts_ms, None, "restarted") for name, old in state.rules.items() if old.alarm]
        state = AlarmState()
    for name, old in state.rules.items():
        if old.alarm and name not in enabled:
            changes.append(_cleared(name, old, ts_ms, None, "removed"))
    paused = not 0 <= ts_ms - state.ts_ms <= 1000 * GAP_S
    for name, rule in enabled.items():
        old = state.rules.get(name, RuleState(fingerprint(rule)))
        if old.fingerprint != fingerprint(rule):
            if old.alarm:
                changes.append(_cleared(name, old, ts_ms, None, "changed"))
            old = RuleState(fingerprint(rule))
        if paused and isinstance(source, FrameCounts):
            old = old._replace(since=None, off=None)
        new, change = _evaluate_one(rule, old, ts_ms, source)
        if change is not None:
            changes.append(change)
        if not new.alarm and new.raised is not None and ts_ms - new.raised >= 1000 * rule.cooldown:
            new = new._replace(raised=None)
        if new != RuleState(new.fingerprint):
            kept[name] = new
    return changes, AlarmState(ts_ms, kept)


def _evaluate_one(
    rule: Rule, old: RuleState, ts_ms: int, source: FrameCounts | float | None
) -> tuple[RuleState, AlarmChange | None]:
    """One rule in one frame: what is remembered, and the change if there is one."""
    if rule.schedule is not None and not rule.schedule.active(ts_ms):
        idle = RuleState(old.fingerprint, raised=old.raised)
        return idle, _cleared(rule.name, old, ts_ms, None, "schedule") if old.alarm else None
    seen = _look(rule, old, ts_ms, source)
    old = old._replace(crossings=seen.crossings) if seen.crossings != old.crossings else old
    if old.alarm:
        if not seen.off:
            return old._replace(off=None) if old.off is not None else old, None
        off = ts_ms if old.off is None else old.off
        if ts_ms - off < 1000 * rule.clear_after:
            return old._replace(off=off), None
        cleared = RuleState(old.fingerprint, raised=old.raised, crossings=old.crossings)
        return cleared, _cleared(rule.name, old, ts_ms, seen.value, "over")
    if not seen.on:
        if old.since is None:
            return old, None
        off = ts_ms if old.off is None else old.off
        over = ts_ms - off >= 1000 * DIP_S
        return old._replace(since=None if over else old.since, off=None if over else off), None
    since = seen.since if old.since is None else old.since
    lasting = rule.lasting if isinstance(rule, OccupancyRule) else 0.0
    cooling = old.raised is not None and ts_ms - old.raised < 1000 * rule.cooldown
    if ts_ms - since < 1000 * lasting or cooling:
        return old._replace(since=since, off=None), None
    id_ = f"{rule.name}-{ts_ms}"
    raised = old._replace(since=since, off=None, alarm=id_, raised=ts_ms, kind=rule.kind, severity=rule.severity)
    change = AlarmChange(
        "raised", id_, rule.name, rule.kind, rule.severity, ts_ms, since, seen.value, track=seen.track, clip=rule.clip
    )
    return raised, change


def _cleared(rule: str, old: RuleState, ts_ms: int, value: float | None, reason: str) -> AlarmChange:
    raised = ts_ms if old.raised is None else old.raised
    return AlarmChange("cleared", old.alarm, rule, old.kind, old.severity, ts_ms, raised, value, reason)


class _Seen(NamedTuple):
    """What a rule sees: its value, whether that is in the condition, and whether it is beyond the hysteresis."""

    value: float
    on: bool
    off: bool
    since: int
    track: int | None = None
    crossings: tuple[int, ...] = ()


def _look(rule: Rule, old: RuleState, ts_ms: int, source: FrameCounts | float | None) -> _Seen:
    if isinstance(source, FrameCounts):
        match rule:
            case OccupancyRule():
                people = _zone_now(source, rule.zone).people
                if rule.at_least is not None:
                    return _Seen(people, people >= rule.at_least, people < rule.at_least - rule.hysteresis, ts_ms)
                at_most = rule.at_most or 0
                return _Seen(people, people <= at_most, people > at_most + rule.hysteresis, ts_ms)
            case DwellRule():
                _, longest, track = _zone_now(source, rule.zone)
                over = longest < rule.longer_than - rule.hysteresis
                return _Seen(longest, longest >= rule.longer_than, over, ts_ms, track)
            case CrossingsRule():
                times = _recent_crossings(rule, old.crossings, source)
                number = len(times)
                over = number < rule.at_least - rule.hysteresis
                return _Seen(number, number >= rule.at_least, over, times[0] if times else ts_ms, None, times)
    silent_s = source if isinstance(source, float | int) else 0.0
    limit = rule.after if isinstance(rule, SilenceRule) else float("inf")
    return _Seen(silent_s, silent_s >= limit, silent_s < limit, round(ts_ms - 1000 * silent_s))


def _zone_now(counts: FrameCounts, zone: str) -> ZoneNow:
    if zone not in counts.zones:
        raise ValueError(f'the frame was not counted with the scene of these rules: it has no zone "{zone}"')
    return counts.zones[zone]


def _recent_crossings(rule: CrossingsRule, times: tuple[int, ...], counts: FrameCounts) -> tuple[int, ...]:
    """Times of the crossings that count: of that line and direction, in the time `within`, the last `at_least`."""
    new = [
        crossing.ts_ms
        for crossing in counts.crossings
        if crossing.line == rule.line and rule.direction in (None, crossing.direction)
    ]
    start = counts.ts_ms - 1000 * rule.within
    if not new and (not times or times[0] > start):
        return times
    return tuple(time for time in sorted((*times, *new)) if time > start)[-rule.at_least :]
