"""A simulated camera: visitors of a shop over days, from a seed. With it questions about weeks can be tried.

Visitors come in at the lower edge, cross the line `door`, walk to the `desk` or to the `shelf`, stay a while, and leave
through the door or over the line `side`. How many come depends on the hour and the day of the week. Everything that the
people counter would write about them is written, except frames and detections.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.scenes import save_scene
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import ConfigurationError
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.series import create_series
from rededge_nb.time_zones import local_time, midnight_ms

SCENE = (
    Scene()
    .with_line("door", (0.15, 0.8), (0.6, 0.8), forward="out", backward="in")
    .with_line("side", (0.85, 0.2), (0.85, 0.9), forward="back", backward="away")
    .with_zone("desk", [(0.15, 0.25), (0.4, 0.25), (0.4, 0.55), (0.15, 0.55)])
    .with_zone("shelf", [(0.5, 0.2), (0.75, 0.2), (0.75, 0.5), (0.5, 0.5)])
)

_HOURS = np.array([0, 0, 0, 0, 0, 0, 1, 4, 9, 12, 15, 22, 30, 24, 16, 15, 18, 27, 34, 22, 8, 2, 0, 0], float)
"""Visitors in each hour of a usual weekday, on average."""
_DAYS = np.array([0.8, 0.8, 0.9, 1.0, 1.3, 1.7, 0.25])
"""How busy the days of the week are, from Monday."""
_ZONES = {"desk": ((0.15, 0.4), (0.25, 0.55)), "shelf": ((0.5, 0.75), (0.2, 0.5))}
_DOOR_Y, _SIDE_X = 0.8, 0.85
_MADD_SAMPLES = 2000
_BATCH = 20
"""Commands that are sent at once."""


@dataclass(frozen=True)
class Simulation:
    """Visitors of some days.

    Attributes:
        start_ms: When the first day begins.
        end_ms: When the last day ends.
        times_ms: int64 of shape (n, 4): when each visitor comes in, arrives at the place, leaves it, and goes out.
        points: float64 of shape (n, 4, 2): where they are then, from 0 to 1 of the frame.
        at_desk: Whether the place of the visitor is the desk; otherwise the shelf.
        by_side: Whether they go out over the line `side`; otherwise through the door.
    """

    start_ms: int
    end_ms: int
    times_ms: NDArray[np.int64]
    points: NDArray[np.float64]
    at_desk: NDArray[np.bool_]
    by_side: NDArray[np.bool_]

    def crossings(self, line: str, direction: str) -> NDArray[np.int64]:
        """Times of the crossings of a line in a direction, `forward` or `backward`, in milliseconds."""
        if (line, direction) == ("door", "backward"):
            return self._crossed(0, 1, _DOOR_Y, np.ones(len(self.times_ms), bool))
        if (line, direction) == ("door", "forward"):
            return self._crossed(2, 1, _DOOR_Y, ~self.by_side)
        if (line, direction) == ("side", "backward"):
            return self._crossed(2, 0, _SIDE_X, self.by_side)
        return np.empty(0, np.int64)

    def stays(self, zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When visitors came into a zone and left it, in milliseconds."""
        own = self.at_desk if zone == "desk" else ~self.at_desk
        box = np.array(_ZONES[zone])
        inside, times = self.points[own][:, 1], self.times_ms[own]
        way_in = _share_outside(inside, self.points[own][:, 0], box)
        way_out = _share_outside(inside, self.points[own][:, 3], box)
        entered = times[:, 1] - (way_in * (times[:, 1] - times[:, 0])).astype(np.int64)
        left = times[:, 2] + (way_out * (times[:, 3] - times[:, 2])).astype(np.int64)
        return entered, left

    def _crossed(self, leg: int, axis: int, at: float, who: NDArray[np.bool_]) -> NDArray[np.int64]:
        a, b = self.points[who, leg, axis], self.points[who, leg + 1, axis]
        began, ended = self.times_ms[who, leg], self.times_ms[who, leg + 1]
        crossed: NDArray[np.int64] = began + ((at - a) / (b - a) * (ended - began)).astype(np.int64)
        return crossed


def simulate(start_ms: int, days: int, *, seed: int = 1, zone: ZoneInfo) -> Simulation:
    """Visitors of some days, the same ones for the same seed.

    Args:
        start_ms: A moment of the first day, in milliseconds since the epoch.
        days: Number of days.
        seed: Chooses the visitors.
        zone: Time zone in which the shop opens and closes.
    """
    random = np.random.default_rng(seed)
    first = local_time(start_ms, zone).date()
    midnights = [midnight_ms(first + timedelta(days=day), zone) for day in range(days + 1)]
    arrivals = []
    for midnight, next_midnight in pairwise(midnights):
        for hour_ms in range(midnight, next_midnight, 3_600_000):
            local = local_time(hour_ms, zone)
            visitors = random.poisson(_HOURS[local.hour] * _DAYS[local.weekday()])
            arrivals.append(hour_ms + random.integers(0, 3_600_000, visitors))
    came = np.sort(np.concatenate(arrivals)).astype(np.int64)
    count = len(came)
    at_desk, by_side = random.random(count) < 0.4, random.random(count) < 0.3
    desk, shelf = (np.array(_ZONES[name]) for name in ("desk", "shelf"))
    low = np.where(at_desk[:, None], desk[:, 0], shelf[:, 0])
    high = np.where(at_desk[:, None], desk[:, 1], shelf[:, 1])
    place = low + (high - low) * random.beta(3, 3, (count, 2))
    enter = np.stack([random.uniform(0.2, 0.5, count), np.full(count, 0.98)], 1)
    door = np.stack([random.uniform(0.2, 0.5, count), np.full(count, 0.98)], 1)
    side = np.stack([np.full(count, 0.99), random.uniform(0.45, 0.7, count)], 1)
    leave = np.where(by_side[:, None], side, door)
    stay_s = random.lognormal(np.where(at_desk, np.log(75), np.log(35)), 0.7)
    walk_s = random.uniform(5, 9, (count, 2))
    steps_ms = np.stack([walk_s[:, 0], stay_s, walk_s[:, 1]], 1) * 1000
    times = came[:, None] + np.concatenate([np.zeros((count, 1)), np.cumsum(steps_ms, 1)], 1).astype(np.int64)
    inside = times[:, 3] < midnights[-1]
    points = np.stack([enter, place, place, leave], 1)
    return Simulation(midnights[0], midnights[-1], times[inside], points[inside], at_desk[inside], by_side[inside])


