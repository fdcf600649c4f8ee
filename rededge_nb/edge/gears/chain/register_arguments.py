"""The arguments of `register()` for each reader: checked, and with all defaults, as RG.DUMPREGISTRATIONS shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft

FAILURE_POLICIES = ("continue", "abort", "retry")
KEY_TYPES = ("empty", "string", "list", "hash", "set", "zset", "module", "stream")


@dataclass(frozen=True)
class RegisterRequest:
    """The arguments that a script gave to register()."""

    pattern: str
    mode: str
    keywords: dict[str, Any]
    drafts: list[Draft]
    """The registrations that the script has made before."""
    send: Callable[..., Any]
    """Sends a command and returns the reply as Redis sent it."""


def stream(request: RegisterRequest) -> dict[str, Any]:
    """The arguments of a registration with a StreamReader."""
    keywords = request.keywords
    policy = str(keywords.get("onFailedPolicy", "continue")).lower()
    if policy not in FAILURE_POLICIES:
        raise GearsError("onFailedPolicy must be Continue/Abort/Retry")
    if request.mode == "sync" and policy != "continue":
        raise GearsError("ExecutionMode sync can only be combined with OnFailedPolicy Continue")
    return {
        "batchSize": _number(keywords, "batch", 1, minimum=1),
        "durationMS": _number(keywords, "duration", 0),
        "stream": request.pattern,
        "trimStream": int(_boolean(keywords, "trimStream", True)),
        "onFailedPolicy": policy,
        "retryInterval": _number(keywords, "onFailedRetryInterval", 1),
    }


def keys(request: RegisterRequest) -> dict[str, Any]:
    """The arguments of a registration with a KeysReader."""
    events = _words(request.keywords, "eventTypes", "given event type is not string")
    types = _words(request.keywords, "keyTypes", "given key type is not string")
    if types is not None and not set(types) <= set(KEY_TYPES):
        raise GearsError("unknown key type")
    read_value = _boolean(request.keywords, "readValue", True)
    commands = request.keywords.get("commands")
    if commands is not None:
        if not isinstance(commands, Iterable):
            raise GearsError("given commands is not iterable")
        commands = list(commands)
        for command in commands:
            if not isinstance(command, str):
                raise GearsError("given command is not string")
            information = _information(request, command)
            if information is None:
                raise GearsError("bad reply on COMMAND command")
            if not information.hookable:
                raise GearsError("Can not hook a command which are not allowed inside a script")
            if information.movable_keys:
                raise GearsError("Can not hook a command with moveable keys by key prefix")
    return {"regex": request.pattern, "eventTypes": events, "keyTypes": types, "hookCommands": commands,
            "readValue": int(read_value)}  # fmt: skip


def commands(request: RegisterRequest) -> dict[str, Any]:
    """The arguments of a registration with a CommandReader."""
    trigger, hook = request.keywords.get("trigger"), request.keywords.get("hook")
    if trigger is None and hook is None:
        raise GearsError("no trigger or hook argument was given")
    inorder = int(_boolean(request.keywords, "inorder", False))
    if trigger is None:
        return _hook(request, hook, inorder)
    if hook is not None:
        raise GearsError("trigger and hook can not be given together")
    if not isinstance(trigger, str):
        raise GearsError("trigger argument is not string")
    others = (draft.arguments for draft in request.drafts if draft.reader == "CommandReader")
    if any(one["trigger"] == trigger and "hook" not in one for one in others):
        raise GearsError("trigger already registered in this session")
    return {"trigger": trigger, "inorder": inorder}


def _hook(request: RegisterRequest, command: Any, inorder: int) -> dict[str, Any]:
    """The arguments of a hook; RG.DUMPREGISTRATIONS shows its command as the trigger."""
    prefix = request.keywords.get("keyprefix")
    if not isinstance(command, str):
        raise GearsError("hook argument is not string")
    if prefix is not None and not isinstance(prefix, str):
        raise GearsError("keyprefix argument is not string")
    information = _information(request, command)
    if information is None:
        raise GearsError("Can not override an unexisting command")
    if not information.hookable:
        raise GearsError("Can not override a command which are not allowed inside a script")
    if prefix is not None and information.movable_keys:
        raise GearsError("Can not override a command with moveable keys by key prefix")
    return {"trigger": command, "inorder": inorder, "hook": command, "keyprefix": prefix,
            "positions": information.positions}  # fmt: skip


class CommandInformation(NamedTuple):
    """What COMMAND INFO says about a command."""

    hookable: bool
    movable_keys: bool
    positions: tuple[int, int, int]
    """Places of its first and last key, and the step between keys."""


def _information(request: RegisterRequest, command: str) -> CommandInformation | None:
    """None if there is no such command."""
    found = request.send("COMMAND", "INFO", command)[0]
    if found is None or b"|" in found[0]:
        return None
    name, _, flags, first, last, step, *_ = found
    name = name.lower()
    ours = name.startswith((b"edge.", b"rg.", b"ai."))  # workers answer them, so no script may wait for that
    hookable = b"noscript" not in flags and not ours and name != b"select"
    return CommandInformation(hookable, b"movablekeys" in flags, (first, last, step))


def _words(keywords: dict[str, Any], name: str, not_text: str) -> list[str] | None:
    given = keywords.get(name)
    if given is None:
        return None
    if not isinstance(given, Iterable):
        raise GearsError(f"given {name} is not iterable")
    words = list(given)
    if not all(isinstance(word, str) for word in words):
        raise GearsError(not_text)
    return [word.lower() for word in words]


def _boolean(keywords: dict[str, Any], name: str, default: bool) -> bool:
    value = keywords.get(name, default)
    if not isinstance(value, bool):
        raise GearsError(f"{name} argument must be a boolean")
    return value


def _number(keywords: dict[str, Any], name: str, default: int, *, minimum: int = 0) -> int:
    value = keywords.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise GearsError(f"{name} argument must be a number of at least {minimum}")
    return value
