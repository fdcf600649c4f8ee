"""The rows of live charts about the lines and zones of a camera's scene."""

from __future__ import annotations

import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.errors import SceneError
from rededge_nb.reading.scenes import read_scene
from rededge_nb.reading.series import samples_with_labels

CROSSINGS, ZONES = "crossings", "zones"
"""Names of the tables. A column of the first is `line:<name>:<direction>`, one of the second `zone:<name>:people`."""
_COLUMNS = {
    "line_forward": ("line", "forward"),
    "line_backward": ("line", "backward"),
    "zone_people": ("zone", "people"),
}

Drawn = tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]
"""Name and names of the directions of each line, and the names of the zones."""


def drawn_by(client: redis.Redis, camera: str) -> Drawn:
    """The lines and zones of a camera; none if the scene cannot be read, which the player reports."""
    try:
        scene = read_scene(client, camera)
    except SceneError:
        scene = Scene()
    lines = tuple((line.name, line.forward, line.backward) for line in scene.lines)
    return lines, tuple(zone.name for zone in scene.zones)


def columns(drawn: Drawn) -> dict[str, tuple[str, ...]]:
    """The columns by table; a table without columns is left out."""
    lines, zones = drawn
    found = {
        CROSSINGS: tuple(f"line:{name}:{way}" for name, *_ in lines for way in ("forward", "backward")),
        ZONES: tuple(f"zone:{name}:people" for name in zones),
    }
    return {table: names for table, names in found.items() if names}


def read_rows(
    client: redis.Redis,
    camera: str,
    table: str,
    names: tuple[str, ...],
    *,
    start_ms: int,
    end_ms: int | None,
    aggregation: str | None,
    bucket_ms: int,
) -> dict[int, list[float | None]]:
    """The values of the columns by time, between two times; None where a series has no sample."""
    labels = ("zone_people",) if table == ZONES else ("line_forward", "line_backward")
    words: list[object] = [] if aggregation is None else ["AGGREGATION", aggregation, bucket_ms]
    words += ["FILTER", f"camera={schema.camera_id(camera)}", f"__name__=({','.join(labels)})"]
    filled: dict[int, list[float | None]] = {}
    for _, found, samples in samples_with_labels(client, start_ms, "+" if end_ms is None else end_ms, *words):
        kind, what = _COLUMNS[found["__name__"]]
        name = f"{kind}:{found.get(kind)}:{what}"
        if name in names:
            for at, value in samples:
                filled.setdefault(at, [None] * len(names))[names.index(name)] = value
    return filled
