"""What is fuzzed against, and what is counted."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil
import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance

PATIENCE = 60.0
"""Seconds without an answer that count as a hang."""
SIGNS_OF_A_MISHAP = ("Traceback", 'File "', "failed inside the worker", "WORKERLOST", "REDIS BUG REPORT")
MISHAPS_SHOWN = 40


@dataclass
class Tally:
    """How one kind of input went."""

    inputs: int = 0
    refused: int = 0
    mishaps: list[str] = field(default_factory=list)

    def taken(self) -> None:
        """Count an input that had a reply."""
        self.inputs += 1

    def refuse(self, error: object, what: object) -> None:
        """Count an input that had an error; one that is empty, of several lines or a traceback is a mishap."""
        self.inputs += 1
        self.refused += 1
        text = str(error)
        if not text.strip() or "\n" in text or any(sign in text for sign in SIGNS_OF_A_MISHAP):
            self.mishap(f"{what!r:.300}: {type(error).__name__}: {text!r:.500}")

    def mishap(self, what: str) -> None:
        """Note what should not have happened."""
        self.mishaps.append(what)


@dataclass
class World:
    """A running RedisEdge with the people counter for camera `fuzz`, and a folder for files."""

    instance: Instance
    folder: Path
    rng: random.Random

    def client(self) -> redis.Redis:
        """The owner's client; replies come as they are."""
        client = client_from_url(self.instance.url)
        client.connection_pool.connection_kwargs["socket_timeout"] = PATIENCE
        client.response_callbacks.clear()
        return client

    def processes(self) -> set[int]:
        """Ids of Redis and the workers."""
        return {child.pid for child in psutil.Process(self.instance.pid).children()}


def unheard_of(value: object) -> NoReturn:
    """End a fuzzer that has met something it was not written for."""
    raise AssertionError(f"the fuzzer cannot judge {value!r}")


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Data with a few bytes changed, cut, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 1, 2, 4, 16, 200))
        match rng.randrange(6):
            case 0 | 1:
                changed[at : at + length] = rng.randbytes(min(length, len(changed) - at))
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case 4:
                changed[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
            case _:
                del changed[at:]
        if not changed:
            break
    return bytes(changed)
