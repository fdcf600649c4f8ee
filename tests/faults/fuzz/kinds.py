"""The kinds of input, and how much of all input each is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from rededge_nb.edge.server.state import Instance
from tests.faults.fuzz.commands import ai_kind, keys_kind, rg_kind
from tests.faults.fuzz.decoding import decoding_kind
from tests.faults.fuzz.files import video_kind, yaml_kind
from tests.faults.fuzz.frames import frames_kind
from tests.faults.fuzz.parameters import parameters_kind
from tests.faults.fuzz.switchboard import switchboard_kind
from tests.faults.fuzz.web import http_kind, websocket_kind
from tests.faults.fuzz.world import Tally, World

Kind = Callable[[World, int, Tally], None]

KINDS: dict[str, tuple[int, Kind]] = {
    "frames": (13, frames_kind),
    "ai": (17, ai_kind),
    "rg": (10, rg_kind),
    "keys": (12, keys_kind),
    "switchboard": (13, lambda world, count, tally: switchboard_kind(world.rng, count, tally)),
    "http": (8, http_kind),
    "websocket": (8, websocket_kind),
    "parameters": (3, parameters_kind),
    "yaml": (8, yaml_kind),
    "video": (3, video_kind),
    "decoding": (5, decoding_kind),
}


def run(name: str, instance: Instance, folder: Path, count: int, *, seed: int = 1) -> Tally:
    """Try so many inputs of one kind; what they are depends on kind and seed alone."""
    tally = Tally()
    KINDS[name][1](World(instance, folder, random.Random(f"{name} {seed}")), count, tally)
    return tally
