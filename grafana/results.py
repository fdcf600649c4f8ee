"""The tables of "Video Stream Analytics": gears and models, as RG.* and AI.* report them, and the newest results."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table

from grafana import queries
from grafana.panels import Panel, at, called, column, hide, number, quotient, rows, transformation, unit
from grafana.queries import CAMERA, cli

EXECUTION_STATUS = "created|running|done|aborted|pending_cluster|pending_run|pending_receive|pending_termination"


def gears_and_models() -> tuple[Panel, ...]:
    """Registrations, executions, memory and the model."""
    return gears(), executions(), gears_memory(), model()


def latest_results() -> tuple[Panel, ...]:
    """The newest entries of the two streams that the gear writes."""
    return detections(), errors()


def alarms_and_events() -> tuple[Panel, ...]:
    """The active alarms of the camera, and the newest events. The data source has no annotations."""
    return active_alarms(), events(), server_events()


def active_alarms() -> table.Panel:
    """The alarms that were raised and are not cleared: one JSON object each."""
    fields = {"source": "Value", "format": "json", "replace": True, "keepTime": False}
    return (
        rows("Active alarms", at(0, 52, 10, 8), cli(f"hvals {CAMERA}:alarms"), empty="No alarm is active")
        .transformations([transformation("extractFields", fields), hide("event", "alarm", "ref", "clip", "condition")])
        .override_by_name("ts", unit("dateTimeFromNow"))
        .override_by_name("since", unit("dateTimeFromNow"))
    )


def events() -> table.Panel:
    """The newest events of the camera."""
    return (
        rows("Events", at(10, 52, 14, 8), queries.stream_tail(f"{CAMERA}:events", 50), empty="No event yet")
        .transformations([hide("$streamId", "alarm", "condition", "clip", "since")])
        .override_by_name("$time", called("time"))
        .override_by_name("ref", called("frame"))
    )


def server_events() -> table.Panel:
    """The newest events of the whole server: memory, disk, workers."""
    return (
        rows("Events of the server", at(0, 60, 24, 6), queries.stream_tail("rededge:events", 50), empty="No event yet")
        .transformations([hide("$streamId")])
        .override_by_name("$time", called("time"))
    )


def gears() -> table.Panel:
    """The registrations and their counters."""
    return (
        rows(
            "Gear registrations",
            at(0, 25, 14, 8),
            queries.registrations(),
            empty="No gear is registered; run: rededge init",
        )
        .transformations([hide("id", "PD", "args", "mode")])
        .override_by_name("desc", called("gear"))
        .override_by_name("numTriggered", called("triggered"))
        .override_by_name("numSuccess", called("done"))
        .override_by_name("numFailures", called("failed"))
        .override_by_name("numAborted", called("aborted"))
        .override_by_name("lastError", called("last error"))
    )


def executions() -> table.Panel:
    """RG.DUMPEXECUTIONS, counted by status. Its reply is one column, and only the statuses are kept."""
    status = {"id": "regex", "options": {"value": f"^({EXECUTION_STATUS})$"}}
    return rows(
        "Gear executions", at(14, 25, 4, 5), cli("rg.dumpexecutions"), empty="No gear has run yet"
    ).transformations(
        [
            transformation(
                "filterByValue",
                {"type": "include", "match": "any", "filters": [{"fieldName": "Value", "config": status}]},
            ),
            column({"mode": "index", "index": {"asPercentile": False}}, "Row"),
            transformation(
                "groupBy",
                {
                    "fields": {
                        "Value": {"operation": "groupby", "aggregations": []},
                        "Row": {"operation": "aggregate", "aggregations": ["count"]},
                    }
                },
            ),
            transformation("organize", {"renameByName": {"Value": "status", "Row (count)": "executions"}}),
        ]
    )


def gears_memory() -> stat.Panel:
    """Memory of the process that runs gears."""
    return number("Worker's memory", at(14, 30, 4, 3), queries.python_memory(), columns="/^CurrAllocated$/").unit(
        "bytes"
    )


def model() -> table.Panel:
    """AI.INFO of the model. Its reply is one column, which is split into names and values."""
    return rows(
        "Model ${model}", at(18, 25, 6, 8), cli("ai.info ${model}"), empty="No model is loaded"
    ).transformations(
        [
            column({"mode": "index", "index": {"asPercentile": False}}, "Row"),
            column(quotient("Row", "/", "2"), "Half"),
            column({"mode": "unary", "unary": {"operator": "floor", "fieldName": "Half"}}, "Pair"),
            transformation(
                "groupBy",
                {
                    "fields": {
                        "Pair": {"operation": "groupby", "aggregations": []},
                        "Value": {"operation": "aggregate", "aggregations": ["first", "last"]},
                    }
                },
            ),
            transformation(
                "organize",
                {
                    "excludeByName": {"Pair": True},
                    "renameByName": {"Value (first)": "property", "Value (last)": "value"},
                },
            ),
        ]
    )


def detections() -> table.Panel:
    """The newest results, as the gear wrote them."""
    return (
        rows("Detections", at(0, 34, 14, 8), queries.stream_tail(f"{CAMERA}:yolo", 20), empty="No result yet")
        .transformations([hide("$streamId", "ts")])
        .override_by_name("$time", called("written"))
        .override_by_name("ref", called("frame"))
        .override_by_name("ms", unit("ms"))
    )


def errors() -> table.Panel:
    """The newest frames that could not be processed, and why."""
    tail = queries.stream_tail(f"{CAMERA}:errors", 20)
    return (
        rows("Frames that could not be processed", at(14, 34, 10, 8), tail, empty="No frame had an error")
        .transformations([hide("$streamId", "ts")])
        .override_by_name("$time", called("time"))
        .override_by_name("ref", called("frame"))
    )
