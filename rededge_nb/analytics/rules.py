"""The rules of a scene: when an alarm is raised. `alarms.py` evaluates them.

    {"name": "queue", "kind": "occupancy", "zone": "desk", "at_least": 6, "lasting": 30}
    {"name": "waits", "kind": "dwell", "zone": "desk", "longer_than": 300}
    {"name": "night", "kind": "crossings", "line": "door", "direction": "in", "at_least": 1, "within": 10,
     "severity": "alarm", "clip": true,
     "schedule": {"time_zone": "Europe/Berlin", "windows": [{"start": "22:00", "end": "06:00"}]}}
    {"name": "silence", "kind": "silence", "after": 10}

All times are seconds. A field that is left out has the default of the dataclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import ClassVar, Final, Literal
from zlib import crc32

from rededge_nb.analytics.fields import (
    Fields,
    at,
    check_choice,
    check_flag,
    check_integer,
    check_items,
    check_name,
    check_number,
    plain_number,
)
from rededge_nb.analytics.schedules import Schedule, parse_schedule
from rededge_nb.errors import SceneError

Severity = Literal["info", "warning", "alarm"]
SEVERITIES: Final = ("info", "warning", "alarm")
MAX_RULES: Final = 64
MAX_PEOPLE: Final = 1000
"""Highest `at_least`, for people and for crossings. The state keeps one time per crossing, so this bounds it."""
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What all kinds of rules have.

    Attributes:
        name: Unique among the rules of the scene.
        severity: Of the alarm: "info", "warning" or "alarm".
        enabled: False keeps the rule in the scene and switches it off.
        schedule: When the rule is active; None is always. An alarm is cleared when the schedule ends.
        cooldown: Seconds after an alarm was raised in which the rule raises no second one. A condition that still holds
            after that time raises its alarm then.
        clear_after: Seconds for which the condition must be over before the alarm is cleared.
        clip: Whether a video clip is written for the alarm.
    """

    kind: ClassVar[str]

    name: str
    severity: str = "warning"
    enabled: bool = True
    schedule: Schedule | None = None
    cooldown: float = 0.0
    clear_after: float = 5.0
    clip: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        check_choice(self.severity, "severity", SEVERITIES)
        check_flag(self.enabled, "enabled")
        check_flag(self.clip, "clip")
        if self.schedule is not None and not isinstance(self.schedule, Schedule):
            raise SceneError("schedule", "is not a Schedule")
        self._seconds("cooldown", 0, 7 * DAY_S)
        self._seconds("clear_after", 0, DAY_S)

    def _seconds(self, field: str, low: float, high: float) -> None:
        object.__setattr__(self, field, check_number(getattr(self, field), field, low, high))

    def _people(self, field: str, low: int, high: int) -> None:
        object.__setattr__(self, field, check_integer(getattr(self, field), field, low, high))

    def to_dict(self) -> dict[str, object]:
        """The rule as JSON has it; fields with their default value are left out."""
        found: dict[str, object] = {"name": self.name, "kind": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "name" or value == field.default:
                continue
            if isinstance(value, Schedule):
                value = value.to_dict()
            found[field.name] = plain_number(value) if isinstance(value, float) else value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyRule(Rule):
    """Too many people in a zone (`at_least`), or too few (`at_most`): one of the two.

    Attributes:
        zone: Name of the zone.
        at_least: The alarm is for this number of people or more.
        at_most: The alarm is for this number of people or fewer.
        lasting: Seconds for which this must be so. A dip shorter than a second does not restart the time.
        hysteresis: By how many people the number must pass the limit in the other direction to clear the alarm, beyond
            one: with `at_least` 6 and a hysteresis of 1, the alarm is cleared by 4 people or fewer.
    """

    kind: ClassVar[str] = "occupancy"

    zone: str
    at_least: int | None = None
    at_most: int | None = None
    lasting: float = 0.0
    hysteresis: int = 0

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        check_name(self.zone, "zone")
        if (self.at_least is None) == (self.at_most is None):
            raise SceneError("", 'exactly one of the fields "at_least" and "at_most" is needed')
        self._seconds("lasting", 0, DAY_S)
        if self.at_least is not None:
            self._people("at_least", 1, MAX_PEOPLE)
            self._people("hysteresis", 0, self.at_least - 1)
        else:
            self._people("at_most", 0, MAX_PEOPLE)
            self._people("hysteresis", 0, MAX_PEOPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellRule(Rule):
    """Somebody stays in a zone for too long.

    Attributes:
        zone: Name of the zone.
        longer_than: Seconds in the zone.
        hysteresis: The alarm is cleared when nobody is there for `longer_than - hysteresis` seconds or more.
    """

    kind: ClassVar[str] = "dwell"

    zone: str
    longer_than: float
    hysteresis: float = 0.0

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        check_name(self.zone, "zone")
        self._seconds("longer_than", 0.1, 7 * DAY_S)
        self._seconds("hysteresis", 0, self.longer_than)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingsRule(Rule):
    """A number of crossings of a line in a time.

    Attributes:
        line: Name of the line.
        direction: "forward", "backward" or the name that the line gives to one of them; None is both.
        at_least: The alarm is for this number of crossings or more. Crossings outside the schedule do not count.
        within: Seconds.
        hysteresis: The alarm is cleared by fewer than `at_least - hysteresis` crossings within that time.
    """

    kind: ClassVar[str] = "crossings"

    line: str
    direction: str | None = None
    at_least: int = 1
    within: float = 60.0
    hysteresis: int = 0

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        check_name(self.line, "line")
        if self.direction is not None:
            check_name(self.direction, "direction")
        self._people("at_least", 1, MAX_PEOPLE)
        self._seconds("within", 0.1, DAY_S)
        self._people("hysteresis", 0, self.at_least - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRule(Rule):
    """The camera sends no frames.

    Attributes:
        after: Seconds without a frame.
    """

    kind: ClassVar[str] = "silence"

    severity: str = "alarm"
    clear_after: float = 0.0
    after: float = 10.0

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        self._seconds("after", 1, 7 * DAY_S)


DEFAULT_SILENCE: Final = SilenceRule(name="silence")
"""Watches a camera whose scene has no silence rule. A rule of that kind with `enabled` false switches it off."""

_KINDS: Final[dict[str, type[Rule]]] = {
    kind.kind: kind for kind in (OccupancyRule, DwellRule, CrossingsRule, SilenceRule)
}


def parse_rule(value: object) -> Rule:
    """A rule from its JSON object.

    Raises:
        SceneError: A field is wrong, missing or unknown.
    """
    every = [field.name for kind in _KINDS.values() for field in fields(kind)]
    kind_name = check_choice(Fields(value, ["kind", *dict.fromkeys(every)]).get("kind"), "kind", tuple(_KINDS))
    kind = _KINDS[kind_name]
    known = Fields(value, ["kind", *(field.name for field in fields(kind))])
    found: dict[str, object] = {}
    for field in fields(kind):
        if field.name in known:
            found[field.name] = known.get(field.name)
        elif field.default is MISSING:
            known.get(field.name)
    if found.get("schedule") is not None:
        with at("schedule"):
            found["schedule"] = parse_schedule(found["schedule"])
    return kind(**found)  # type: ignore[arg-type]  # each __post_init__ checks the types of its fields


def parse_rules(value: object) -> tuple[Rule, ...]:
    """The rules of a scene from their JSON list.

    Raises:
        SceneError: A rule is wrong, two have the same name, or there are more than `MAX_RULES`.
    """
    rules: list[Rule] = []
    for i, item in enumerate(check_items(value, "", MAX_RULES)):
        with at(f"[{i}]"):
            rules.append(parse_rule(item))
    check_rule_names(rules)
    return tuple(rules)


def check_rule_names(rules: Sequence[Rule]) -> None:
    """Raises a `SceneError` where two rules have the same name."""
    names = [rule.name for rule in rules]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise SceneError(f"[{i}].name", f'"{name}" is the name of rules[{names.index(name)}], too')


@lru_cache(maxsize=1024)
def fingerprint(rule: Rule) -> str:
    """Eight characters that differ for rules that differ in any field."""
    return f"{crc32(repr(rule).encode()):08x}"
