from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rededge_nb.analytics.schedules import DAYS, Schedule, Window, parse_schedule
from rededge_nb.errors import SceneError

BERLIN = ZoneInfo("Europe/Berlin")


def ms(*local: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime(*local, tzinfo=zone, fold=fold).timestamp() * 1000)  # type: ignore[arg-type,misc]


def schedule(*windows: dict[str, Any], zone: str = "Europe/Berlin") -> Schedule:
    return parse_schedule({"time_zone": zone, "windows": list(windows)})


@pytest.mark.parametrize(
    ("local", "active"),
    [
        ((2026, 3, 2, 7, 59), False),  # a Monday
        ((2026, 3, 2, 8, 0), True),
        ((2026, 3, 2, 17, 59), True),
        ((2026, 3, 2, 18, 0), False),
        ((2026, 3, 3, 12, 0), False),
        ((2026, 3, 4, 12, 0), True),
        ((2026, 3, 8, 12, 0), False),
    ],
)
def test_hours_of_some_days(local: tuple[int, ...], active: bool) -> None:
    assert schedule({"days": ["wed", "mon"], "start": "08:00", "end": "18:00"}).active(ms(*local)) is active


@pytest.mark.parametrize(
    ("local", "active"),
    [
        ((2026, 3, 6, 21, 59), False),  # a Friday
        ((2026, 3, 6, 22, 0), True),
        ((2026, 3, 7, 5, 59), True),
        ((2026, 3, 7, 6, 0), False),
        ((2026, 3, 7, 22, 0), False),
        ((2026, 3, 6, 3, 0), False),
        ((2026, 3, 8, 22, 30), True),
        ((2026, 3, 9, 5, 59), True),  # the night from Sunday to Monday
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts(local: tuple[int, ...], active: bool) -> None:
    night = schedule({"days": ["fri", "sun"], "start": "22:00", "end": "06:00"})
    assert night.active(ms(*local)) is active


def test_defaults_are_the_whole_day_of_every_day() -> None:
    always = schedule({})
    assert always.windows == (Window("00:00", "24:00", DAYS),)
    assert all(always.active(ms(2026, 3, 2) + 60_000 * minute) for minute in range(0, 7 * 1440, 7))


def test_several_windows() -> None:
    closed = schedule(
        {"days": ["mon", "tue", "wed", "thu", "fri"], "start": "18:00", "end": "08:00"}, {"days": ["sat", "sun"]}
    )
    hours = [closed.active(ms(2026, 3, 2) + 3_600_000 * hour) for hour in range(7 * 24)]
    # Monday before 8:00 belongs to no window: the one of Sunday ends at midnight
    workday = [True] * 8 + [False] * 10 + [True] * 6
    assert hours == [False] * 18 + [True] * 6 + workday * 4 + [True] * 48


def test_the_same_hours_in_summer_and_in_winter() -> None:
    night = schedule({"start": "22:00", "end": "06:00"})
    for month in (1, 7):
        assert not night.active(ms(2026, month, 15, 21, 59))
        assert night.active(ms(2026, month, 15, 22, 0))
    assert datetime.fromtimestamp(ms(2026, 1, 15, 22, 0) / 1000, UTC).hour == 21
    assert datetime.fromtimestamp(ms(2026, 7, 15, 22, 0) / 1000, UTC).hour == 20


def active_minutes(windows: Schedule, start: int, hours: int) -> int:
    return sum(windows.active(start + 60_000 * minute) for minute in range(60 * hours))


def test_the_night_when_clocks_are_set_forward() -> None:
    noon = ms(2026, 3, 28, 12, 0)  # 2026-03-29, 02:00 becomes 03:00
    assert active_minutes(schedule({"start": "22:00", "end": "06:00"}), noon, 23) == 7 * 60
    assert active_minutes(schedule({"start": "02:10", "end": "02:50"}), noon, 23) == 0
    assert active_minutes(schedule({"start": "01:30", "end": "03:30"}), noon, 23) == 60


def test_the_night_when_clocks_are_set_back() -> None:
    noon = ms(2026, 10, 24, 12, 0)  # 2026-10-25, 03:00 becomes 02:00
    assert active_minutes(schedule({"start": "22:00", "end": "06:00"}), noon, 25) == 9 * 60
    assert active_minutes(schedule({"start": "02:10", "end": "02:50"}), noon, 25) == 80


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"])
def test_unusual_time_zones(zone: str) -> None:
    window = schedule({"start": "09:00", "end": "10:00"}, zone=zone)
    day = datetime(2026, 6, 10, 9, 0, tzinfo=ZoneInfo(zone))
    assert window.active(round(day.timestamp() * 1000))
    assert not window.active(round((day - timedelta(minutes=1)).timestamp() * 1000))
    assert not window.active(round((day + timedelta(hours=1)).timestamp() * 1000))


def test_written_and_read() -> None:
    value = {"time_zone": "Europe/Berlin", "windows": [{"days": ["mon", "sun"], "start": "22:00", "end": "06:00"}]}
    assert parse_schedule(value).to_dict() == value
    assert parse_schedule(parse_schedule(value).to_dict()) == parse_schedule(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "7 is not an object with the fields time_zone, windows"),
        ({"windows": [{}]}, 'the field "time_zone" is missing'),
        ({"time_zone": "UTC"}, 'the field "windows" is missing'),
        ({"time_zone": "UTC", "windows": []}, "windows: the list is empty"),
        ({"time_zone": "UTC", "windows": [{}] * 17}, "windows: has 17 items, at most 16"),
        ({"time_zone": "Mars/Base", "windows": [{}]}, 'time_zone: "Mars/Base" is not a known time zone'),
        ({"time_zone": "", "windows": [{}]}, 'time_zone: "" is not a known time zone'),
        ({"time_zone": "../etc/passwd", "windows": [{}]}, "is not a known time zone"),
        ({"time_zone": "Europe", "windows": [{}]}, "is not a known time zone"),
        ({"time_zone": 2, "windows": [{}]}, "time_zone: 2 is not a text"),
        ({"time_zone": "UTC", "windows": [{"from": "1:00"}]}, 'windows[0]: unknown field "from"'),
        ({"time_zone": "UTC", "windows": [{}, {"start": "8:00"}]}, 'windows[1].start: "8:00" is not a time of day'),
        ({"time_zone": "UTC", "windows": [{"start": "24:00"}]}, 'windows[0].start: is "24:00", must be from'),
        ({"time_zone": "UTC", "windows": [{"end": "24:01"}]}, 'windows[0].end: "24:01" is not a time of day'),
        ({"time_zone": "UTC", "windows": [{"end": "23:60"}]}, 'windows[0].end: "23:60" is not a time of day'),
        ({"time_zone": "UTC", "windows": [{"end": 22}]}, "windows[0].end: 22 is not a text"),
        ({"time_zone": "UTC", "windows": [{"end": "00:00"}]}, "windows[0].end: is the same as start"),
        ({"time_zone": "UTC", "windows": [{"days": []}]}, "windows[0].days: the list is empty"),
        ({"time_zone": "UTC", "windows": [{"days": "mon"}]}, 'windows[0].days: "mon" is not a list'),
        ({"time_zone": "UTC", "windows": [{"days": ["mon", "Tue"]}]}, 'windows[0].days[1]: "Tue" is unknown; did you'),
        ({"time_zone": "UTC", "windows": [{"days": ["mon", "mon"]}]}, 'windows[0].days[1]: "mon" stands twice'),
    ],
)
def test_errors_name_the_field(value: object, message: str) -> None:
    with pytest.raises(SceneError) as found:
        parse_schedule(value)
    assert message in str(found.value)
