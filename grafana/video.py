"""The dashboard "Video Stream Analytics": what the camera sees, how many people, how fast, and what runs.

The seed's dashboard of that name, with its panels fed from Redis itself: its graphs asked a Prometheus adapter that
its compose file leaves out, and read averages over buckets of 60 ms.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row, TextBoxVariable
from grafana_foundation_sdk.models import common, dashboard

from grafana import queries, results
from grafana.panels import (
    Panel,
    at,
    chart,
    column,
    hide,
    html,
    levels,
    number,
    page,
    quotient,
    setting,
    transformation,
    unit,
)
from grafana.queries import CAMERA, SOURCE, cli, ts_range

UID, TITLE = "rededge-video", "Video Stream Analytics"
VIDEO_URL = "http://127.0.0.1:5000/video?"
"""Where `rededge web` serves the pictures; the browser that shows the dashboard loads them from there."""

SECOND_MS, PEOPLE_BUCKET_MS = 1_000, 10_000
STEPS = ("read", "resize", "model", "script", "boxes", "store")


def video_dashboard() -> Dashboard:
    """The dashboard, row by row."""
    told = "Cameras, people, latency, frames per second, gears and models of a RedisEdge."
    board = page(TITLE, UID, told, *variables()).tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    for panel in (video(), people(), *people_in_numbers(), *people_in_total(), people_counted()):
        board.with_panel(panel)
    for panel in (latency(), rates(), *health()):
        board.with_panel(panel)
    board.with_row(Row("Gears and models").grid_pos(at(0, 24, 24, 1)))
    for panel in results.gears_and_models():
        board.with_panel(panel)
    board.with_row(Row("Latest results").grid_pos(at(0, 33, 24, 1)))
    for panel in results.latest_results():
        board.with_panel(panel)
    return board.with_row(Row("History").grid_pos(at(0, 42, 24, 1))).with_panel(history())


def variables() -> tuple[QueryVariable, QueryVariable, TextBoxVariable]:
    """The choices at the top of the page, and where the video comes from."""
    return (
        choice("camera", "Camera", "ts.queryindex __name__=people", "/^camera:(.*):people$/", "0"),
        choice("model", "Model", "ai._modelscan", "/^(model:.*)$/", "model:nanodet-g-416"),
        TextBoxVariable("video")
        .label("Video server")
        .default_value(VIDEO_URL)
        .current(dashboard.VariableOption(text=VIDEO_URL, value=VIDEO_URL))
        .hide(dashboard.VariableHide.HIDE_VARIABLE),
    )


def choice(name: str, label: str, command: str, pattern: str, first: str) -> QueryVariable:
    """A variable with the values that a command's reply has for `pattern`."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(command)
        .regex(pattern)
        .sort(dashboard.VariableSort.NATURAL_ASC)
        .refresh(dashboard.VariableRefresh.ON_DASHBOARD_LOAD)
        .current(dashboard.VariableOption(text=first, value=first))
    )


def video() -> Panel:
    """The camera's pictures with boxes, as `rededge web` sends them."""
    picture = (
        '<img src="${video:raw}camera=${camera:percentencode}" alt="No picture: does rededge web run?" '
        'style="display: block; margin: auto; max-width: 100%; max-height: 100%">'
    )
    return html("Camera ${camera}", at(0, 0, 9, 12), picture)


def people() -> timeseries.Panel:
    """People in the picture, with average and extremes."""
    key = f"{CAMERA}:people"
    return (
        chart(
            "People",
            at(9, 0, 9, 6),
            ts_range(key, "Now", "last", SECOND_MS),
            ts_range(key, "Average, 10 s", "avg", PEOPLE_BUCKET_MS),
            ts_range(key, "Most, 10 s", "max", PEOPLE_BUCKET_MS),
            ts_range(key, "Fewest, 10 s", "min", PEOPLE_BUCKET_MS),
        )
        .unit("short")
        .override_by_name("Now", [setting("custom.fillOpacity", 10), setting("custom.lineWidth", 2)])
    )


def people_in_numbers() -> tuple[stat.Panel, ...]:
    """Now, average, fewest and most of the last minute."""
    key = f"{CAMERA}:people"

    def of_minute(title: str, x: int, y: int, aggregation: str, calculation: str) -> stat.Panel:
        query = ts_range(key, title, aggregation, SECOND_MS)
        return number(title, at(x, y, 3, 3), query, calculation=calculation, over="1m").unit("short").decimals(0)

    return (
        of_minute("People now", 18, 0, "last", "lastNotNull"),
        of_minute("Average, 1 min", 21, 0, "avg", "mean").decimals(1),
        of_minute("Fewest, 1 min", 18, 3, "min", "min"),
        of_minute("Most, 1 min", 21, 3, "max", "max"),
    )


