"""Cameras, detections and health as JSON."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import numpy as np
import redis
from redis.exceptions import NoPermissionError

from rededge_nb import schema, streams
from rededge_nb.control import provision
from rededge_nb.errors import ConfigurationError, GearError, MissingModuleError
from rededge_nb.monitoring.status import OK, count_workers, problems
from rededge_nb.reading import series
from rededge_nb.reading.detections import Detections, parse_detections
from rededge_nb.reading.events import silent_cameras
from rededge_nb.web.handlers import Handler

MAX_DETECTIONS = 1000


class CamerasHandler(Handler):
    """`/api/cameras`: every camera that is registered, has series or has frames."""

    async def get(self) -> None:
        """Answer with all cameras."""
        self.answer({"cameras": await self.from_redis(read_cameras)})


class DetectionsHandler(Handler):
    """`/api/detections`: a camera's newest detections, newest first."""

    async def get(self) -> None:
        """Answer with `count` of them."""
        camera = self.camera()
        count = self.checked(_count, self.argument("count", "10"))
        self.answer(await self.from_redis(lambda client: read_detections(client, camera, count)))


class HealthHandler(Handler):
    """`/healthz`: whether Redis answers, can write, and a worker serves it."""

    open_to_all = True

    async def get(self) -> None:
        """Answer 200 if everything works, 503 if not."""
        problem, workers, silent = await self.from_redis(read_health)
        self.set_status(503 if problem else 200)
        # anybody may ask, so that the answer has no names; a silent camera is no reason to start this server again
        self.answer({"status": problem or OK, "redis": True, "workers": workers, "silent_cameras": silent})

    def refuse(self, status: int, reason: str) -> None:
        """Answer in the same form if Redis does not answer. Anybody may ask, so the answer has no details."""
        if status not in (502, 503):
            super().refuse(status, reason)
            return
        self.set_status(503)
        self.answer({"status": "Redis does not answer", "redis": False, "workers": None, "silent_cameras": None})


def read_cameras(client: redis.Redis) -> list[dict[str, Any]]:
    """Every camera, ids that are numbers first."""
    registered = set(provision.known_cameras(client))
    found = registered | _with_frames(client)
    with contextlib.suppress(MissingModuleError):
        found |= set(series.camera_ids(client))
    ids = sorted(filter(_is_valid_id, found), key=lambda name: (not name.isdigit(), name.zfill(64)))
    seconds, _ = client.time()
    silent = silent_cameras(client, ids)
    return [
        {**_camera(client, each, registered=each in registered, now=seconds), "silent": each in silent} for each in ids
    ]


def read_detections(client: redis.Redis, camera: str, count: int) -> dict[str, Any]:
    """A camera's newest detections, and the number of malformed entries among them."""
    found, malformed = [], 0
    for entry in streams.entries(client, schema.detections_key(camera), count=count, newest_first=True):
        try:
            found.append(_as_json(parse_detections(camera, entry)))
        except GearError:
            malformed += 1
    return {"camera": camera, "detections": found, "malformed": malformed}


def read_health(client: redis.Redis) -> tuple[str, int | None, int]:
    """What does not work (empty if everything does), the number of workers (None if the server needs none), and that of
    cameras that are silent.
    """
    workers = count_workers(client)
    try:
        info = client.info("persistence", "memory")
    except NoPermissionError:
        info = {}
    silent = silent_cameras(client, provision.known_cameras(client))
    return "; ".join(problems(info, workers=workers)), workers, len(silent)


def _with_frames(client: redis.Redis) -> set[str]:
    keys = (key.decode(errors="replace") for key in client.scan_iter("camera:*", count=1000, _type="stream"))
    return {key.partition(":")[2] for key in keys if re.fullmatch(r"camera:[^:]+", key)}


def _is_valid_id(name: str) -> bool:
    try:
        return bool(schema.camera_id(name))
    except ConfigurationError:
        return False


def _camera(client: redis.Redis, camera: str, *, registered: bool, now: int) -> dict[str, Any]:
    key = schema.frames_key(camera)
    newest = streams.last_id(client, key)
    return {
        "id": camera,
        "registered": registered,
        "frames": client.xlen(key),
        "newest_frame": None if newest == "0-0" else newest,
        "seconds_since_frame": None if newest == "0-0" else max(0, now - streams.time_ms(newest) // 1000),
    }


def _as_json(found: Detections) -> dict[str, Any]:
    return {
        "id": found.entry_id,
        "ref": found.ref,
        "ts": found.ts_ms,
        **found.counted.fields,
        found.counted.series: found.people,
        "boxes": np.nan_to_num(found.xyxy).tolist(),
        "confidence": [_finite(value) for value in found.confidence.tolist()],
        "tracks": None if found.tracks is None else found.tracks.tolist(),
        "since": None if found.since_ms is None else found.since_ms.tolist(),
        "model": found.model,
        "ms": _finite(found.ms),
        "latency_ms": found.latency_ms,
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_DETECTIONS:
        raise ConfigurationError(f"count is {text[:20]!r}: take a whole number from 1 to {MAX_DETECTIONS}")
    return int(text)
