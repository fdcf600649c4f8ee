"""Makes a clip: the video of what a camera saw around an event."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.clips.encoding import Video, write_mp4
from rededge_nb.clips.frames import DetectionFinder, Moment, frames_around
from rededge_nb.connection import shard_of
from rededge_nb.display.drawing import draw_detections
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import Image
from rededge_nb.reading.events import Event

BEFORE, AFTER = 5.0, 5.0
"""Seconds before and after an event."""
MAX_SECONDS = 600.0
"""Length of a clip, at most."""

_END_OF_TIMES = 10**14


@dataclass(frozen=True)
class Clip:
    """A video clip. A notebook plays it.

    Attributes:
        camera: Camera id.
        video: Its frames, start, duration and size.
        mp4: The MP4 file: H.264, which browsers play.
    """

    camera: str
    video: Video
    mp4: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the MP4 file; returns its path."""
        file = Path(path)
        file.write_bytes(self.mp4)
        return file

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        width = min(self.video.size_wh[0], 960)
        source = f"data:video/mp4;base64,{base64.b64encode(self.mp4).decode()}"
        player = f'<video controls muted playsinline width="{width}" style="max-width:100%" src="{source}"></video>'
        return {"text/plain": repr(self), "text/html": player}

    def __repr__(self) -> str:
        video = self.video
        width, height = video.size_wh
        return (
            f"<Clip of camera {self.camera}: {video.frames} frames, {video.duration_ms / 1000:.1f} s, "
            f"{width}x{height} pixels, {len(self.mp4) / 1000:.0f} kB>"
        )


def make_clip(
    client: redis.Redis,
    camera: object,
    when: Event | int | datetime | np.datetime64,
    *,
    before: float = BEFORE,
    after: float = AFTER,
    boxes: bool = True,
    max_width: int | None = None,
) -> Clip:
    """The video from `before` seconds before an event or a time until `after` seconds after it.

    Each frame is shown as long as it was the newest one, so the speed is right where frames were dropped, too. With
    boxes, frames that the gear left out are not in the clip. Frames that are yet to come are awaited.

    Args:
        client: Connected to the server.
        camera: Camera id.
        when: An event, or a time: milliseconds since the epoch, or a datetime.
        before: Seconds.
        after: Seconds.
        boxes: Whether the boxes, tracks and trails are drawn.
        max_width: Wider frames are made smaller.

    Raises:
        NoDataError: the frames are not in the stream (any more).
        ConfigurationError: the length or the time cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="rededge-clip-") as folder:
        file = Path(folder) / "clip.mp4"
        video = write_clip(
            file, client, camera, moment_of(when), before=before, after=after, boxes=boxes, max_width=max_width
        )
        return Clip(schema.camera_id(camera), video, file.read_bytes())


def write_clip(
    file: Path,
    client: redis.Redis,
    camera: object,
    moment: Moment,
    *,
    before: float = BEFORE,
    after: float = AFTER,
    boxes: bool = True,
    max_width: int | None = None,
) -> Video:
    """As `make_clip`, into a file."""
    if not (before >= 0 and after >= 0 and 0 < before + after <= MAX_SECONDS):
        raise ConfigurationError(
            f"before is {before!r} and after {after!r}: a clip has 0 or more seconds before and after, and at most "
            f"{MAX_SECONDS:g} altogether"
        )
    name = schema.camera_id(camera)
    if moment.camera not in ("", name):
        raise ConfigurationError(f"the event is one of camera {moment.camera}, and not of camera {name}")
    with shard_of(client, name) as shard:
        frames = frames_around(shard, name, moment, before=before, after=after)
        finder = DetectionFinder(shard, name) if boxes else None
        images = _images(frames, finder)
        return write_mp4(file, images, max_width=max_width)


def moment_of(when: Event | int | datetime | np.datetime64) -> Moment:
    """The moment that a clip is about."""
    if isinstance(when, Event):
        # a camera that is silent has no frame of that time, only of the time before
        since = when.since_ms if when.kind == "camera_silent" else None
        return Moment(when.ts_ms if since is None else since, when.ref, when.camera)
    ts_ms = None
    if isinstance(when, datetime):
        ts_ms = round(when.timestamp() * 1000)
    elif isinstance(when, np.datetime64):
        ts_ms = int(when.astype("datetime64[ms]").astype(np.int64))
    elif isinstance(when, int):
        ts_ms = when
    if ts_ms is None or not 0 <= ts_ms < _END_OF_TIMES:
        raise ConfigurationError(
            f"{when!r} is no time: give an event, milliseconds since 1970 as a whole number, or a datetime"
        )
    return Moment(ts_ms)


def _images(frames: Iterator[Any], finder: DetectionFinder | None) -> Iterator[tuple[int, Image]]:
    for frame in frames:
        found = finder.of(frame) if finder is not None else None
        if finder is not None and found is None and finder.near(frame):
            continue
        try:
            image = frame.image()
        except SourceError:  # one damaged frame must not prevent the clip
            continue
        if found is not None:
            detections, trails = found
            image = draw_detections(image, detections, trails=trails)
        yield frame.ts_ms, image
