"""Every query of both dashboards, sent as Grafana's data source sends it, to a server with captures running."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from rededge_nb import assets, schema
from rededge_nb.analytics.events import event_commands, server_event_command
from rededge_nb.capture.run import start_capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.conftest import empty
from tests.grafana.dashboards import FILES, load, panels, time_range, variables
from tests.grafana.datasource import DataSource, Frame, replace_variables
from tests.waiting import wait_for

CAMERAS = ("0", "back-door")
HISTORY_MS = 200_000
"""Age of the sample whose minute is over, so that compactions have one."""
QUERIES = [
    pytest.param(dashboard, panel, target, id=f"{path.stem}-{panel['title']}-{target['refId']}")
    for path in FILES
    for dashboard in [load(path)]
    for panel in panels(dashboard)
    for target in panel.get("targets", [])
]


ALARM = {
    "kind": "alarm_raised", "severity": "alarm", "ts": 1, "alarm": "queue-1", "rule": "queue", "condition": "occupancy",
    "since": 1, "value": 4, "zone": "desk", "people": 4, "ref": "1-0", "clip": "0-queue-1.mp4",
}  # fmt: skip


@pytest.fixture(scope="module")
def source(edge: Instance) -> Iterator[DataSource]:
    """The data source of a server with two cameras, each with a capture running, a refused frame and some history."""
    client = client_from_url(edge.url)
    empty(client)
    provision(client, cameras=CAMERAS)
    slow_before = client.config_get("slowlog-log-slower-than")
    client.config_set("slowlog-log-slower-than", 0)
    captures = []
    try:
        for camera in CAMERAS:
            before = int(time.time() * 1000) - HISTORY_MS
            for command in event_commands(schema.frames_key(camera), [ALARM], "", before):
                client.execute_command(*command)
            client.execute_command("TS.ADD", schema.series_key(camera, schema.PEOPLE), before, 3)
            client.xadd(schema.frames_key(camera), {schema.COUNT: 1, schema.IMAGE: b"not a picture", schema.KEEP: 1})
            CameraScene(client, camera).line("door", (0, 0.5), (1, 0.5)).zone("desk", [(0, 0), (1, 0), (1, 1)])
            for series in ("line:door:forward", "line:door:backward", "zone:desk:dwell"):
                client.execute_command("TS.ADD", schema.series_key(camera, series), before + HISTORY_MS, 4)
            labels = ("LABELS", "camera", camera, "__name__", schema.TOO_FEW_FRAMES)
            slow = schema.series_key(camera, schema.TOO_FEW_FRAMES)
            client.execute_command("TS.ADD", slow, before + HISTORY_MS, 1.5, *labels)
            captures.append(start_capture(client, assets.sample_video(), camera=camera, fps=4, loop=True))
        for event in ({"kind": "worker_lost", "ts": 1, "reason": "a test"}, {"kind": "memory_free", "ts": 2}):
            client.execute_command(*server_event_command(schema.SERVER_EVENTS_KEY, event))
        for camera in CAMERAS:
            wait_for(lambda camera=camera: seen(client, camera), timeout=60, what=f"results of camera {camera}")
        source = DataSource(client)
        yield source
        source.close()
    finally:
        for capture in captures:
            capture.close()
        client.config_set("slowlog-log-slower-than", slow_before["slowlog-log-slower-than"])
        empty(client)
        client.close()


def seen(client: redis.Redis, camera: str) -> bool:
    return client.xlen(schema.detections_key(camera)) >= 2 and client.xlen(schema.errors_key(camera)) >= 1


def choices(source: DataSource, dashboard: dict[str, Any]) -> dict[str, list[str]]:
    """Every choice of the dashboard's query variables, those that depend on the camera for the first one."""
    found = variables(dashboard, "query")
    return {
        name: source.options(variable["query"].replace("${camera}", CAMERAS[0]), variable["regex"])
        for name, variable in found.items()
    }