def people_in_total() -> tuple[stat.Panel, ...]:
    """Sums over all frames: who stands there for a minute is counted in each of its frames."""
    return tuple(
        number(
            f"Counted, {minutes} min",
            at(18, 6 + 2 * index, 6, 2),
            ts_range(f"{CAMERA}:people", f"{minutes} min", "sum", SECOND_MS),
            calculation="sum",
            over=f"{minutes}m",
        )
        .description(f"People in each frame, added up over {minutes} minutes; not unique persons.")
        .unit("short")
        for index, minutes in enumerate((1, 5, 10))
    )


def people_counted() -> timeseries.Panel:
    """The same sums over time."""
    query = ts_range(f"{CAMERA}:people", "Counted in 10 s", "sum", PEOPLE_BUCKET_MS)
    return (
        chart("People counted in every frame (not unique)", at(9, 6, 9, 6), query)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .unit("short")
    )


def latency() -> timeseries.Panel:
    """The gear's steps, stacked in the order in which they run, under the time from capture to result."""
    steps = [ts_range(f"{CAMERA}:prf_{step}", step, "avg", SECOND_MS) for step in STEPS]
    whole = ts_range(f"{CAMERA}:latency", "capture to result", "avg", SECOND_MS)
    return (
        chart("Frame latency", at(0, 12, 12, 8), *steps, whole)
        .description("Milliseconds per step, stacked; the line is the time from capture to result, waiting included.")
        .unit("ms")
        .fill_opacity(50)
        .line_width(0)
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("steps"))
        .override_by_name(
            "capture to result",
            [
                setting("custom.stacking", {"mode": "none", "group": "steps"}),
                setting("custom.fillOpacity", 0),
                setting("custom.lineWidth", 2),
            ],
        )
    )


def rates() -> timeseries.Panel:
    """Frames in, frames out, and the part that the gear dropped because a newer one waited."""
    return (
        chart(
            "Frames per second",
            at(12, 12, 12, 8),
            ts_range(f"{CAMERA}:in_fps", "In", "sum", SECOND_MS, fill=True),
            ts_range(f"{CAMERA}:out_fps", "Out", "sum", SECOND_MS, fill=True),
        )
        .description("The second that has just begun is left out: its frames are not all counted yet.")
        .time_shift("2s")
        .hide_time_override(True)
        .transformations(drop_rate())
        .unit("short")
        .override_by_name(
            "Drop rate",
            [
                *unit("percentunit"),
                setting("max", 1),
                setting("custom.axisPlacement", "right"),
                setting("custom.fillOpacity", 15),
                setting("color", {"mode": "fixed", "fixedColor": "red"}),
            ],
        )
    )


def drop_rate() -> list[dashboard.DataTransformerConfig]:
    """The transformations that turn `In` and `Out` into `In`, `Out` and `Drop rate`."""
    return [
        transformation("joinByField", {"byField": "time", "mode": "outer"}),
        column(quotient("In", "-", "Out"), "Dropped"),
        column(quotient("Dropped", "/", "In"), "Drop rate"),
        hide("Dropped"),
    ]


def health() -> tuple[stat.Panel, ...]:
    """One row of numbers that say at a glance whether all is well."""
    second = SECOND_MS
    late = ts_range(f"{CAMERA}:latency", "latency", "avg", second)
    run = ts_range(f"{CAMERA}:prf_model", "model", "avg", second)
    return (
        number("Latency", at(0, 20, 4, 4), late, calculation="mean", over="10s")
        .unit("ms")
        .thresholds(levels(500, 2000)),
        number("Model run", at(4, 20, 4, 4), run, calculation="mean", over="10s").unit("ms"),
        number("Frames held", at(8, 20, 4, 4), queries.length(CAMERA)).unit("short"),
        number("Memory of the frames", at(12, 20, 4, 4), cli(f"memory usage {CAMERA}")).unit("bytes"),
        number("Results held", at(16, 20, 4, 4), queries.length(f"{CAMERA}:yolo")).unit("short"),
        number("Frames refused", at(20, 20, 4, 4), queries.length(f"{CAMERA}:errors"))
        .unit("short")
        .thresholds(levels(1)),
    )


def history() -> timeseries.Panel:
    """People by the minute, from the compactions, which outlive the samples by three months."""
    kinds = {"avg": "Average", "max": "Most", "min": "Fewest"}
    minute_ms = 60_000
    lines = [ts_range(f"{CAMERA}:people:{kind}:1m", name, kind, minute_ms) for kind, name in kinds.items()]
    return (
        chart("People by the minute, last 24 hours", at(0, 43, 24, 8), *lines)
        .time_from("24h")
        .hide_time_override(True)
        .insert_nulls(180_000)
        .unit("short")
        .no_value("The first minute is not over yet")
    )
