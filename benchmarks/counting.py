"""A server of the benchmark's own, which counts people."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from rededge_nb import settings
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import StateFolder

WARM_UP = 20
"""Frames before anything is measured."""


@contextmanager
def counting_server(pictures: Path, cameras: Sequence[str] = ("0",)) -> Iterator[redis.Redis]:
    """A server whose gear has counted a few frames of each camera; stopped at the end."""
    with own_server() as client:
        provision(client, cameras=cameras)
        for camera in cameras:
            capture(client, pictures, camera=camera, pace="asap", frames=WARM_UP, loop=True)
        yield client


@contextmanager
def own_server() -> Iterator[redis.Redis]:
    """An empty server, stopped at the end, and even if this process is killed."""
    with tempfile.TemporaryDirectory(prefix="rededge-") as name, settings.state_dir_set_to(Path(name)):
        folder = StateFolder(Path(name))
        folder.create()
        try:
            with folder.use():
                client = client_from_url(server.start(folder.path, while_used=True).url)
                yield client
                client.close()
        finally:
            server.stop(folder.path)


def in_turn(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run the sides in turn, so that a noisy machine disturbs all alike; what each gave, round by round."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        # every other round backwards: none always comes after the same other
        for name in list(sides)[:: -1 if number % 2 else 1]:
            found[name].append(sides[name]())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
