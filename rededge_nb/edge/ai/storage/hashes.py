"""Tensors, models and scripts as Redis hashes: their fields, and how they are read and deleted.

The field `ai` says what a hash is: `tensor`, `model` or `script`. A tensor has the fields `dtype`, `shape` (JSON) and
`blob`; records.py lists those of models and scripts, and statistics.py adds the counters of their runs. Because they
are ordinary hashes, DEL, RENAME, EXPIRE, RDB, AOF and replication work on them. A key of another type, or a hash with
another value in `ai`, is answered with RedisAI's WRONGTYPE error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import redis

from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.client import connection_of, replies_to
from rededge_nb.edge.switchboard.calls import CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

TENSOR, MODEL, SCRIPT = "tensor", "model", "script"
"""The kinds: the values of the field KIND."""
KIND = "ai"
TENSOR_FIELDS = ("dtype", "shape", "blob")
_MISSING = {
    TENSOR: "ERR tensor key is empty or in a different shard",
    MODEL: "ERR model key is empty",
    SCRIPT: "ERR script key is empty",
}
_SCAN_COUNT = 1000

Key = str | bytes
Fields = Mapping[str, str | bytes | memoryview | int]
Prefetched = Mapping[Key, object]
"""The replies that prefetch() received, by key. They are checked when they are used."""


def digest_of(blob: bytes) -> str:
    """SHA-256 of a model or script, as 64 hexadecimal digits."""
    return sha256(blob).hexdigest()


def get_tensor(client: redis.Redis, key: Key) -> Tensor:
    """The tensor under a key.

    Raises:
        CommandError: The key is missing or holds something else.
    """
    return get_tensors(client, [key])[0]


def get_tensors(client: redis.Redis, keys: Sequence[Key], prefetched: Prefetched | None = None) -> list[Tensor]:
    """The tensors under several keys, read in one round trip unless they were prefetched.

    Raises:
        CommandError: A key is missing or holds something else; the error is that of the first such key.
    """
    if not keys:
        return []
    if prefetched is None or not all(key in prefetched for key in keys):
        prefetched = prefetch(client, [(key, TENSOR_FIELDS) for key in keys])
    values = (_checked(client, key, TENSOR, prefetched[key]) for key in keys)
    return [Tensor.from_blob(dtype.decode("latin-1"), shape_of(shape), blob) for dtype, shape, blob in values]


def fields_of(tensor: Tensor) -> Fields:
    """The fields of a tensor."""
    return tensor_fields(tensor.dtype, tensor.shape, tensor.to_buffer())


def tensor_fields(dtype: str, shape: tuple[int, ...], blob: bytes | memoryview) -> Fields:
    """The fields of a tensor whose blob is known to fit dtype and shape."""
    return {"dtype": dtype, "shape": json.dumps(shape), "blob": blob}


def shape_of(text: bytes) -> tuple[int, ...]:
    """The shape in a tensor's field.

    Raises:
        CommandError: The field was overwritten by another client.
    """
    return tuple(json_list(text, int))


def prefetch(client: redis.Redis, wanted: Sequence[tuple[Key, Sequence[str]]]) -> Prefetched:
    """Read fields of several keys in one round trip, for get_tensors() and read()."""
    with connection_of(client) as connection:
        replies = replies_to(connection, [("HMGET", key, KIND, *fields) for key, fields in wanted])
    return {key: reply for (key, _), reply in zip(wanted, replies, strict=True)}


def read(
    client: redis.Redis, key: Key, kind: str, fields: Sequence[str], prefetched: Prefetched | None = None
) -> list[bytes]:
    """Fields of a tensor, model or script, read in one round trip unless they were prefetched.

    Raises:
        CommandError: The key is missing or holds something else.
    """
    if prefetched is None or key not in prefetched:
        prefetched = prefetch(client, [(key, fields)])
    return _checked(client, key, kind, prefetched[key])


def kind_at(client: redis.Redis, key: Key) -> str | None:
    """The kind of what a key holds: TENSOR, MODEL or SCRIPT; None if it is missing or holds something else."""
    try:
        value = client.hget(key, KIND)
    except redis.ResponseError:
        return None
    return next((kind for kind in _MISSING if value == kind.encode()), None)


def check_replaceable(client: redis.Redis, key: Key, kind: str) -> None:
    """Check that a value of this kind may be written: the key is missing, or holds a value of the same kind.

    Raises:
        CommandError: The key holds something else.
    """
    try:
        value = client.hget(key, KIND)
    except redis.ResponseError as error:
        raise command_error(error) from error
    if value != kind.encode() and is_other(client, key, kind):
        raise CommandError(WRONG_TYPE)


def is_other(client: redis.Redis, key: Key, kind: str) -> bool:
    """Whether a key holds something that is not of this kind. False if it is missing.

    It is asked in one step: between two commands, somebody may store a model or delete it.
    """
    with client.pipeline(transaction=True) as pipeline:
        pipeline.exists(key)
        pipeline.hget(key, KIND)
        exists, found = pipeline.execute(raise_on_error=False)
    return bool(exists) and found != kind.encode()


def delete(client: redis.Redis, key: Key, kind: str) -> None:
    """Delete a tensor, model or script; never another value that was written to the key in the meantime.

    Raises:
        CommandError: The key is missing or holds something else.
    """

    def remove(pipeline: redis.client.Pipeline) -> None:
        try:
            reply: object = pipeline.hmget(key, [KIND])
        except redis.ResponseError as error:
            reply = error
        _checked(client, key, kind, reply)
        pipeline.multi()
        pipeline.delete(key)

    client.transaction(remove, key)


def command_error(error: redis.ResponseError) -> Exception:
    """RedisAI's WRONGTYPE error in place of Redis's; any other error as it is."""
    return CommandError(WRONG_TYPE) if str(error).startswith("WRONGTYPE") else error


def json_list(text: bytes, element: type) -> list[Any]:
    """A list in a field of JSON.

    Raises:
        CommandError: The field was overwritten by another client.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(WRONG_TYPE) from error
    if not isinstance(value, list) or not all(type(item) is element for item in value):
        raise CommandError(WRONG_TYPE)
    return value


def hash_keys(client: redis.Redis) -> Iterator[list[bytes]]:
    """The keys of all hashes in the database, in lists of up to about a thousand; each key once."""
    seen: set[bytes] = set()
    cursor: Any = None
    while cursor != 0:
        cursor, keys = client.scan(cursor or 0, count=_SCAN_COUNT, _type="HASH")
        new = [key for key in cast(list[bytes], keys) if key not in seen]
        seen.update(new)
        yield new


def _checked(client: redis.Redis, key: Key, kind: str, reply: object) -> list[bytes]:
    if isinstance(reply, redis.ResponseError):
        raise command_error(reply) from reply
    if isinstance(reply, Exception):
        raise reply
    found_kind, *values = cast(list[Any], reply)
    if found_kind is None and not is_other(client, key, kind):
        raise CommandError(_MISSING[kind])
    if found_kind != kind.encode() or None in values:
        raise CommandError(WRONG_TYPE)
    return values
