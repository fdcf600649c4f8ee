"""Periods in named time zones: days of 23, 24 and 25 hours, and parts of days."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from rededge_nb.errors import ConfigurationError
from rededge_nb.history.periods import equal_runs, parse_period, period_edges
from rededge_nb.time_zones import find_zone, moment_ms, zone_note

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000


def edges(start: str, end: str, every: str, zone: ZoneInfo = BERLIN) -> np.ndarray:
    return period_edges(moment_ms(start, zone), moment_ms(end, zone), parse_period(every), zone)


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-31", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-24", "2026-10-27", [24, 25, 24]),
        ("America/New_York", "2026-03-07", "2026-03-10", [24, 23, 24]),
        ("Australia/Lord_Howe", "2026-04-04", "2026-04-07", [24, 24.5, 24]),
        ("Africa/Cairo", "2026-04-23", "2026-04-26", [24, 23, 24]),  # the clocks change at midnight
        ("Asia/Kolkata", "2026-03-28", "2026-03-31", [24, 24, 24]),
        ("UTC", "2026-03-28", "2026-03-31", [24, 24, 24]),
    ],
)
def test_days_have_the_hours_of_their_time_zone(zone: str, start: str, end: str, hours: list[float]) -> None:
    assert (np.diff(edges(start, end, "1d", ZoneInfo(zone))) / HOUR_MS).tolist() == hours


def test_parts_of_a_day_are_counted_from_midnight_and_have_their_real_length() -> None:
    spring = edges("2026-03-29", "2026-03-30", "1h")
    assert len(spring) == 24
    assert set(np.diff(spring)) == {HOUR_MS}
    assert len(edges("2026-10-25", "2026-10-26", "1h")) == 26
    assert (np.diff(edges("2026-10-24", "2026-10-27", "6h")) / HOUR_MS).tolist() == [6] * 4 + [6] * 4 + [1] + [6] * 4
    half_past = edges("2026-05-01", "2026-05-02", "1h", ZoneInfo("Asia/Kolkata"))
    assert {int(each) % HOUR_MS for each in half_past} == {HOUR_MS // 2}


def test_the_first_and_the_last_period_may_be_shorter() -> None:
    found = edges("2026-05-01 10:07", "2026-05-01 10:50", "15min")
    assert (np.diff(found) / 60_000).tolist() == [8, 15, 15, 5]
    weeks = edges("2026-05-01", "2026-05-20", "1w")  # 1 May 2026 is a Friday
    assert (np.diff(weeks) / HOUR_MS / 24).tolist() == [3, 7, 7, 2]


def test_equal_runs_are_the_stretches_of_one_length() -> None:
    assert equal_runs(np.array([3, 10, 20, 30, 35])) == [(0, 1), (1, 3), (3, 4)]
    assert equal_runs(np.array([0, 5])) == [(0, 1)]


@pytest.mark.parametrize("text", ["", "15", "min", "0min", "7h", "1.5h", "1x", "-1h", "36h"])
def test_other_texts_are_no_periods(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"period|cannot be divided"):
        parse_period(text)


def test_an_end_that_is_not_after_the_start_and_too_many_periods_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not after the start"):
        edges("2026-05-02", "2026-05-02", "1h")
    with pytest.raises(ConfigurationError, match="more than 1,000,000 periods of 1s"):
        edges("2026-01-01", "2026-03-01", "1s")


def test_times_may_be_given_in_many_ways() -> None:
    at = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    ms = round(at.timestamp() * 1000)
    ways = [at, ms, np.datetime64(ms, "ms"), "2026-07-01T12:30Z", "2026-07-01 14:30", datetime(2026, 7, 1, 14, 30)]
    assert {moment_ms(each, BERLIN) for each in ways} == {ms}
    assert moment_ms(date(2026, 7, 1), BERLIN) == moment_ms("2026-07-01", BERLIN) == ms - 14 * HOUR_MS - HOUR_MS // 2
    for wrong in ("tomorrow", True, 1.5, np.datetime64("NaT"), None):
        with pytest.raises(ConfigurationError, match=r"not a time"):
            moment_ms(wrong, BERLIN)  # type: ignore[arg-type]


def test_a_time_zone_has_a_name_and_its_differences_to_utc_are_shown() -> None:
    with pytest.raises(ConfigurationError, match="no time zone 'Europe/Nowhere'"):
        find_zone("Europe/Nowhere")
    january, july = moment_ms("2026-01-01", BERLIN), moment_ms("2026-07-01", BERLIN)
    assert zone_note(BERLIN, january) == "Europe/Berlin, UTC+01:00"
    assert zone_note(BERLIN, january, july) == "Europe/Berlin, UTC+01:00 to UTC+02:00"
    assert zone_note(find_zone("UTC"), january) == "UTC"
