"""Sends a command from a cell. What gear code prints is shown there, and interrupting the cell aborts the gear."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import redis

from rededge_nb.edge.client import client_like, key_names
from rededge_nb.jupyter.command_line import Argument

START_TIMEOUT = 2.0
"""Seconds in which a gear that runs becomes known to all workers, so that it can be aborted."""
RETRY_INTERVAL = 0.1
JOIN_TIMEOUT = 5.0
"""Seconds to wait for the last output."""


def send(client: redis.Redis, command: list[Argument | str]) -> Any:
    """The reply to a command. An error of the server is returned, not raised.

    Raises:
        KeyboardInterrupt: the cell was interrupted; the text says what became of the command.
    """
    command, session = _with_session(command)
    try:
        with _output_shown(client, session) if session else contextlib.nullcontext():
            try:
                return client.execute_command(*command)
            except KeyboardInterrupt:
                # redis-py has closed the connection, which ends a command that blocks, but no gear
                outcome = _abort(client, session) if session else "the server no longer waits for this command"
                raise KeyboardInterrupt(outcome) from None
    except redis.ResponseError as error:
        return error


def _with_session(command: list[Argument | str]) -> tuple[list[Argument | str], str | None]:
    """A command, and the id of its session if it is RG.PYEXECUTE, which gets one if it has none."""
    if len(command) < 2 or _text(command[0]).upper() != "RG.PYEXECUTE":
        return command, None
    options = [_text(word).upper() for word in command[2:]]
    if "REQUIREMENTS" in options:
        options = options[: options.index("REQUIREMENTS")]
    if "ID" in options[:-1]:
        return command, _text(command[2 + options.index("ID") + 1])
    session = secrets.token_hex(20)  # as long as those that RedisGears chooses
    return [*command[:2], "ID", session, *command[2:]], session


@contextlib.contextmanager
def _output_shown(client: redis.Redis, session: str) -> Iterator[None]:
    """Print what the gear code of a session prints, while the block runs."""
    with contextlib.closing(client_like(client)) as other, other.pubsub() as subscription:
        channel = key_names.output_channel(session)
        try:
            subscription.subscribe(channel)
            subscription.parse_response()  # the confirmation: from now on nothing is missed
        except redis.ResponseError:
            yield  # this user may not subscribe; the worker's log has the output
            return
        end = secrets.token_bytes(16)
        thread = threading.Thread(target=_print, args=(subscription, end), name="output of a gear", daemon=True)
        thread.start()
        try:
            yield
        finally:
            # the worker publishes the output before it replies, so this is the last message
            with contextlib.suppress(redis.RedisError):
                other.execute_command("PUBLISH", channel, end)
            thread.join(JOIN_TIMEOUT)


def _print(subscription: Any, end: bytes) -> None:
    text = "\n"
    with contextlib.suppress(redis.RedisError, OSError, ValueError):  # the server is away: the command itself says so
        for message in subscription.listen():
            if message["data"] == end:
                break
            if message["type"] == "message":
                text = message["data"].decode(errors="replace")
                print(text, end="")
    if not text.endswith("\n"):
        print()  # what follows is not the gear's


def _abort(client: redis.Redis, session: str) -> str:
    """Abort what a session runs; returns what happened."""
    deadline = time.monotonic() + START_TIMEOUT
    with contextlib.closing(client_like(client)) as other:
        while True:
            try:
                other.execute_command("RG.ABORTEXECUTION", session)
            except redis.ResponseError as error:
                if "does not exist" not in str(error):
                    return f"the gear was not aborted: {error}"
                if time.monotonic() > deadline:
                    return "the gear had ended, or had not begun"
                time.sleep(RETRY_INTERVAL)
            else:
                return "the gear was aborted"


def _text(argument: Argument | str) -> str:
    return argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
