"""When a rule is active: days and hours in a named time zone.

Local time decides, so that "22:00 to 06:00 in Europe/Berlin" stays at these hours in summer and in winter. On the day
when clocks are set forward, the hour that is skipped does not occur, and a window inside it is not active; on the day
when they are set back, a window inside the repeated hour is active twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rededge_nb.analytics.fields import Fields, at, check_choice, check_items, check_text, shown
from rededge_nb.errors import SceneError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_WINDOWS: Final = 16
_WHOLE_DAY: Final = {"start": "00:00", "end": "24:00"}
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of the week.

    Attributes:
        start: First minute, `"22:00"`.
        end: The minute after the last one, `"06:00"`. An end before the start is on the next day. `"24:00"` is the end
            of the day.
        days: The days on which it starts; of `DAYS`.
    """

    start: str = "00:00"
    end: str = "24:00"
    days: tuple[str, ...] = DAYS
    _start: int = field(init=False, repr=False, compare=False)
    _end: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        start, end = _minutes(self.start, "start"), _minutes(self.end, "end")
        if start == 24 * 60:
            raise SceneError("start", 'is "24:00", must be from "00:00" to "23:59"')
        if start == end:
            raise SceneError("end", f'is the same as start, {shown(self.end)}; a whole day is "00:00" to "24:00"')
        chosen = [check_choice(day, f"days[{i}]", DAYS) for i, day in enumerate(self.days)]
        if not chosen:
            raise SceneError("days", "the list is empty: leave the field out for every day")
        for i, day in enumerate(chosen):
            if day in chosen[:i]:
                raise SceneError(f"days[{i}]", f"{shown(day)} stands twice")
        object.__setattr__(self, "days", tuple(sorted(chosen, key=DAYS.index)))
        object.__setattr__(self, "_start", start)
        object.__setattr__(self, "_end", end)

    def contains(self, weekday: int, minute: int) -> bool:
        """Whether a minute of the day is inside; `weekday` 0 is Monday."""
        today, yesterday = DAYS[weekday] in self.days, DAYS[weekday - 1] in self.days
        if self._start < self._end:
            return today and self._start <= minute < self._end
        return (today and minute >= self._start) or (yesterday and minute < self._end)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows of the week in one time zone.

    Attributes:
        time_zone: A name of the IANA database, `"Europe/Berlin"`.
        windows: The schedule is active in any of them.
    """

    time_zone: str
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        _zone(self.time_zone)
        if not self.windows:
            raise SceneError("windows", "the list is empty: leave the schedule out if the rule is always active")

    def active(self, ts_ms: int) -> bool:
        """Whether the schedule is active at `ts_ms`, in milliseconds since 1970 (UTC)."""
        local = datetime.fromtimestamp(ts_ms / 1000, _zone(self.time_zone))
        weekday, minute = local.weekday(), local.hour * 60 + local.minute
        return any(window.contains(weekday, minute) for window in self.windows)

    def to_dict(self) -> dict[str, object]:
        """The schedule as JSON has it."""
        windows = [{"days": list(window.days), "start": window.start, "end": window.end} for window in self.windows]
        return {"time_zone": self.time_zone, "windows": windows}


def parse_schedule(value: object) -> Schedule:
    """A schedule from its JSON object.

    Raises:
        SceneError: A field is wrong.
    """
    fields = Fields(value, ("time_zone", "windows"))
    time_zone = check_text(fields.get("time_zone"), "time_zone")
    windows = []
    for i, item in enumerate(check_items(fields.get("windows"), "windows", MAX_WINDOWS)):
        with at(f"windows[{i}]"):
            window = Fields(item, ("days", "start", "end"))
            start, end = (check_text(window.get(name, whole_day), name) for name, whole_day in _WHOLE_DAY.items())
            days = check_items(window.get("days", DAYS), "days", len(DAYS))
            windows.append(
                Window(start, end, tuple(check_choice(day, f"days[{j}]", DAYS) for j, day in enumerate(days)))
            )
    return Schedule(time_zone, tuple(windows))


def _minutes(text: str, where: str) -> int:
    """Minutes since midnight of `"HH:MM"`."""
    if not _TIME.fullmatch(check_text(text, where)):
        raise SceneError(where, f'{shown(text)} is not a time of day from "00:00" to "24:00"')
    return int(text[:2]) * 60 + int(text[3:])


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # ValueError: "../x"; OSError: the name of a folder
        example = 'a name like "Europe/Berlin" or "UTC" is needed; where a right name is unknown, pip install tzdata'
        raise SceneError("time_zone", f"{shown(name)} is not a known time zone: {example}") from None
