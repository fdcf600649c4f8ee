"""Named time zones: the one of this computer, times that users write, and how times and positions are shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import tzlocal

from rededge_nb.errors import ConfigurationError

Moment = datetime | date | np.datetime64 | str | int
"""A time as users give it; see `moment_ms`."""

_MS = 1000


def find_zone(name: str | None = None) -> ZoneInfo:
    """A time zone by its name, such as `Europe/Berlin`; without a name, that of this computer.

    Raises:
        ConfigurationError: there is no such time zone.
    """
    try:
        return ZoneInfo(name) if name else tzlocal.get_localzone()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"there is no time zone {name or 'of this computer'!r}: give a name such as 'Europe/Berlin' or 'UTC'"
        ) from error


def moment_ms(value: Moment, zone: ZoneInfo) -> int:
    """Milliseconds since the epoch.

    Args:
        value: A datetime; a date, which is its midnight; ISO 8601 text such as `2026-03-01` or `2026-03-01 14:30`;
            `datetime64`, which is UTC; or milliseconds since the epoch.
        zone: The time zone of datetimes and texts that name none.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise ConfigurationError(
                f"{value!r} is not a time ({error}): write it as 2026-03-01, 2026-03-01 14:30 or 2026-03-01T14:30+01:00"
            ) from error
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            raise ConfigurationError("the time is NaT (not a time): give a date, a datetime or ISO 8601 text")
        return int(value.astype("datetime64[ms]").astype(np.int64))
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=zone)
        return round(aware.timestamp() * _MS)
    if isinstance(value, date):
        return midnight_ms(value, zone)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ConfigurationError(
            f"{value!r} is not a time: give a date, a datetime, ISO 8601 text, or whole milliseconds since the epoch"
        )
    return int(value)


def midnight_ms(day: date, zone: ZoneInfo) -> int:
    """When a day begins there; where the clocks are set forward at midnight, the first moment of the day."""
    return round(datetime.combine(day, time(), zone).timestamp() * _MS)


def local_time(ms: int, zone: ZoneInfo) -> datetime:
    """A time there, which knows its time zone."""
    # seconds as a float would lose milliseconds of far years only; fromtimestamp rounds them to microseconds
    return datetime.fromtimestamp(ms / _MS, UTC).astimezone(zone)


def zone_note(zone: ZoneInfo, *moments_ms: int) -> str:
    """How a chart or table says its time zone: the name, and the difference to UTC at the given times.

    For example `Europe/Berlin, UTC+01:00`, or `Europe/Berlin, UTC+01:00 to UTC+02:00`.
    """
    if zone.key == "UTC" or not moments_ms:
        return zone_name(zone)
    offsets = dict.fromkeys(f"UTC{local_time(ms, zone).isoformat()[-6:]}" for ms in moments_ms)
    return f"{zone_name(zone)}, {' to '.join(offsets)}"


def zone_name(zone: ZoneInfo) -> str:
    """The name of a time zone; `local time` if this computer does not name its own."""
    return "local time" if zone.key in (None, "local") else zone.key


def position_text(seconds: float) -> str:
    """A position in a video, as players show it: `0:42`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
