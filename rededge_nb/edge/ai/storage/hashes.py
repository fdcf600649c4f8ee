"""Tensors, models and scripts as Redis hashes in the caller's database.

A tensor has the fields `ai` (`tensor`), `dtype`, `shape` (JSON) and `blob`; models and scripts have `ai` (`model`,
`script`) and the fields in records.py, and gather the counters of their runs (see statistics.py). DEL, RENAME,
EXPIRE, RDB, AOF and replication work on them as on any hash. A key of another type, or a hash without the right mark,
is of the wrong type.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import redis

from rededge_nb.edge.ai.tensors import MAX_BYTES, Tensor
from rededge_nb.edge.client import CommandArgs, check, connection_of, in_transaction, next_reply, replies_to
from rededge_nb.edge.switchboard.calls import CommandError

logger = logging.getLogger(__name__)

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

TENSOR, MODEL, SCRIPT = "tensor", "model", "script"
_MISSING = {
    TENSOR: "ERR tensor key is empty or in a different shard",
    MODEL: "ERR model key is empty",
    SCRIPT: "ERR script key is empty",
}
_MARK = "ai"
TENSOR_FIELDS = ("dtype", "shape", "blob")
_SCAN_COUNT = 1000

Key = str | bytes
Fields = Mapping[str, str | bytes | memoryview | int]
Found = Mapping[Key, object]
"""What look_up() found, by key; it is checked where it is used."""


def digest_of(blob: bytes) -> str:
    """The content of a model in 64 hexadecimal digits."""
    return sha256(blob).hexdigest()


def get_tensor(client: redis.Redis, key: Key) -> Tensor:
    """The tensor under a key.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    return get_tensors(client, [key])[0]


def get_tensors(client: redis.Redis, keys: Sequence[Key], found: Found | None = None) -> list[Tensor]:
    """The tensors under several keys, in one round trip, or in none if they were `found` already.

    Raises:
        CommandError: a key is missing or holds something else; the first such key decides.
    """
    if not keys:
        return []
    if found is None or not all(key in found for key in keys):
        found = look_up(client, [(key, TENSOR_FIELDS) for key in keys])
    values = (_checked(client, key, TENSOR, found[key]) for key in keys)
    return [Tensor.from_blob(dtype.decode("latin-1"), shape_of(shape), blob) for dtype, shape, blob in values]


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
    replace(client, TENSOR, [(key, fields_of(tensor)) for key, tensor in tensors])


def fields_of(tensor: Tensor) -> Fields:
    """The hash of a tensor."""
    return tensor_fields(tensor.dtype, tensor.shape, tensor.to_buffer())


def tensor_fields(dtype: str, shape: tuple[int, ...], blob: bytes | memoryview) -> Fields:
    """The hash of a tensor whose blob was checked or built."""
    return {"dtype": dtype, "shape": json.dumps(shape), "blob": blob}


def shape_of(text: bytes) -> tuple[int, ...]:
    """The shape in a tensor's field.

    Raises:
        CommandError: other hands wrote something else there.
    """
    return tuple(json_list(text, int))


def look_up(client: redis.Redis, wanted: Sequence[tuple[Key, Sequence[str]]]) -> Found:
    """Fields of what several keys may hold, in one round trip, for get_tensors() and read()."""
    with connection_of(client) as connection:
        replies = replies_to(connection, [("HMGET", key, _MARK, *fields) for key, fields in wanted])
    return {key: reply for (key, _), reply in zip(wanted, replies, strict=True)}


def read(client: redis.Redis, key: Key, kind: str, fields: Sequence[str], found: Found | None = None) -> list[bytes]:
    """Fields of a tensor, model or script; no round trip if they were `found` already.

    Raises:
        CommandError: the key is missing or holds something else.
    """
    if found is None or key not in found:
        found = look_up(client, [(key, fields)])
    return _checked(client, key, kind, found[key])


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
    with contextlib.closing(Replacement(client, kind, [key for key, _ in values])) as replacement:
        replacement.write(values)


