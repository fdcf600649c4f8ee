"""Frames per second of the whole pipeline against the bare loop, and with a viewer against what one would do instead.

The same JPEG frames for all, as fast as they are taken. `asap` capture of a folder hands JPEG on as it is; from the
video it also decodes and encodes each frame, on the same cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks.bare import BareLoop, sample_jpegs, write_pictures
from benchmarks.counting import counting_server, in_turn, ratio
from benchmarks.flask_loop import flask_loop
from benchmarks.rows import Row
from benchmarks.viewers import watching
from benchmarks.web import TOKEN, serving
from rededge_nb import assets, schema, settings
from rededge_nb.capture.run import capture
from rededge_nb.capture.sources import open_source
from rededge_nb.control.gears import register_gear
from rededge_nb.edge import server

FRAMES = 40
STARTS = 4
"""How often server and bare loop are started: their place in memory changes the result by a percent."""
ROUNDS = 5
WATCHED_ROUNDS = 5
MIN_SHARE = 0.86
"""The bar: frames per second of the pipeline, as a share of those of the bare loop."""
SEED_CAMERA = "seed"


def measure(
    frames: int = FRAMES, starts: int = STARTS, rounds: int = ROUNDS, watched_rounds: int = WATCHED_ROUNDS
) -> list[Row]:
    """Ratios of frames per second, medians over the rounds of all starts."""
    jpegs = sample_jpegs(frames)
    alone: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        pictures = write_pictures(jpegs, Path(name) / "pictures")
        for _ in range(starts):
            bare = _warm_loop(jpegs)
            with counting_server(pictures) as client:
                for side, seconds in in_turn(_alone(client, bare, jpegs, pictures), rounds).items():
                    alone.setdefault(side, []).extend(seconds)
        bare = _warm_loop(jpegs)
        with counting_server(pictures) as client:
            sides = {"bare": lambda: sum(bare.seconds(jpegs))} | dict(_watched(client, pictures, frames))
            watched = in_turn(sides, watched_rounds)
    return [
        Row("bare loop", len(alone["bare"]) * frames / sum(alone["bare"]), "frames/s"),
        Row("pipeline, asap, against the bare loop", ratio(alone["bare"], alone["pipeline"]), "x", MIN_SHARE, "more"),
        Row("the same from the video", ratio(alone["bare"], alone["video"]), "x"),
        Row("pipeline and `rededge web` with a viewer", ratio(watched["bare"], watched["pipeline"]), "x"),
        Row("instead: one OpenCV and Flask process, a viewer", ratio(watched["bare"], watched["flask"]), "x"),
        Row("instead: the seed's recipe, a viewer", ratio(watched["bare"], watched["seed"]), "x"),
    ]


def _warm_loop(jpegs: list[bytes]) -> BareLoop:
    loop = BareLoop()
    loop.seconds(jpegs)
    return loop


def _alone(client: redis.Redis, bare: BareLoop, jpegs: list[bytes], pictures: Path) -> dict[str, Callable[[], float]]:
    """The sides without a viewer."""
    frames = len(jpegs)
    return {
        "bare": lambda: sum(bare.seconds(jpegs)),
        "pipeline": lambda: captured(client, pictures, frames),
        "video": lambda: captured(client, assets.sample_video(), frames),
    }


def captured(client: redis.Redis, source: Path, frames: int, *, camera: str = "0") -> float:
    """Seconds from the first frame to the last answer."""
    with open_source(source) as opened:
        began = time.perf_counter()
        capture(client, opened, camera=camera, pace="asap", frames=frames)
        return time.perf_counter() - began


def _watched(client: redis.Redis, pictures: Path, frames: int) -> Iterator[tuple[str, Callable[[], float]]]:
    """The sides with a viewer. Each starts what it needs and ends it, since the seed's server never rests."""
    instance = server.find(settings.state_dir())
    assert instance is not None
    register_seed(client)
    captured(client, pictures, frames, camera=SEED_CAMERA)

    def pipeline() -> float:
        with serving(instance.url) as (_, port), watching(port, f"/video?camera=0&token={TOKEN}"):
            return captured(client, pictures, frames)

    def flask() -> float:
        with flask_loop(pictures) as loop, watching(loop.port, "/video"):
            loop.seconds(frames // 4)
            return loop.seconds(frames)

    def seed() -> float:
        with seed_server(instance.tcp_url) as port, watching(port, "/video"):
            return captured(client, pictures, frames, camera=SEED_CAMERA)

    yield from {"pipeline": pipeline, "flask": flask, "seed": seed}.items()


def register_seed(client: redis.Redis) -> None:
    """Register the seed's recipe for a camera of its own."""
    register_gear(client, Path(__file__).with_name("seed_gear.py").read_text(), session="seed")


@contextmanager
def seed_server(url: str) -> Iterator[int]:
    """Run the video server of the original showcase, which draws every image again for each viewer; yields its port."""
    camera = schema.frames_key(SEED_CAMERA)
    command = [sys.executable, "-m", "tests.seed.server", camera, schema.detections_key(SEED_CAMERA), "-u", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
