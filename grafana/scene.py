"""The rows of lines and zones: each is repeated for every line and zone of the chosen camera."""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models import common

from grafana.panels import Panel, at, chart, number, with_doubt
from grafana.queries import CAMERA, THINGS, Query, too_few_frames, ts_range

SECOND_MS, MINUTE_MS = 1_000, 60_000
WAYS = ("forward", "backward")
LINE, ZONE = f"{CAMERA}:line:${{line}}", f"{CAMERA}:zone:${{zone}}"
LINES_QUERY, LINES_PATTERN = (
    "ts.queryindex __name__=line_forward camera=${camera}",
    "/^camera:.*:line:([^:]*):forward$/",
)
ZONES_QUERY, ZONES_PATTERN = "ts.queryindex __name__=zone_people camera=${camera}", "/^camera:.*:zone:([^:]*):people$/"


def with_scene_rows(board: Dashboard, y: int) -> Dashboard:
    """The dashboard with a row for each line and one for each zone, each 9 high, from line `y` of the grid on."""
    board.with_row(Row("Line ${line}").repeat("line").grid_pos(at(0, y, 24, 1)))
    for panel in line_panels(y + 1):
        board.with_panel(panel)
    board.with_row(Row("Zone ${zone}").repeat("zone").grid_pos(at(0, y + 9, 24, 1)))
    for panel in zone_panels(y + 10):
        board.with_panel(panel)
    return board


def line_panels(y: int) -> tuple[Panel, ...]:
    """Crossings of a line in each minute, and in the last hour."""
    over_time = with_doubt(
        chart("Crossings per minute", at(0, y, 18, 8), *map(crossings, WAYS), too_few_frames(MINUTE_MS))
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .unit("short")
    )
    totals = [
        number(
            f"{way.capitalize()}, 1 h", at(18 + 3 * place, y, 3, 8), crossings(way), calculation="sum", over="1h"
        ).unit("short")
        for place, way in enumerate(WAYS)
    ]
    return over_time, *totals


def crossings(way: str) -> Query:
    """Crossings of a line in one direction, in each minute."""
    return ts_range(f"{LINE}:{way}", way, "sum", MINUTE_MS)


def zone_panels(y: int) -> tuple[timeseries.Panel, ...]:
    """People in a zone, and how long they stayed."""
    people = chart(
        f"{THINGS} in the zone",
        at(0, y, 12, 8),
        ts_range(f"{ZONE}:people", "Average, 10 s", "avg", 10 * SECOND_MS),
        ts_range(f"{ZONE}:people", "Most, 10 s", "max", 10 * SECOND_MS),
    ).unit("short")
    dwell = chart(
        f"How long {THINGS} stayed, per minute",
        at(12, y, 12, 8),
        ts_range(f"{ZONE}:dwell", "Average", "avg", MINUTE_MS),
        ts_range(f"{ZONE}:dwell", "Longest", "max", MINUTE_MS),
        too_few_frames(MINUTE_MS),
    ).unit("s")
    return people, with_doubt(dwell)
