"""Writing tensors, models and scripts in place of what their keys hold.

A key may only be replaced by a value of the same kind. Another client can change the key between the check and the
write, so the keys are watched: WATCH, EXISTS and HGET are sent first, the write follows in MULTI and EXEC, and
everything is repeated if a watched key changed.

AI.MODELEXECUTE sends the checks before the model runs and reads their replies afterwards. This saves a round trip for
each call, but the connection is idle during the run: if it was closed meanwhile, the checks are sent again over a new
one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from typing import Any

import redis

from rededge_nb.edge.ai.storage.hashes import KIND, TENSOR, WRONG_TYPE, Fields, Key, command_error, fields_of, is_other
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.client import CommandArgs, check, in_transaction, max_value_bytes, next_reply, send
from rededge_nb.edge.switchboard.calls import CommandError

logger = logging.getLogger(__name__)


def set_tensor(client: redis.Redis, key: Key, tensor: Tensor) -> None:
    """Store a tensor in place of the tensor that the key may hold.

    Raises:
        CommandError: The key holds something else, or the tensor is too large for Redis.
    """
    set_tensors(client, [(key, tensor)])


def set_tensors(client: redis.Redis, tensors: Sequence[tuple[Key, Tensor]]) -> None:
    """Store tensors, all of them or none. If a key occurs twice, the last of its tensors remains.

    Raises:
        CommandError: A key holds something else, or a tensor is too large for Redis.
    """
    replace(client, TENSOR, [(key, fields_of(tensor)) for key, tensor in tensors])


def replace(client: redis.Redis, kind: str, values: Sequence[tuple[Key, Fields]]) -> None:
    """Write values in place of what the keys hold, all of them or none; the keys' time to live is removed.

    Raises:
        CommandError: A key holds something of another kind, or a value is too large for Redis.
    """
    with contextlib.closing(Replacement(client, kind, [key for key, _ in values])) as replacement:
        replacement.write(values)


class Replacement:
    """A replacement of values whose keys can be checked before the values are known. For one thread at a time."""

    def __init__(self, client: redis.Redis, kind: str, keys: Sequence[Key]) -> None:
        self._client = client
        self._kind = kind
        self._keys = keys
        self._checks = [("WATCH", *keys), *(each for key in keys for each in (("EXISTS", key), ("HGET", key, KIND)))]
        self._connection: Any = None
        self._checks_sent = False

    def send_checks(self) -> None:
        """Watch the keys and ask what they hold, without waiting for the replies."""
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        self._checks_sent = True
        send(self._connection, self._checks)

    def write(self, values: Sequence[tuple[Key, Fields]], also: Sequence[CommandArgs] = ()) -> None:
        """Write values as replace() does.

        Args:
            values: Their keys must be among those of this replacement.
            also: Commands for the same transaction, after the writes. An error of one of them is only logged.

        Raises:
            CommandError: A key holds something of another kind, or a value is too large for Redis.
        """
        for _, fields in values:
            blob = fields["blob"]
            size = len(blob) if isinstance(blob, bytes | memoryview) else 0
            if size > (limit := max_value_bytes(self._client, size)):
                raise CommandError(
                    f"ERR the {self._kind} has {size} bytes, but a value in this Redis can have {limit} at most"
                )
        writes: list[CommandArgs] = []
        for key, fields in values:
            items = (item for field in fields.items() for item in field)
            writes += [("DEL", key), ("HSET", key, KIND, self._kind, *items)]
        keys = {key for key, _ in values}
        commands = in_transaction([*writes, *also])
        reconnected = False
        try:
            while True:
                try:
                    if not self._check_and_send(keys, commands):
                        continue
                except redis.ConnectionError:
                    # Trying again is safe: EXEC is sent last, so nothing has been written yet.
                    if reconnected:
                        raise
                    reconnected = True
                    self._connection.disconnect()
                    self._checks_sent = False
                    continue
                if self._executed(commands, len(writes)):
                    return
                # else another client changed a watched key: check again
        except redis.exceptions.OutOfMemoryError as error:
            raise CommandError("OOM command not allowed when used memory > 'maxmemory'.") from error

    def close(self) -> None:
        """Release the connection; keys that were checked but not written are no longer watched."""
        if self._connection is not None:
            if self._checks_sent:
                self._connection.disconnect()  # replies may still arrive on it
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def _check_and_send(self, keys: Collection[Key], commands: Sequence[CommandArgs]) -> bool:
        """Send the transaction if these keys may be replaced; False if one was changed during the checks: check again.

        Raises:
            CommandError: A key holds something of another kind.
            redis.ConnectionError: The server did not receive all of the transaction.
        """
        if not self._checks_sent:
            self.send_checks()
        watched, *replies = [next_reply(self._connection) for _ in self._checks]
        check([watched])
        for key, exists, kind in zip(self._keys, replies[::2], replies[1::2], strict=True):
            if key not in keys:
                continue
            if isinstance(kind, redis.ResponseError):
                raise command_error(kind)
            check([exists])
            if exists and kind is None and not is_other(self._client, key, self._kind):
                self._checks_sent = False
                return False
            if exists and kind != self._kind.encode():
                raise CommandError(WRONG_TYPE)
        # Over TCP, data sent to a closed connection seems to be accepted. Readable data or an end of file now means
        # that the connection is unusable; once the transaction is sent, nobody would know whether it was executed.
        if self._connection.can_read():
            raise redis.ConnectionError("Redis sent data that was not requested")
        send(self._connection, commands)
        return True

    def _executed(self, commands: Sequence[CommandArgs], writes: int) -> bool:
        """Read the replies; False if a watched key had changed and nothing was executed."""
        *queued, done = [next_reply(self._connection) for _ in commands]
        self._checks_sent = False
        check([reply for reply in (*queued, done) if isinstance(reply, redis.ResponseError)])
        if done is None:
            return False
        check(done[:writes])
        for reply in done[writes:]:
            if isinstance(reply, redis.ResponseError):
                logger.error("a command after writing the %s failed: %s", self._kind, reply)
        return True
