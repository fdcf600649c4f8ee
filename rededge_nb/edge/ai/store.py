"""Tensors and models as Redis hashes in the caller's database.

A tensor has the fields `ai` (`tensor`), `dtype`, `shape` (JSON) and `blob`; a model has `ai` (`model`) and those of
Model, and gathers the counters of its runs (see statistics.py). DEL, RENAME, EXPIRE, RDB, AOF and replication work
on them as on any hash. A key of another type, or a hash without the right mark, is of the wrong type.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import redis

from rededge_nb.edge.ai.tensors import MAX_BYTES, Tensor
from rededge_nb.edge.commands import CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

TENSOR, MODEL = "tensor", "model"
_MISSING = {TENSOR: "ERR tensor key is empty or in a different shard", MODEL: "ERR model key is empty"}
_MARK = "ai"
_TENSOR_FIELDS = ("dtype", "shape", "blob")
_SCAN_COUNT = 1000

Key = str | bytes
Fields = Mapping[str, str | bytes | int]


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
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def fields(self, blob: bytes, digest: str) -> dict[str, str | bytes | int]:
        """The hash, with the blob and its digest; each store is a new generation, whose id begins with the time."""
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
            "generation": f"{time.time_ns():016x}-{secrets.token_hex(8)}",
            "blob": blob,
        }


_MODEL_FIELDS = tuple(Model.__annotations__)


def digest_of(blob: bytes) -> str:
    """The content of a model in 64 hexadecimal digits."""
    return sha256(blob).hexdigest()


def get_tensor(client: redis.Redis, key: Key) -> Tensor:
    """The tensor under a key.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    return get_tensors(client, [key])[0]


def get_tensors(client: redis.Redis, keys: Sequence[Key]) -> list[Tensor]:
    """The tensors under several keys, in one round trip.

    Raises:
        CommandError: a key is missing or holds something else; the first such key decides.
    """
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, [_MARK, *_TENSOR_FIELDS])
        replies = pipeline.execute(raise_on_error=False)
    found = (_checked(client, key, TENSOR, reply) for key, reply in zip(keys, replies, strict=True))
    return [Tensor.from_blob(dtype.decode("latin-1"), shape_of(shape), blob) for dtype, shape, blob in found]


def set_tensor(client: redis.Redis, key: Key, tensor: Tensor) -> None:
    """Put a tensor under a key, in place of the tensor that may be there.

    Raises:
        CommandError: the key holds something else, or the tensor is too large for Redis.
    """
    set_tensors(client, [(key, tensor)])


def set_tensors(client: redis.Redis, tensors: Sequence[tuple[Key, Tensor]]) -> None:
    """Put tensors under keys, all of them or none; of two under one key the last stays.

    Raises:
        CommandError: a key holds something else, or a tensor is too large for Redis.
    """
    replace(
        client, TENSOR, [(key, tensor_fields(tensor.dtype, tensor.shape, tensor.to_blob())) for key, tensor in tensors]
    )


def tensor_fields(dtype: str, shape: tuple[int, ...], blob: bytes) -> dict[str, str | bytes | int]:
    """The hash of a tensor whose blob was checked or built."""
    return {"dtype": dtype, "shape": json.dumps(shape), "blob": blob}


def shape_of(text: bytes) -> tuple[int, ...]:
    """The shape in a tensor's field.

    Raises:
        CommandError: other hands wrote something else there.
    """
    return tuple(_json_list(text, int))


