"""What notebooks, the pipeline and `%%gear` hand on: options of captures, camera ids, sources, thresholds."""

from __future__ import annotations

import random
import threading
from typing import Any

from rededge_nb import schema
from rededge_nb.capture.run import capture
from rededge_nb.capture.sources import open_source
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import RedEdgeError
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.frames import latest_frame, read_frame
from rededge_nb.reading.series import read_series
from tests.faults.fuzz.world import Tally, World

TEXTS = (
    "",
    "0",
    "fuzz",
    "a b",
    "x" * 65,
    "camera:0",
    "*",
    "\0",
    "'); import os",
    "../..",
    "nan",
    "1e9",
    "-1",
    "{",
    "é",
)
NUMBERS = (0, 1, -1, 0.5, 1e308, float("nan"), float("inf"), -0.0, 10**30, 2**63, 1e-300)
SOURCES = ("synthetic:frames=2", "synthetic:people=1,frames=1", "synthetic:", "synthetic:fps=0", "synthetic:size=0x0")
SOURCES += (
    "synthetic:size=99999x99999",
    "nowhere.mp4",
    "/",
    "rtsp://",
    "http://[",
    "file:///etc/passwd",
    "99",
    "*.jpg",
)
OPTIONS = ("fps", "seconds", "frames", "loop", "flip", "size", "mjpeg", "pace", "quality", "max_age", "max_bytes")
OPTIONS += ("window", "stall_timeout", "camera")
ODD: tuple[Any, ...] = (*TEXTS, *NUMBERS, None, True, "640x480", "0x0", (640, 480), (0, 0), [], "asap", "realtime")


def parameters_kind(world: World, count: int, tally: Tally) -> None:
    """Every value is used, or refused with an error of ours that says what is wrong with it."""
    client = client_from_url(world.instance.url)
    rng = world.rng
    calls = (
        lambda value: capture_with(client, rng, value),
        lambda value: open_source(rng.choice((value, *SOURCES)), fps=value, size=rng.choice((None, "640x480"))).close(),
        lambda value: schema.camera_id(value),
        lambda value: latest_frame(client, value),
        lambda value: read_frame(client, "fuzz", str(value)),
        lambda value: read_detections(client, value, start=str(rng.choice(TEXTS)), count=3),
        lambda value: read_series(client, "fuzz", str(value)),
    )
    for _ in range(count):
        value = rng.choice(ODD)
        try:
            rng.choice(calls)(value)
            tally.taken()
        except RedEdgeError as error:
            tally.refuse(error, value)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.inputs += 1
            tally.mishap(f"{value!r:.100}: {type(error).__name__}: {error!s:.200}")


def capture_with(client: Any, rng: random.Random, value: Any) -> None:
    options: dict[str, Any] = {rng.choice(OPTIONS): value}
    if rng.random() < 0.3:
        options[rng.choice(OPTIONS)] = rng.choice(ODD)
    options = {"camera": "fuzz", "frames": 2, "seconds": 1.0, "stall_timeout": 5.0} | options
    stop = threading.Timer(10, lambda: stopped.set())
    stopped = threading.Event()
    stop.start()
    try:
        capture(client, rng.choice(SOURCES[:5]), stop=stopped, **options)
    finally:
        stop.cancel()
