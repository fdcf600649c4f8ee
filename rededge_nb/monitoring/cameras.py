"""What `rededge cameras` shows: the cameras, what feeds each of them and since when, and their rates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.connection import shard_of
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import server_errors
from rededge_nb.monitoring.top import RecordingFigures, snapshot
from rededge_nb.reading.captures import CaptureRecord, current_capture
from rededge_nb.reading.series import camera_ids

_ANY_CAPTURE = schema.capture_key("x").replace("x", "*")
_COLUMNS = (("camera", 10), ("fps", 6), ("in/s", 6), ("out/s", 6), ("since", 19), ("by", 24))


@dataclass(frozen=True)
class CameraOverview:
    """One camera.

    Attributes:
        camera: Camera id.
        capture: The capture that feeds it; None if there is none.
        in_fps: Frames per second that the gear read over the last seconds.
        out_fps: Frames per second that it processed.
        problem: That the model saw too few frames to follow people, today or in the recording; empty if that was never
            so.
        recording: The recording that it was last fed with; None for a live source.
    """

    camera: str
    capture: CaptureRecord | None
    in_fps: float
    out_fps: float
    problem: str = ""
    recording: RecordingFigures | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        fed = None if self.capture is None else asdict(self.capture) | {"since": self.capture.since.isoformat()}
        recording = None if self.recording is None else asdict(self.recording)
        figures = {"in_fps": self.in_fps, "out_fps": self.out_fps, "problem": self.problem, "recording": recording}
        return {"camera": self.camera, "capture": fed, **figures}


def list_cameras(client: redis.Redis, *, window: int = 5) -> list[CameraOverview]:
    """The cameras that have series, that the gear is registered for, or that a capture feeds.

    Args:
        client: One from `connect`.
        window: Seconds that the rates of the gear cover.
    """
    with server_errors(client):
        fed = sorted(_camera_of(key) for key in client.scan_iter(match=_ANY_CAPTURE, count=1000))
        names = list(dict.fromkeys([*camera_ids(client), *known_cameras(client), *fed]))
    rates = {row.camera: row for row in snapshot(client, cameras=names, window=window)} if names else {}
    found = []
    for name in names:
        with shard_of(client, name) as there:
            capture = current_capture(there, name)
        row = rates[name]
        found.append(CameraOverview(name, capture, row.in_fps, row.out_fps, row.too_few_text, row.recording))
    return found


def as_table(cameras: Iterable[CameraOverview]) -> str:
    """Format the cameras as a table with one line for each."""
    lines = ["  ".join(f"{name:<{width}}" for name, width in _COLUMNS) + "  source"]
    for each in cameras:
        capture = each.capture
        cells = [each.camera, "-" if capture is None else f"{capture.fps:.1f}"]
        cells += [f"{each.in_fps:.1f}", f"{each.out_fps:.1f}"]
        if capture is None:
            cells += ["-", "-"]
            ended = each.recording
            source = f"(ended at {ended.position}: {ended.source})" if ended else "(no capture)"
        else:
            cells += [f"{capture.since:%Y-%m-%d %H:%M:%S}", f"process {capture.pid} on {capture.host}"]
            source = capture.source + (f", at {each.recording.position}" if each.recording else "")
            source += f": {capture.problem}" if capture.problem else ""
        texts = (f"{cell:<{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
        problem = f"; {each.problem}" if each.problem else ""
        lines.append("  ".join(texts) + f"  {source}{problem}")
    if len(lines) == 1:
        lines.append("no camera is known yet: run `rededge init`, then `rededge capture SOURCE`")
    return "\n".join(lines)


def _camera_of(key: bytes | str) -> str:
    text = key.decode() if isinstance(key, bytes) else key
    return text.removeprefix(schema.frames_key("x")[:-1]).removesuffix(":capture")
