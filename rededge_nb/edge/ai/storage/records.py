"""Models and scripts as they are stored, and the order in which a scan tells them."""

from __future__ import annotations

import functools
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.storage.hashes import MODEL, SCRIPT, Key
from rededge_nb.edge.ai.storage.scan_order import in_scan_order
from rededge_nb.edge.switchboard.calls import CommandError


@dataclass(frozen=True)
class Model:
    """What is stored of a model, apart from the counters of its runs."""

    backend: str
    """Upper case."""
    device: str
    """As the client spelled it."""
    tag: bytes
    batchsize: int
    minbatchsize: int
    minbatchtimeout: int
    """Milliseconds; 0 is for ever."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def fields(self, blob: bytes, digest: str) -> dict[str, str | bytes | int]:
        """The hash, with the blob and its digest."""
        return {
            "backend": self.backend,
            "device": self.device,
            "tag": self.tag,
            "batchsize": self.batchsize,
            "minbatchsize": self.minbatchsize,
            "minbatchtimeout": self.minbatchtimeout,
            "inputs": json.dumps(self.inputs),
            "outputs": json.dumps(self.outputs),
            "digest": digest,
            "generation": _new_generation(),
            "blob": blob,
        }


@dataclass(frozen=True)
class Script:
    """What is stored of a script, apart from the counters of its runs."""

    device: str
    """As the client spelled it."""
    tag: bytes
    entry_points: tuple[str, ...]
    """Functions that take (tensors, keys, args); none in a script of AI.SCRIPTSET."""
    source: bytes

    def fields(self) -> dict[str, str | bytes | int]:
        """The hash."""
        return {
            "device": self.device,
            "tag": self.tag,
            "entry_points": json.dumps(self.entry_points),
            "digest": hashes.digest_of(self.source),
            "generation": _new_generation(),
            "blob": self.source,
        }


MODEL_FIELDS = tuple(Model.__annotations__)
SCRIPT_FIELDS = ("device", "tag", "entry_points", "blob")


def get_model(client: redis.Redis, key: Key) -> Model:
    """What is stored of the model under a key, without its blob.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    return model_of(hashes.read(client, key, MODEL, MODEL_FIELDS))


def model_of(values: Sequence[bytes]) -> Model:
    """A model from the values of MODEL_FIELDS.

    Raises:
        CommandError: other hands wrote something else there.
    """
    return _model_of(tuple(values))


@functools.lru_cache(maxsize=256)
def _model_of(values: tuple[bytes, ...]) -> Model:
    backend, device, tag, *sizes, inputs, outputs = values
    if not all(size.isdigit() for size in sizes):
        raise CommandError(hashes.WRONG_TYPE)
    batchsize, minbatchsize, minbatchtimeout = (int(size) for size in sizes)
    return Model(
        backend=backend.decode("latin-1"),
        device=device.decode("latin-1"),
        tag=tag,
        batchsize=batchsize,
        minbatchsize=minbatchsize,
        minbatchtimeout=minbatchtimeout,
        inputs=tuple(hashes.json_list(inputs, str)),
        outputs=tuple(hashes.json_list(outputs, str)),
    )


def get_script(client: redis.Redis, key: Key) -> Script:
    """The script under a key.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    return script_of(hashes.read(client, key, SCRIPT, SCRIPT_FIELDS))


def script_of(values: Sequence[bytes]) -> Script:
    """A script from the values of SCRIPT_FIELDS.

    Raises:
        CommandError: other hands wrote something else there.
    """
    device, tag, entry_points, source = values
    return Script(device.decode("latin-1"), tag, tuple(hashes.json_list(entry_points, str)), source)


def scan(client: redis.Redis, kind: str) -> list[tuple[bytes, bytes]]:
    """Key and tag of every model, or every script, of the database.

    The keyspace itself is asked, so that deleted, renamed, copied and expired keys are told as they are. The order is
    that of RedisAI's one table of models and scripts.
    """
    found: dict[bytes, list[bytes | None]] = {}
    for keys in hashes.hash_keys(client):
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, ["ai", "tag", "generation"])
            replies = pipeline.execute(raise_on_error=False)
        for key, reply in zip(keys, replies, strict=True):
            # between SCAN and here a key may have become something else
            mark = reply[0] if isinstance(reply, list) else None
            found.update({key: reply} if mark in (MODEL.encode(), SCRIPT.encode()) else {})
    oldest_first = sorted(found, key=lambda key: (found[key][2] or b"", key))
    ordered = in_scan_order(oldest_first)
    return [(key, found[key][1] or b"") for key in ordered if found[key][0] == kind.encode()]


def _new_generation() -> str:
    """An id that every stored value gets of its own; it begins with the time."""
    return f"{time.time_ns():016x}-{secrets.token_hex(8)}"
