"""How long a client waits for the reply to a command: connections with a limit that depends on the command.

Redis executes most commands at once. If such a reply does not come, the server hangs or cannot be reached, and the
caller must get an error instead of waiting for ever. Other commands wait on purpose, for data, for a gear or for other
clients; a limit for them would end what works. So one timeout for a connection is not enough.

TCP keepalive (connecting.py) finds out that a computer does not answer. It does not find a server that is stopped, or a
connection over a unix socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REPLY_TIMEOUT = 60.0
"""Seconds for a command that Redis executes at once. The supervisor kills a redis-server that is silent for as long."""
WORKER_REPLY_TIMEOUT = 180.0
"""Seconds for a command that a worker answers. The switchboard gives up earlier (edge/worker/command_table.py)."""
WAITING = frozenset(
    (
        # for data
        *("BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN"),
        # for messages
        *("MONITOR", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"),
        # for replicas, the disk, or other servers
        *("DEBUG", "MIGRATE", "PSYNC", "SAVE", "SHUTDOWN", "SYNC", "WAIT", "WAITAOF"),
        # for code of users; EXEC executes what was queued before
        *("EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "EXEC", "FCALL", "FCALL_RO"),
        *("RG.GETRESULTSBLOCKING", "RG.PYEXECUTE", "RG.PYIMPORTREQ", "RG.TRIGGER", "RG.TRIGGERONKEY"),
    )
)
"""Commands that may wait for any length of time."""
_READERS = ("XREAD", "XREADGROUP")
_OF_WORKERS = ("AI.", "RG.")
_OF_SWITCHBOARD = "EDGE."
_made: dict[type[Any], type[Any]] = {}
"""The classes that with_reply_timeouts() has made, by the classes that it got."""


def reply_timeout(command: Sequence[Any]) -> float | None:
    """Seconds to wait for the reply to a command, None for any length of time.

    Args:
        command: Name and arguments, as redis-py takes them.
    """
    name = _text(command[0]).split()[0].upper()
    if name in WAITING or name.startswith(_OF_SWITCHBOARD):
        return None
    if name in _READERS:
        return _timeout_of_reader(command)
    return WORKER_REPLY_TIMEOUT if name.startswith(_OF_WORKERS) else REPLY_TIMEOUT


def with_reply_timeouts(connection_class: type[Any]) -> type[Any]:
    """A class of connections like this one, on which each reply has the timeout of its command.

    Their `socket_timeout` must be None.
    """
    if issubclass(connection_class, ReplyTimeouts):
        return connection_class
    if connection_class not in _made:
        name = f"{connection_class.__name__}WithReplyTimeouts"
        _made[connection_class] = type(name, (ReplyTimeouts, connection_class), {})
    return _made[connection_class]


def without_reply_timeouts(connection_class: type[Any]) -> type[Any]:
    """The class of connections from which with_reply_timeouts() has made this one; others are returned as they are."""
    return connection_class.__mro__[2] if issubclass(connection_class, ReplyTimeouts) else connection_class


class ReplyTimeouts:
    """The part of such connections that sets the timeout of the socket before each command."""

    _sock: Any
    _packed: float | None = None
    """The timeout of what was packed last."""

    def send_command(self, *command: Any, **options: Any) -> None:
        """Send a command; see redis.Connection."""
        self._packed = reply_timeout(command)
        super().send_command(*command, **options)  # type: ignore[misc]

    def pack_commands(self, commands: Sequence[Sequence[Any]]) -> Any:
        """Encode commands that are sent together; the longest of their timeouts applies to each reply."""
        self.expect_replies_to(commands)
        return super().pack_commands(commands)  # type: ignore[misc]

    def expect_replies_to(self, commands: Sequence[Sequence[Any]]) -> None:
        """Note which commands are sent next, if somebody else has encoded them."""
        timeouts = [reply_timeout(command) for command in commands if command[0] != "EXEC"]
        self._packed = None if None in timeouts else max((each for each in timeouts if each is not None), default=None)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send what was packed last; see redis.Connection."""
        timeout = self._packed  # read first: a new connection sends commands of its own
        if self._sock is None:
            self.connect()  # type: ignore[attr-defined]
        if self._sock is not None:
            self._sock.settimeout(timeout)
        super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]


def _timeout_of_reader(command: Sequence[Any]) -> float | None:
    words = [_text(word).upper() for word in command[1:]]
    options = words[: words.index("STREAMS")] if "STREAMS" in words else words
    if "BLOCK" not in options:
        return REPLY_TIMEOUT
    milliseconds = "".join(options[options.index("BLOCK") + 1 :][:1])
    if not milliseconds.isdecimal():
        return REPLY_TIMEOUT  # Redis refuses it
    return REPLY_TIMEOUT + int(milliseconds) / 1000 if int(milliseconds) else None


def _text(word: object) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