class Replacement:
    """Puts values in place of what keys hold; the keys can be looked at before, while the values are computed.

    Not for use by two threads at once.
    """

    def __init__(self, client: redis.Redis, kind: str, keys: Sequence[Key]) -> None:
        self._client = client
        self._kind = kind
        self._keys = keys
        self._looks = [("WATCH", *keys), *(look for key in keys for look in (("EXISTS", key), ("HGET", key, _MARK)))]
        self._connection: Any = None
        self._looking = False

    def look(self) -> None:
        """Ask what the keys hold, and do not wait for the answer."""
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        self._looking = True
        self._connection.send_packed_command(self._connection.pack_commands(self._looks))

    def write(self, values: Sequence[tuple[Key, Fields]], also: Sequence[CommandArgs] = ()) -> None:
        """Write as replace() does, and execute the commands of `also` in the same transaction.

        The keys are those of the replacement, or fewer; they are looked at now if they were not before.

        Raises:
            CommandError: a key holds something of another kind, or a value is too large for Redis.
        """
        for _, fields in values:
            blob = fields["blob"]
            if isinstance(blob, bytes | memoryview) and len(blob) > MAX_BYTES:
                raise CommandError(
                    f"ERR the {self._kind} has {len(blob)} bytes, and one value in Redis holds {MAX_BYTES} at most"
                )
        writes: list[CommandArgs] = []
        for key, fields in values:
            items = (item for field in fields.items() for item in field)
            writes += [("DEL", key), ("HSET", key, _MARK, self._kind, *items)]
        keys = {key for key, _ in values}
        commands = in_transaction([*writes, *also])
        may_be_lost = True
        try:
            while True:
                try:
                    self._send(keys, commands)
                except redis.ConnectionError:
                    # it may have lain idle for as long as a model runs; EXEC comes last, so nothing was done yet
                    if not may_be_lost:
                        raise
                    may_be_lost = False
                    self._connection.disconnect()
                    self._looking = False
                    continue
                if self._done(commands, len(writes)):
                    return
                # another client changed a key meanwhile
        except redis.exceptions.OutOfMemoryError as error:
            raise CommandError("OOM command not allowed when used memory > 'maxmemory'.") from error

    def close(self) -> None:
        """Give back what was taken; a look that no write followed is forgotten."""
        if self._connection is not None:
            if self._looking:
                self._connection.disconnect()  # its answer may still be on its way
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def _send(self, keys: Collection[Key], commands: Sequence[CommandArgs]) -> None:
        """Send the commands of a transaction that writes these keys, once it is known what they hold.

        Raises:
            CommandError: a key holds something of another kind.
            redis.ConnectionError: the server has not all of the commands.
        """
        if not self._looking:
            self.look()
        watched, *seen = [next_reply(self._connection) for _ in self._looks]
        check([watched])
        for key, exists, mark in zip(self._keys, seen[::2], seen[1::2], strict=True):
            if key not in keys:
                continue
            if isinstance(mark, redis.ResponseError):
                raise _translated(mark)
            check([exists])
            if exists and mark != self._kind.encode():
                raise CommandError(WRONG_TYPE)
        # over TCP a server that has gone would be noticed after sending, when nobody knows what became of it
        if self._connection.can_read():
            raise redis.ConnectionError("Redis sent what was not asked for")
        self._connection.send_packed_command(self._connection.pack_commands(commands))

    def _done(self, commands: Sequence[CommandArgs], own: int) -> bool:
        """Whether the commands were done, the first `own` between MULTI and EXEC well; not if a key had changed."""
        *queued, done = [next_reply(self._connection) for _ in commands]
        self._looking = False
        check([reply for reply in (*queued, done) if isinstance(reply, redis.ResponseError)])
        if done is None:
            return False
        check(done[:own])
        for reply in done[own:]:
            if isinstance(reply, redis.ResponseError):
                logger.error("what was to follow the %s was refused: %s", self._kind, reply)
        return True


def delete(client: redis.Redis, key: Key, kind: str) -> None:
    """Delete a tensor, model or script, and nothing that takes its place meanwhile.

    Raises:
        CommandError: the key is missing or holds something else.
    """

    def remove(pipeline: redis.client.Pipeline) -> None:
        try:
            reply: object = pipeline.hmget(key, [_MARK])
        except redis.ResponseError as error:
            reply = error
        _checked(pipeline, key, kind, reply)
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
