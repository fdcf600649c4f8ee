"""The captures of a camera: the one that feeds it now, and those that have ended.

The capture that feeds a camera holds the lease `camera:<id>:capture`, which describes it and is renewed every second.
When it ends, it adds the same description to the stream `camera:<id>:captures`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import redis

from rededge_nb import schema, streams
from rededge_nb.edge.client import server_errors
from rededge_nb.lease import Holder, ask_to_stop, read_holder

KEPT = 1000
"""Captures of a camera that are remembered after their end."""


@dataclass(frozen=True)
class CaptureRecord:
    """A capture, as it describes itself.

    Attributes:
        capture: Its id, which its frames carry.
        camera: Camera id.
        source: What it captures, in words; without credentials.
        pace: `realtime` or `asap`.
        yields: Whether any other capture may take its place.
        run: Id of the pipeline run that it belongs to; empty if it belongs to none.
        host: Name of the machine.
        pid: Process id there.
        started_ms: When it began, by the server's clock, in milliseconds since the epoch.
        ended_ms: When it ended; 0 while it runs.
        frames: Frames that it has added.
        fps: Frames that it added in each of the last seconds.
        skipped: Frames that it has left out.
        refused: Frames that the gear could not process.
        last_count: Number of its last frame.
        first_ms: Time of its first frame, in milliseconds since the epoch: that of a recording, if it has one.
        last_ms: Time of its last frame.
        start_ms: When the recording began, if its frames have the times of a recording; otherwise 0.
        content_id: Tells a recording from others; empty where it is not known.
        first_id: Entry id of its first frame; empty without frames.
        last_id: Entry id of its last frame.
        problem: Why it adds no frames at the moment, or the error that ended it; empty when all is well.
        ended_by: Why somebody else has ended it; empty if nobody has.
        stop: Why somebody has asked it to end; empty if nobody has.
    """

    capture: str
    camera: str
    source: str = ""
    pace: str = ""
    yields: bool = False
    run: str = ""
    host: str = ""
    pid: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    frames: int = 0
    fps: float = 0.0
    skipped: int = 0
    refused: int = 0
    last_count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    start_ms: int = 0
    content_id: str = ""
    first_id: str = ""
    last_id: str = ""
    problem: str = ""
    ended_by: str = ""
    stop: str = field(default="", repr=False)

    @property
    def since(self) -> datetime:
        """When it began, in local time."""
        return datetime.fromtimestamp(self.started_ms / 1000, UTC).astimezone()

    @property
    def running(self) -> bool:
        """Whether it feeds the camera now."""
        return not self.ended_ms

    def as_fields(self) -> dict[str, str]:
        """What it says about itself, as texts. Whether it shall stop is for others to say, and not among them."""
        return {name: str(value) for name, value in asdict(self).items() if name != "stop"}

    def __str__(self) -> str:
        return f"{self.source} (process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S})"


def current_capture(client: redis.Redis, camera: object) -> CaptureRecord | None:
    """The capture that feeds a camera; None if there is none."""
    with server_errors(client):
        holder = read_holder(client, schema.capture_key(camera))
    return None if holder is None else _of_holder(holder, schema.camera_id(camera))


def ended_captures(client: redis.Redis, camera: object) -> list[CaptureRecord]:
    """The captures of a camera that have ended, the newest first."""
    found = streams.entries(client, schema.captures_key(camera), newest_first=True)
    return [_of_entry(each) for each in found]


def newest_captures(client: redis.Redis, camera: object, *, count: int) -> list[CaptureRecord]:
    """The capture that feeds a camera, if there is one, and those that have ended last; `count` at most."""
    current = current_capture(client, camera)
    found = streams.entries(client, schema.captures_key(camera), count=count, newest_first=True)
    return [*([current] if current else []), *(_of_entry(each) for each in found)][:count]


def captures_ended_since(client: redis.Redis, camera: object, since_ms: int, *, count: int) -> list[CaptureRecord]:
    """The captures of a camera that have ended since a time of the server's clock, oldest first; `count` at most."""
    found = streams.entries(client, schema.captures_key(camera), start=str(since_ms), count=count)
    return [_of_entry(each) for each in found]


def newest_capture(client: redis.Redis, camera: object) -> CaptureRecord | None:
    """The capture that feeds a camera, or else the last one that has ended; None if there is none."""
    return next(iter(newest_captures(client, camera, count=1)), None)


def find_captures(
    client: redis.Redis, camera: object, *, ids: Iterable[str] = (), run: str = ""
) -> list[CaptureRecord]:
    """The captures of a camera with these ids, and those of a pipeline run, oldest first."""
    wanted = set(ids)
    current = current_capture(client, camera)
    known = [*reversed(ended_captures(client, camera)), *([current] if current else [])]
    found = {each.capture: each for each in known if each.capture in wanted or (run and each.run == run)}
    return list(found.values())


def stop_capture(client: redis.Redis, camera: object, words: str) -> bool:
    """Ask the capture that feeds a camera to end, which it does within some seconds; False if there is none.

    Args:
        client: A client of the server.
        camera: Camera id.
        words: Who asks, and why.
    """
    with server_errors(client):
        return ask_to_stop(client, schema.capture_key(camera), words)


def _of_holder(holder: Holder, camera: str) -> CaptureRecord:
    known = {"capture": holder.id, "camera": camera, "host": holder.host, "pid": str(holder.pid)}
    return _of_texts({**holder.details, **known, "started_ms": str(holder.since_ms), "stop": holder.stop})


def _of_entry(entry: streams.Entry) -> CaptureRecord:
    return _of_texts({name.decode(): value.decode(errors="replace") for name, value in entry[1].items()})


def _of_texts(texts: Mapping[str, str]) -> CaptureRecord:
    values: dict[str, Any] = {"capture": "", "camera": ""}
    for each in fields(CaptureRecord):
        if each.name in texts:
            values[each.name] = _value(each.name, texts[each.name], each.type)
    return CaptureRecord(**values)


def _value(name: str, text: str, kind: Any) -> Any:
    """What a text means; 0 or nothing where it means nothing, as another client may have written it."""
    if kind == "bool":
        return text == "True"
    if kind == "str":
        return text if name not in ("first_id", "last_id") or streams.is_id(text) else ""
    if kind == "int":
        return int(text) if re.fullmatch("[0-9]{1,13}", text) else 0
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