@pytest.mark.parametrize(("dashboard", "panel", "target"), QUERIES)
def test_query_has_an_answer(
    source: DataSource, dashboard: dict[str, Any], panel: dict[str, Any], target: dict[str, Any]
) -> None:
    options = choices(source, dashboard)
    for values in itertools.product(*options.values()):
        sent = replace_variables(target, dict(zip(options, values, strict=True)))

        def answer(sent: dict[str, Any] = sent) -> list[Frame]:
            frames = source.query(sent, *time_range(dashboard, panel, int(time.time() * 1000)))
            return [frame for frame in frames if frame.rows]

        frames = wait_for(answer, timeout=30, what=f"rows for {sent}")
        for frame in frames:
            lengths = {len(column) for column in frame.columns.values()}
            assert len(lengths) == 1, f"{frame.name} has columns of {lengths} rows"


def test_a_camera_with_enough_frames_is_no_error(source: DataSource) -> None:
    """It has no series of too few frames, and TS.RANGE of a key that does not exist is an error."""
    found = [target for *_, target in (each.values for each in QUERIES) if target["command"] == "ts.mrange"]
    assert len(found) == 4
    for target in found:
        assert source.query(replace_variables(target, {"camera": "enough"}), 0, int(time.time() * 1000)) == []


def test_variables_find_cameras_and_models(source: DataSource) -> None:
    video = next(load(path) for path in FILES if path.stem == "video-stream-analytics")
    assert {name: sorted(found) for name, found in choices(source, video).items()} == {
        "camera": sorted(CAMERAS),
        "series": ["people"],
        "plural": ["people"],
        "line": ["door"],
        "zone": ["desk"],
        "model": [f"model:{assets.DEFAULT_MODEL}"],
    }


PANELS = [
    pytest.param(dashboard, panel, id=f"{path.stem}-{panel['title']}")
    for path in FILES
    for dashboard in [load(path)]
    for panel in panels(dashboard)
    if panel.get("targets")
]


@pytest.mark.parametrize(("dashboard", "panel"), PANELS)
def test_columns_named_in_a_panel_exist(source: DataSource, dashboard: dict[str, Any], panel: dict[str, Any]) -> None:
    """A misspelt column would silently lose its unit, its colour, or the whole number."""
    values = {name: found[0] for name, found in choices(source, dashboard).items()}
    window = time_range(dashboard, panel, int(time.time() * 1000))
    columns: set[str] = set()
    for target in panel["targets"]:
        for frame in source.query(replace_variables(target, values), *window):
            columns |= set(frame.columns) | {frame.name}
    pattern = panel["options"].get("reduceOptions", {}).get("fields")
    if pattern:
        assert any(re.search(pattern.strip("/"), column) for column in columns), (pattern, columns)
    for transformation in panel.get("transformations", []):
        asked, made = columns_of(transformation)
        assert asked <= columns, f"{transformation['id']} asks for {asked - columns}"
        columns |= made
    overridden = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    assert overridden <= columns


def columns_of(transformation: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The columns that a transformation reads, and those that it makes."""
    options = transformation["options"]
    match transformation["id"]:
        case "organize":
            renamed = options.get("renameByName", {})
            return set(options.get("excludeByName", {})) | set(renamed), set(renamed.values())
        case "joinByField":
            return {options["byField"]}, set()
        case "filterByValue":
            return {found["fieldName"] for found in options["filters"]}, set()
        case "filterFieldsByName":
            return set(options["include"].get("names", [])), set()
        case "groupBy":
            kept = options["fields"]
            return set(kept), {f"{name} ({kind})" for name, how in kept.items() for kind in how["aggregations"]}
        case "calculateField":
            formula = options.get(options["mode"], {})
            read = {formula[name] for name in ("left", "right", "fieldName") if name in formula}
            return {name for name in read if not name.isdigit()}, {options["alias"]}
        case "extractFields":
            return {options["source"]}, {*ALARM, "event"}
        case "reduce":
            return set(), {"Field", "Last *"}
        case other:
            raise AssertionError(f"{other} is not among the transformations that this test knows")
