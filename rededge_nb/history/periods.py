"""The periods of a table: days, weeks, or parts of a day, in a named time zone.

Days begin at midnight there, so a day on which the clocks change has 23 or 25 hours. Parts of a day have the same
length in real time, and are counted from midnight: on such a day there is one hour less or more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from rededge_nb.errors import ConfigurationError
from rededge_nb.time_zones import local_time, midnight_ms

PERIODS_MOST = 1_000_000
"""More rows than that are refused: the table would need gigabytes."""

_UNITS_S = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
_UNITS_S |= {"w": 604_800, "week": 604_800}
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Period:
    """Length of a period.

    Attributes:
        text: As the user wrote it.
        length_ms: Length in milliseconds of a part of a day; 0 for days.
        days: Number of days; 0 for parts of a day.
        weeks: Whether it begins on a Monday.
    """

    text: str
    length_ms: int = 0
    days: int = 0
    weeks: bool = False


def parse_period(text: str) -> Period:
    """The period that a text such as `15min`, `1h`, `1d` or `1w` names.

    Raises:
        ConfigurationError: it is no period, or parts of this length do not fill a day.
    """
    found = re.fullmatch(r"\s*([1-9][0-9]{0,5})\s*([a-z]+?)\s*", text.lower())
    unit_s = _UNITS_S.get(found[2]) or _UNITS_S.get(found[2].removesuffix("s")) if found else None
    if found is None or unit_s is None:
        raise ConfigurationError(f"{text!r} is not a period: write a number and s, min, h, d or w, such as '15min'")
    number = int(found[1])
    if unit_s >= 86_400:
        weeks = unit_s > 86_400
        return Period(text, days=number * (7 if weeks else 1), weeks=weeks)
    length_ms = 1000 * number * unit_s
    if length_ms == _DAY_MS:
        return Period(text, days=1)
    if _DAY_MS % length_ms:
        raise ConfigurationError(
            f"a day cannot be divided into parts of {text!r}: take one that can, such as 10s, 15min, 1h, 6h, or days"
        )
    return Period(text, length_ms=length_ms)


def period_edges(start_ms: int, end_ms: int, period: Period, zone: ZoneInfo) -> NDArray[np.int64]:
    """Where periods begin and end, in milliseconds since the epoch, from `start_ms` to `end_ms`.

    The first one begins at `start_ms` and the last one ends at `end_ms`, so these two may be shorter.

    Raises:
        ConfigurationError: the end is not after the start, or there are too many periods.
    """
    if end_ms <= start_ms:
        raise ConfigurationError(
            f"the end {local_time(end_ms, zone).isoformat()} is not after the start "
            f"{local_time(start_ms, zone).isoformat()}: give an earlier start or a later end"
        )
    if (end_ms - start_ms) / (period.length_ms or _DAY_MS) > PERIODS_MOST:
        raise ConfigurationError(f"that is more than {PERIODS_MOST:,} periods of {period.text}: take longer ones")
    day, last = local_time(start_ms, zone).date(), local_time(end_ms, zone).date() + timedelta(days=1)
    if period.weeks:
        day -= timedelta(days=day.weekday())
    step = timedelta(days=period.days or 1)
    starts: list[date] = []
    while day <= last:
        starts.append(day)
        day += step
    midnights = [midnight_ms(each, zone) for each in (*starts, day)]
    if period.length_ms:
        parts = [np.arange(a, b, period.length_ms) for a, b in pairwise(midnights)]
        inner = np.concatenate(parts)
    else:
        inner = np.array(midnights)
    inner = inner[(inner > start_ms) & (inner < end_ms)]
    return np.concatenate([[start_ms], inner, [end_ms]]).astype(np.int64)


def equal_runs(edges_ms: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches of periods of the same length: index of the first edge and of the last one of each."""
    lengths = np.diff(edges_ms)
    breaks = (np.flatnonzero(np.diff(lengths)) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(lengths)], strict=True))
