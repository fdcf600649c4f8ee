"""The dashboard "Video Stream Analytics": the video, what is counted, latency, rates, gears and models.

The original showcase has a dashboard of this name. This one gets its data from Redis. The original needed a Prometheus
adapter that was not in its compose file, and its averages had buckets of 60 ms.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row, TextBoxVariable
from grafana_foundation_sdk.models import common, dashboard

from grafana import queries, results
from grafana.panels import (
    RED,
    Panel,
    always,
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
    with_doubt,
)
from grafana.queries import CAMERA, COUNT, SOURCE, THINGS, Query, cli, too_few_frames, ts_range
from grafana.scene import LINES_PATTERN, LINES_QUERY, ZONES_PATTERN, ZONES_QUERY, with_scene_rows

UID, TITLE = "rededge-video", "Video Stream Analytics"
VIDEO_URL = "http://127.0.0.1:5000/video?"
"""The address of `rededge web`. The browser that shows the dashboard loads the video from there."""

SECOND_MS, PEOPLE_BUCKET_MS, MINUTE_MS = 1_000, 10_000, 60_000
STEPS = ("read", "resize", "model", "script", "boxes", "store")


def video_dashboard() -> Dashboard:
    """The dashboard, row by row."""
    description = "Cameras, people, latency, frames per second, gears and models of a RedisEdge."
    board = page(TITLE, UID, description, *variables()).tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    for panel in (video(), people(), *people_in_numbers(), *people_seen(), reliable(), people_seen_over_time()):
        board.with_panel(panel)
    for panel in (latency(), rates(), *health()):
        board.with_panel(panel)
    board.with_row(Row("Gears and models").grid_pos(at(0, 24, 24, 1)))
    for panel in results.gears_and_models():
        board.with_panel(panel)
    board.with_row(Row("Latest results").grid_pos(at(0, 33, 24, 1)))
    for panel in results.latest_results():
        board.with_panel(panel)
    board.with_row(Row("Alarms and events").grid_pos(at(0, 51, 24, 1)))
    for panel in results.alarms_and_events():
        board.with_panel(panel)
    board.with_row(Row("History").grid_pos(at(0, 42, 24, 1))).with_panel(history())
    return with_scene_rows(board, 66)


def variables() -> tuple[QueryVariable | TextBoxVariable, ...]:
    """The choices at the top of the page, and the address of the video."""
    return (
        choice("camera", "Camera", "ts.queryindex __name__=people", "/^camera:(.*):people$/", "0"),
        of_gear("series", "people"),
        of_gear("plural", "people"),
        every("line", LINES_QUERY, LINES_PATTERN),
        every("zone", ZONES_QUERY, ZONES_PATTERN),
        choice("model", "Model", "ai._modelscan", "/^(model:.*)$/", "model:nanodet-g-two-sizes"),
        TextBoxVariable("video")
        .label("Video server")
        .default_value(VIDEO_URL)
        .current(dashboard.VariableOption(text=VIDEO_URL, value=VIDEO_URL))
        .hide(dashboard.VariableHide.HIDE_VARIABLE),
    )


def choice(name: str, label: str, command: str, pattern: str, first: str) -> QueryVariable:
    """A variable whose values are those parts of a command's reply that match `pattern`."""
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


def of_gear(field: str, first: str) -> QueryVariable:
    """A hidden variable with what the settings of the gear say about what is counted: its series, or its word."""
    variable = choice(field, field.capitalize(), f"hget people_counter:settings {field}", "/^(.+)$/", first)
    return variable.hide(dashboard.VariableHide.HIDE_VARIABLE)


def every(name: str, command: str, pattern: str) -> QueryVariable:
    """A hidden variable that has all values that match `pattern` at once: a row is repeated for each of them."""
    return (
        choice(name, name.capitalize(), command, pattern, "")
        .multi(True)
        .include_all(True)
        .hide(dashboard.VariableHide.HIDE_VARIABLE)
        .current(dashboard.VariableOption(text=["All"], value=["$__all"]))
    )


def video() -> Panel:
    """The video with boxes, as `rededge web` sends it."""
    picture = (
        '<img src="${video:raw}camera=${camera:percentencode}" alt="No video: does rededge web run?" '
        'style="display: block; margin: auto; max-width: 100%; max-height: 100%">'
    )
    return html("Camera ${camera}", at(0, 0, 9, 12), picture)


