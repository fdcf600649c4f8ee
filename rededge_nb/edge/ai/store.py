"""Tensors, models and scripts as Redis hashes in the caller's database.

A tensor has the fields `ai` (`tensor`), `dtype`, `shape` (JSON) and `blob`; models and scripts have `ai` (`model`,
`script`) and the fields in records.py, and gather the counters of their runs (see statistics.py). DEL, RENAME,
EXPIRE, RDB, AOF and replication work on them as on any hash. A key of another type, or a hash without the right mark,
is of the wrong type.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import redis

from rededge_nb.edge.ai.tensors import MAX_BYTES, Tensor
from rededge_nb.edge.commands import CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

TENSOR, MODEL, SCRIPT = "tensor", "model", "script"
_MISSING = {
    TENSOR: "ERR tensor key is empty or in a different shard",
    MODEL: "ERR model key is empty",
    SCRIPT: "ERR script key is empty",
}
_MARK = "ai"
_TENSOR_FIELDS = ("dtype", "shape", "blob")
_SCAN_COUNT = 1000

Key = str | bytes
Fields = Mapping[str, str | bytes | memoryview | int]


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
    if not keys:
        return []
    with _connection(client) as connection:
        replies = _replies(connection, [("HMGET", key, _MARK, *_TENSOR_FIELDS) for key in keys])
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
        client,
        TENSOR,
        [(key, tensor_fields(tensor.dtype, tensor.shape, tensor.to_buffer())) for key, tensor in tensors],
    )


def tensor_fields(dtype: str, shape: tuple[int, ...], blob: bytes | memoryview) -> Fields:
    """The hash of a tensor whose blob was checked or built."""
    return {"dtype": dtype, "shape": json.dumps(shape), "blob": blob}


def shape_of(text: bytes) -> tuple[int, ...]:
    """The shape in a tensor's field.

    Raises:
        CommandError: other hands wrote something else there.
    """
    return tuple(json_list(text, int))


def read(client: redis.Redis, key: Key, kind: str, fields: Sequence[str]) -> list[bytes]:
    """Fields of a tensor, model or script.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    try:
        reply: object = client.hmget(key, [_MARK, *fields])
    except redis.ResponseError as error:
        reply = error
    return _checked(client, key, kind, reply)


def check_replaceable(client: redis.Redis, key: Key, kind: str) -> None:
    """Pass if a tensor, model or script may be written to the key: it is free, or holds one of the same kind.

    Raises:
        CommandError: it holds something else.
    """
    try:
        mark = client.hget(key, _MARK)
    except redis.ResponseError as error:
        raise _translated(error) from error
    if mark != kind.encode() and (mark is not None or client.exists(key)):
        raise CommandError(WRONG_TYPE)


def kind_at(client: redis.Redis, key: Key) -> str | None:
    """What a key holds: TENSOR, MODEL, SCRIPT, or None for anything else and nothing."""
    try:
        mark = client.hget(key, _MARK)
    except redis.ResponseError:
        return None
    return next((kind for kind in _MISSING if mark == kind.encode()), None)


def replace(client: redis.Redis, kind: str, values: Sequence[tuple[Key, Fields]]) -> None:
    """Write tensors, models or scripts in place of what the keys hold, time to live included; all or none.

    Raises:
        CommandError: a key holds something of another kind, or a value is too large for Redis.
    """
    for _, fields in values:
        blob = fields["blob"]
        if isinstance(blob, bytes | memoryview) and len(blob) > MAX_BYTES:
            raise CommandError(
                f"ERR the {kind} has {len(blob)} bytes, and one value in Redis holds {MAX_BYTES} at most"
            )

    keys = [key for key, _ in values]
    writes: list[Any] = [("MULTI",)]
    for key, fields in values:
        items = (item for field in fields.items() for item in field)
        writes += [("DEL", key), ("HSET", key, _MARK, kind, *items)]
    # two round trips, each one write: what is there, and if it may go, what comes
    looks = [("WATCH", *keys), *(look for key in keys for look in (("EXISTS", key), ("HGET", key, _MARK)))]
    try:
        with _connection(client) as connection:
            while not _replaced(connection, looks, [*writes, ("EXEC",)], kind):
                pass
    except redis.exceptions.OutOfMemoryError as error:
        raise CommandError("OOM command not allowed when used memory > 'maxmemory'.") from error


def delete(client: redis.Redis, key: Key, kind: str) -> None:
    """Delete a tensor, model or script, and nothing that takes its place meanwhile.

    Raises:
        CommandError: the key is missing or holds something else.
    """

    def remove(pipeline: redis.client.Pipeline) -> None:
        read(pipeline, key, kind, [])
        pipeline.multi()
        pipeline.delete(key)

    client.transaction(remove, key)


@contextlib.contextmanager
def _connection(client: redis.Redis) -> Iterator[Any]:
    """A connection of the client's, for which large values are sent and read without the client's detours."""
    connection = client.connection_pool.get_connection()
    try:
        yield connection
    except (CommandError, redis.ResponseError):
        raise
    except BaseException:
        connection.disconnect()  # replies may still be on their way
        raise
    finally:
        client.connection_pool.release(connection)


def _replaced(connection: Any, looks: list[Any], writes: list[Any], kind: str) -> bool:
    """Whether the writes were done; not if a key was changed between the looks and them.

    Raises:
        CommandError: a key holds something of another kind.
    """
    _, *seen = _replies(connection, looks)
    for exists, mark in zip(seen[::2], seen[1::2], strict=True):
        if exists and mark != kind.encode():
            _replies(connection, [("UNWATCH",)])
            raise CommandError(WRONG_TYPE)
    *queued, done = _replies(connection, writes)
    refused = next((reply for reply in (*queued, done) if isinstance(reply, redis.RedisError)), None)
    if refused is not None:
        raise refused
    return done is not None


def _replies(connection: Any, commands: list[Any]) -> list[Any]:
    """The replies to several commands, errors among them as they are."""
    connection.send_packed_command(connection.pack_commands(commands))
    return [_reply(connection) for _ in commands]


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


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


def json_list(text: bytes, element: type) -> list[Any]:
    """A list in a field of JSON.

    Raises:
        CommandError: other hands wrote something else there.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(WRONG_TYPE) from error
    if not isinstance(value, list) or not all(type(item) is element for item in value):
        raise CommandError(WRONG_TYPE)
    return value


def hash_keys(client: redis.Redis) -> Iterator[list[bytes]]:
    """The keys of all hashes, some at a time, each once."""
    seen: set[bytes] = set()
    cursor: Any = None
    while cursor != 0:
        cursor, keys = client.scan(cursor or 0, count=_SCAN_COUNT, _type="HASH")
        new = [key for key in cast(list[bytes], keys) if key not in seen]
        seen.update(new)
        yield new