def get_model(client: redis.Redis, key: Key) -> Model:
    """What is stored of the model under a key, without its blob.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    backend, device, tag, *sizes, inputs, outputs = read(client, key, MODEL, _MODEL_FIELDS)
    if not all(size.isdigit() for size in sizes):
        raise CommandError(WRONG_TYPE)
    batchsize, minbatchsize, minbatchtimeout = (int(size) for size in sizes)
    return Model(
        backend=backend.decode("latin-1"),
        device=device.decode("latin-1"),
        tag=tag,
        batchsize=batchsize,
        minbatchsize=minbatchsize,
        minbatchtimeout=minbatchtimeout,
        inputs=tuple(_json_list(inputs, str)),
        outputs=tuple(_json_list(outputs, str)),
    )


def scan_models(client: redis.Redis) -> list[tuple[bytes, bytes]]:
    """Key and tag of every model of the database, by key.

    The keyspace itself is asked, so that deleted, renamed, copied and expired keys are told as they are.
    """
    tags: dict[bytes, bytes] = {}
    for keys in _hash_keys(client):
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, [_MARK, "tag"])
            replies = pipeline.execute(raise_on_error=False)
        for key, reply in zip(keys, replies, strict=True):
            # between SCAN and here a key may have become something else
            if isinstance(reply, list) and reply[0] == MODEL.encode():
                tags[key] = reply[1] or b""
    return sorted(tags.items())


def read(client: redis.Redis, key: Key, kind: str, fields: Sequence[str]) -> list[bytes]:
    """Fields of a tensor or model.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    try:
        reply: object = client.hmget(key, [_MARK, *fields])
    except redis.ResponseError as error:
        reply = error
    return _checked(client, key, kind, reply)


def check_replaceable(client: redis.Redis, key: Key, kind: str) -> None:
    """Pass if a tensor or model may be written to the key: it is free, or holds one of the same kind.

    Raises:
        CommandError: it holds something else.
    """
    try:
        mark = client.hget(key, _MARK)
    except redis.ResponseError as error:
        raise _translated(error) from error
    if mark != kind.encode() and (mark is not None or client.exists(key)):
        raise CommandError(WRONG_TYPE)


def replace(client: redis.Redis, kind: str, values: Sequence[tuple[Key, Fields]]) -> None:
    """Write tensors or models in place of what the keys hold, time to live included; all or none.

    Raises:
        CommandError: a key holds something of another kind, or a value is too large for Redis.
    """
    for _, fields in values:
        blob = fields["blob"]
        if isinstance(blob, bytes) and len(blob) > MAX_BYTES:
            raise CommandError(
                f"ERR the {kind} has {len(blob)} bytes, and one value in Redis holds {MAX_BYTES} at most"
            )

    def write(pipeline: redis.client.Pipeline) -> None:
        for key, _ in values:
            check_replaceable(pipeline, key, kind)
        pipeline.multi()
        for key, fields in values:
            pipeline.delete(key)
            pipeline.hset(key, items=[_MARK, kind, *(item for field in fields.items() for item in field)])

    try:
        client.transaction(write, *(key for key, _ in values))
    except redis.exceptions.OutOfMemoryError as error:
        raise CommandError("OOM command not allowed when used memory > 'maxmemory'.") from error


def delete(client: redis.Redis, key: Key, kind: str) -> None:
    """Delete a tensor or model, and nothing that takes its place meanwhile.

    Raises:
        CommandError: the key is missing or holds something else.
    """

    def remove(pipeline: redis.client.Pipeline) -> None:
        read(pipeline, key, kind, [])
        pipeline.multi()
        pipeline.delete(key)

    client.transaction(remove, key)


def _checked(client: redis.Redis, key: Key, kind: str, reply: object) -> list[bytes]:
    if isinstance(reply, redis.ResponseError):
        raise _translated(reply) from reply
    if isinstance(reply, Exception):
        raise reply
    mark, *values = cast(list[Any], reply)
    if mark is None and not client.exists(key):
        raise CommandError(_MISSING[kind])
    if mark != kind.encode() or None in values:
        raise CommandError(WRONG_TYPE)
    return values


def _translated(error: redis.ResponseError) -> Exception:
    return CommandError(WRONG_TYPE) if str(error).startswith("WRONGTYPE") else error


def _json_list(text: bytes, element: type) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(WRONG_TYPE) from error
    if not isinstance(value, list) or not all(type(item) is element for item in value):
        raise CommandError(WRONG_TYPE)
    return value


def _hash_keys(client: redis.Redis) -> Iterator[list[bytes]]:
    cursor: Any = None
    while cursor != 0:
        cursor, keys = client.scan(cursor or 0, count=_SCAN_COUNT, _type="HASH")
        yield cast(list[bytes], keys)
