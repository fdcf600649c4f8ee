"""Panels in the style of both dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, text, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, ThresholdsConfig, TimePicker
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import text as text_models

from grafana.queries import SOURCE, TOO_FEW_FRAMES, Query, targets

Panel = Builder[dashboard.Panel]
"""A panel of any kind."""

UNRELIABLE = (
    "Not reliable at red points: there the model saw fewer than 3.5 frames a second while people moved, too few to "
    "follow them."
)
GREEN, ORANGE, RED = "green", "orange", "red"


REFRESH_INTERVALS = ["1s", "2s", "5s", "10s", "30s", "1m", "5m"]


def page(title: str, uid: str, description: str, *variables: Builder[dashboard.VariableModel]) -> Dashboard:
    """A dashboard without panels. Its first variable names the Redis that it queries."""
    current = dashboard.VariableOption(text="RedisEdge", value="rededge")
    source = DatasourceVariable("redis").label("Redis").type(SOURCE.type_val or "").current(current)
    return (
        Dashboard(title)
        .uid(uid)
        .tags(["rededge"])
        .description(description)
        .time("now-5m", "now")
        .refresh("5s")
        .timepicker(TimePicker().refresh_intervals(REFRESH_INTERVALS))
        .timezone("browser")
        .variables([source, *variables])
    )


def at(x: int, y: int, width: int, height: int) -> dashboard.GridPos:
    """The position of a panel. The page is 24 columns wide, and a row is about 30 pixels high."""
    return dashboard.GridPos(x=x, y=y, w=width, h=height)


def chart(title: str, position: dashboard.GridPos, *queries: Query) -> timeseries.Panel:
    """Lines over time, with a gap where there is no sample for half a minute."""
    legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    return (
        timeseries.Panel()
        .title(title)
        .grid_pos(position)
        .datasource(SOURCE)
        .targets(targets(*queries))
        .legend(legend.display_mode(common.LegendDisplayMode.LIST).calcs([]))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .show_points(common.VisibilityMode.NEVER)
        .insert_nulls(30_000)
        .min(0)
    )


def with_doubt(panel: timeseries.Panel) -> timeseries.Panel:
    """A chart of figures by the minute that has red points where its figures are not reliable.

    The last query of the panel is `too_few_frames`.
    """
    return panel.description(UNRELIABLE).override_by_name(
        TOO_FEW_FRAMES,
        [
            *called("Not reliable: frames a second"),
            setting("custom.drawStyle", "points"),
            setting("custom.showPoints", "always"),
            setting("custom.pointSize", 8),
            setting("custom.axisPlacement", "hidden"),
            setting("color", {"mode": "fixed", "fixedColor": RED}),
            *unit("suffix: frames/s"),
        ],
    )


def number(
    title: str,
    position: dashboard.GridPos,
    *queries: Query,
    calculation: str = "lastNotNull",
    over: str | None = None,
    columns: str = "",
) -> stat.Panel:
    """One large number per series or column.

    Args:
        title: The title of the panel.
        position: The position of the panel.
        queries: The queries that return the numbers.
        calculation: How a series becomes one number.
        over: Use this much time before now, such as `1m`, instead of the range of the dashboard.
        columns: Regular expression for the columns to show, also texts; empty means all numbers.
    """
    reduction = common_builders.ReduceDataOptions().calcs([calculation]).values(False).fields(columns)
    panel = (
        stat.Panel()
        .title(title)
        .grid_pos(position)
        .datasource(SOURCE)
        .targets(targets(*queries))
        .reduce_options(reduction)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .no_value("-")
        .thresholds(levels())
    )
    return panel.time_from(over).hide_time_override(True) if over else panel


def bars(title: str, position: dashboard.GridPos, query: Query, columns: str) -> bargauge.Panel:
    """One horizontal bar for each column whose name matches."""
    return (
        bargauge.Panel()
        .title(title)
        .grid_pos(position)
        .datasource(SOURCE)
        .targets(targets(query))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(columns))
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .min(0)
        .thresholds(levels())
    )


def rows(title: str, position: dashboard.GridPos, query: Query, *, empty: str) -> table.Panel:
    """A table; `empty` is its text if the reply has no rows."""
    return (
        table.Panel()
        .title(title)
        .grid_pos(position)
        .datasource(SOURCE)
        .targets(targets(query))
        .cell_height(common.TableCellHeight.SM)
        .filterable(True)
        .no_value(empty)
    )


def html(title: str, position: dashboard.GridPos, content: str) -> text.Panel:
    """A piece of HTML, from which Grafana removes what could do harm."""
    return text.Panel().title(title).grid_pos(position).mode(text_models.TextMode.HTML).content(content)


def levels(orange: float | None = None, red: float | None = None) -> ThresholdsConfig:
    """Green, then orange and red from the given values."""
    steps = [dashboard.Threshold(value=None, color=GREEN)]
    steps += [dashboard.Threshold(value=orange, color=ORANGE)] if orange is not None else []
    steps += [dashboard.Threshold(value=red, color=RED)] if red is not None else []
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def always(color: str) -> ThresholdsConfig:
    """One colour for every number."""
    step = dashboard.Threshold(value=None, color=color)
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([step])


def setting(name: str, value: object) -> dashboard.DynamicConfigValue:
    """One property of an override."""
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def unit(name: str) -> list[dashboard.DynamicConfigValue]:
    """The properties that give a column a unit."""
    return [setting("unit", name)]


def called(name: str) -> list[dashboard.DynamicConfigValue]:
    """The properties that give a column another name."""
    return [setting("displayName", name)]


def hide(*columns: str) -> dashboard.DataTransformerConfig:
    """The transformation that hides columns."""
    return transformation("organize", {"excludeByName": dict.fromkeys(columns, True)})


def transformation(name: str, options: dict[str, object]) -> dashboard.DataTransformerConfig:
    """A transformation between the replies and the panel."""
    return dashboard.DataTransformerConfig(id_val=name, options=options)


def column(formula: dict[str, object], name: str) -> dashboard.DataTransformerConfig:
    """The transformation that adds a calculated column."""
    return transformation("calculateField", formula | {"alias": name, "replaceFields": False})


def quotient(left: str, operator: str, right: str) -> dict[str, object]:
    """The formula of two columns, or of a column and a constant."""
    return {"mode": "binary", "binary": {"left": left, "operator": operator, "right": right}}
