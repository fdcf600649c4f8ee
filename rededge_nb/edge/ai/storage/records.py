"""The fields of stored models and scripts, and listing what is stored."""

from __future__ import annotations

import functools
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.storage.hashes import KIND, MODEL, SCRIPT, Key
from rededge_nb.edge.ai.storage.scan_order import in_scan_order
from rededge_nb.edge.switchboard.calls import CommandError


@dataclass(frozen=True)
class ModelRecord:
    """A stored model, without its blob and the counters of its runs."""

    backend: str
    """Upper case."""
    device: str
    """As the client spelled it."""
    tag: bytes
    batchsize: int
    minbatchsize: int
    minbatchtimeout: int
    """Milliseconds; 0 means without limit."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def fields(self, blob: bytes, digest: str) -> dict[str, str | bytes | int]:
        """All fields of the hash; `digest` is that of the blob."""
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
class ScriptRecord:
    """A stored script, without the counters of its runs."""

    device: str
    """As the client spelled it."""
    tag: bytes
    entry_points: tuple[str, ...]
    """Functions with the arguments (tensors, keys, args). A script of AI.SCRIPTSET has none."""
    source: bytes

    def fields(self) -> dict[str, str | bytes | int]:
        """All fields of the hash."""
        return {
            "device": self.device,
            "tag": self.tag,
            "entry_points": json.dumps(self.entry_points),
            "digest": hashes.digest_of(self.source),
            "generation": _new_generation(),
            "blob": self.source,
        }


MODEL_FIELDS = tuple(ModelRecord.__annotations__)
SCRIPT_FIELDS = ("device", "tag", "entry_points", "blob")


def get_model(client: redis.Redis, key: Key) -> ModelRecord:
    """The model under a key, without its blob.

    Raises:
        CommandError: The key is missing or holds something else.
    """
    return model_of(hashes.read(client, key, MODEL, MODEL_FIELDS))


def model_of(values: Sequence[bytes]) -> ModelRecord:
    """A model from the values of MODEL_FIELDS.

    Raises:
        CommandError: A field was overwritten by another client.
    """
    return _model_of(tuple(values))


@functools.lru_cache(maxsize=256)
def _model_of(values: tuple[bytes, ...]) -> ModelRecord:
    backend, device, tag, *sizes, inputs, outputs = values
    if not all(size.isdigit() for size in sizes):
        raise CommandError(hashes.WRONG_TYPE)
    batchsize, minbatchsize, minbatchtimeout = (int(size) for size in sizes)
    return ModelRecord(
        backend=backend.decode("latin-1"),
        device=device.decode("latin-1"),
        tag=tag,
        batchsize=batchsize,
        minbatchsize=minbatchsize,
        minbatchtimeout=minbatchtimeout,
        inputs=tuple(hashes.json_list(inputs, str)),
        outputs=tuple(hashes.json_list(outputs, str)),
    )


def get_script(client: redis.Redis, key: Key) -> ScriptRecord:
    """The script under a key.

    Raises:
        CommandError: The key is missing or holds something else.
    """
    return script_of(hashes.read(client, key, SCRIPT, SCRIPT_FIELDS))


def script_of(values: Sequence[bytes]) -> ScriptRecord:
    """A script from the values of SCRIPT_FIELDS.

    Raises:
        CommandError: A field was overwritten by another client.
    """
    device, tag, entry_points, source = values
    return ScriptRecord(device.decode("latin-1"), tag, tuple(hashes.json_list(entry_points, str)), source)


def scan(client: redis.Redis, kind: str) -> list[tuple[bytes, bytes]]:
    """Key and tag of each model, or of each script, in the database, in RedisAI's order (see scan_order.py).

    There is no list of them to keep up to date: all hashes of the database are read, so that keys that were deleted,
    renamed, copied or have expired are reported correctly.
    """
    found: dict[bytes, list[bytes | None]] = {}
    for keys in hashes.hash_keys(client):
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, [KIND, "tag", "generation"])
            replies = pipeline.execute(raise_on_error=False)
        for key, reply in zip(keys, replies, strict=True):
            # After SCAN the key may have changed its type; then the reply is an error.
            found_kind = reply[0] if isinstance(reply, list) else None
            if found_kind in (MODEL.encode(), SCRIPT.encode()):
                found[key] = reply
    oldest_first = sorted(found, key=lambda key: (found[key][2] or b"", key))
    ordered = in_scan_order(oldest_first)
    return [(key, found[key][1] or b"") for key in ordered if found[key][0] == kind.encode()]


def _new_generation() -> str:
    """A unique id for a stored value; it begins with the time, so that generations sort by age."""
    return f"{time.time_ns():016x}-{secrets.token_hex(8)}"