def people() -> timeseries.Panel:
    """People in the frame, with average and extremes."""
    key = COUNT
    return (
        chart(
            f"{THINGS} in view",
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
    """The present number, and average, minimum and maximum of the last minute."""
    key = COUNT

    def of_minute(title: str, x: int, y: int, aggregation: str, calculation: str) -> stat.Panel:
        query = ts_range(key, title, aggregation, SECOND_MS)
        return number(title, at(x, y, 3, 3), query, calculation=calculation, over="1m").unit("short").decimals(0)

    return (
        of_minute(f"{THINGS} now", 18, 0, "last", "lastNotNull"),
        of_minute("Average, 1 min", 21, 0, "avg", "mean").decimals(1),
        of_minute("Fewest, 1 min", 18, 3, "min", "min"),
        of_minute("Most, 1 min", 21, 3, "max", "max"),
    )


def people_seen() -> tuple[stat.Panel, ...]:
    """How many people came into view: each once, unless they left or were hidden for more than a few seconds."""
    return tuple(
        number(title, at(18 + 3 * index, 6, 3, 3), seen(title), calculation="sum", over=over)
        .description(f"{THINGS} that were seen for the first time. Whoever leaves and comes back counts again.")
        .unit("short")
        for index, (title, over) in enumerate((("Seen, 1 h", "1h"), ("Seen today", "now/d")))
    )


def people_seen_over_time() -> timeseries.Panel:
    """The same by the minute."""
    title = f"{THINGS} seen for the first time, per minute"
    return with_doubt(
        chart(title, at(9, 6, 9, 6), seen("Seen"), too_few_frames(MINUTE_MS))
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .unit("short")
    )


def reliable() -> stat.Panel:
    """Whether people could be followed today: seen, crossings and stays depend on it."""
    return (
        number(
            "Seen, crossings and stays of today",
            at(18, 9, 6, 3),
            too_few_frames(MINUTE_MS),
            calculation="min",
            over="now/d",
        )
        .description(
            "Not reliable if people moved while the model saw fewer than 3.5 frames a second, too few to follow them. "
            "The number is how many it saw at the worst."
        )
        .no_value("reliable")
        .decimals(1)
        .unit("suffix: frames/s: not reliable")
        .thresholds(always(RED))
    )


def seen(name: str) -> Query:
    """People who were seen for the first time in each minute."""
    return ts_range(f"{CAMERA}:seen", name, "sum", MINUTE_MS)


def latency() -> timeseries.Panel:
    """The steps of the gear, stacked in their order, below the time from capture to result."""
    steps = [ts_range(f"{CAMERA}:prf_{step}", step, "avg", SECOND_MS) for step in STEPS]
    whole = ts_range(f"{CAMERA}:latency", "capture to result", "avg", SECOND_MS)
    return (
        chart("Frame latency", at(0, 12, 12, 8), *steps, whole)
        .description("Milliseconds per step, stacked; the line is the time from capture to result, with all waiting.")
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
    """Frames in, frames out, and the share that the gear dropped because newer frames waited."""
    return (
        chart(
            "Frames per second",
            at(12, 12, 12, 8),
            ts_range(f"{CAMERA}:in_fps", "In", "sum", SECOND_MS, fill=True),
            ts_range(f"{CAMERA}:out_fps", "Out", "sum", SECOND_MS, fill=True),
            ts_range(f"{CAMERA}:looked_fps", "Model", "sum", SECOND_MS, fill=True),
        )
        .description(
            "Model: frames for which it ran; the others have predicted boxes. The current second is not shown, because "
            "not all of its frames are counted yet."
        )
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
    """One row of numbers that show problems at a glance."""
    second = SECOND_MS
    late = ts_range(f"{CAMERA}:latency", "latency", "avg", second)
    run = ts_range(f"{CAMERA}:prf_model", "model", "avg", second)
    return (
        number("Latency", at(0, 20, 4, 4), late, calculation="mean", over="10s")
        .unit("ms")
        .thresholds(levels(500, 2000)),
        number("Model run", at(4, 20, 4, 4), run, calculation="mean", over="10s").unit("ms"),
        number("Frames in Redis", at(8, 20, 4, 4), queries.length(CAMERA)).unit("short"),
        number("Memory of the frames", at(12, 20, 4, 4), cli(f"memory usage {CAMERA}")).unit("bytes"),
        number("Results in Redis", at(16, 20, 4, 4), queries.length(f"{CAMERA}:yolo")).unit("short"),
        number("Frames with errors", at(20, 20, 4, 4), queries.length(f"{CAMERA}:errors"))
        .unit("short")
        .thresholds(levels(1)),
    )


def history() -> timeseries.Panel:
    """People per minute, from the compactions, which are kept for three months."""
    kinds = {"avg": "Average", "max": "Most", "min": "Fewest"}
    lines = [ts_range(f"{COUNT}:{kind}:1m", name, kind, MINUTE_MS) for kind, name in kinds.items()]
    return (
        chart(f"{THINGS} per minute, last 24 hours", at(0, 43, 24, 8), *lines)
        .time_from("24h")
        .hide_time_override(True)
        .insert_nulls(180_000)
        .unit("short")
        .no_value("The first minute is not over yet")
    )