def write_simulation(client: redis.Redis, camera: object, simulation: Simulation, *, step_s: int = 1) -> int:
    """Write everything about simulated visitors under a camera id, in place of an earlier simulation.

    Args:
        client: Connected to the server.
        camera: Camera id.
        simulation: The visitors.
        step_s: Seconds between two samples of how many people are in view; crossings and stays have their own times.

    Returns:
        Number of samples.

    Raises:
        ConfigurationError: the camera has frames, so it is a real one; or the model in use does not count people.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    key, counted = schema.frames_key(camera), counted_now(client)
    if not counted.is_people:
        raise ConfigurationError(
            f"the visitors of the simulation are people, but the model in use counts {counted.plural}, so nothing of "
            "it would be shown: choose a model that counts people, such as with `rededge models load --use`"
        )
    with server_errors(client):
        if client.exists(key, schema.detections_key(camera)):
            raise ConfigurationError(
                f"camera {camera} has frames or detections: write a simulation to another id, such as 'simulated'"
            )
        for name in client.scan_iter(match=f"{key}:*", count=1000):
            client.delete(name)
    create_series(client, camera)
    save_scene(client, camera, SCENE, version=None)
    count = 0
    with server_errors(client), client.pipeline(transaction=False) as pipeline:
        for at, words in enumerate(_commands(key, simulation, 1000 * step_s), 1):
            count += (len(words) - 1) // 3 if words[0] == "TS.MADD" else 0
            pipeline.execute_command(*words)
            if at % _BATCH == 0:
                pipeline.execute()
        pipeline.execute()
    return count


def _commands(key: str, simulation: Simulation, step_ms: int) -> Iterator[tuple[Any, ...]]:
    times = np.arange(simulation.start_ms, simulation.end_ms, step_ms)
    came, went = simulation.times_ms[:, 0], simulation.times_ms[:, 3]
    yield from _samples(f"{key}:{schema.PEOPLE}", times, _present(times, came, went))
    yield from _samples(f"{key}:{schema.SEEN}", *_by_second(came))
    for line in SCENE.lines:
        for direction in ("forward", "backward"):
            crossed = np.sort(simulation.crossings(line.name, direction))
            yield from _samples(f"{key}:line:{line.name}:{direction}", *_by_second(crossed))
    for zone in SCENE.zones:
        entered, left = simulation.stays(zone.name)
        yield from _samples(f"{key}:zone:{zone.name}:people", times, _present(times, entered, left))
        order = np.argsort(left, kind="stable")
        yield from _samples(f"{key}:zone:{zone.name}:dwell", left[order], (left - entered)[order] / 1000)
    yield from _tracks(key, simulation)


def _samples(key: str, times: NDArray[np.int64], values: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(times), _MADD_SAMPLES):
        part = slice(first, first + _MADD_SAMPLES)
        words: list[Any] = ["TS.MADD"]
        for at, value in zip(times[part].tolist(), values[part].tolist(), strict=True):
            words += (key, at, value)
        yield tuple(words)


def _present(times: NDArray[np.int64], came: NDArray[np.int64], went: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are there at each time."""
    return np.searchsorted(np.sort(came), times, "right") - np.searchsorted(np.sort(went), times, "right")


def _by_second(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    seconds, counts = np.unique(times // 1000 * 1000, return_counts=True)
    return seconds, counts


def _tracks(key: str, simulation: Simulation) -> Iterator[tuple[Any, ...]]:
    """The visitors as entries of the stream of tracks, in the order in which they leave."""
    for row in np.argsort(simulation.times_ms[:, 3], kind="stable").tolist():
        times, points = simulation.times_ms[row].tolist(), simulation.points[row].round(4).tolist()
        path = json.dumps([[at, *point] for at, point in zip(times, points, strict=True)])
        fields = (schema.TRACK, row + 1, schema.FIRST, times[0], schema.LAST, times[-1], schema.PATH, path)
        yield ("XADD", f"{key}:tracks", "*", *fields)


def _share_outside(
    inside: NDArray[np.float64], outside: NDArray[np.float64], box: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much of the way from a point inside a rectangle to one outside is inside it."""
    way = outside - inside
    edge = np.where(way > 0, box[:, 1], box[:, 0])
    shares: NDArray[np.float64] = np.min(
        np.where(way == 0, np.inf, (edge - inside) / np.where(way == 0, 1, way)), axis=1
    )
    return shares
