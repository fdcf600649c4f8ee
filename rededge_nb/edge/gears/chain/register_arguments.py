"""The arguments of `register()` for each reader: checked, and with all defaults, as RG.DUMPREGISTRATIONS shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft

FAILURE_POLICIES = ("continue", "abort", "retry")
KEY_TYPES = ("empty", "string", "list", "hash", "set", "zset", "module", "stream")
OUTSIDE_THE_SERVER = "is not possible here: gears run outside the Redis process, which {}"


@dataclass(frozen=True)
class RegisterRequest:
    """The arguments that a script gave to register()."""

    pattern: str
    mode: str
    keywords: dict[str, Any]
    drafts: list[Draft]
    """The registrations that the script has made before."""


def stream(request: RegisterRequest) -> dict[str, Any]:
    """The arguments of a registration with a StreamReader."""
    keywords = request.keywords
    policy = str(keywords.get("onFailedPolicy", "continue")).lower()
    if policy not in FAILURE_POLICIES:
        raise GearsError("onFailedPolicy must be Continue/Abort/Retry")
    if request.mode == "sync":
        if policy != "continue":
            raise GearsError("ExecutionMode sync can only be combined with OnFailedPolicy Continue")
        raise _no_sync()
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
    if request.keywords.get("commands") is not None:
        raise GearsError(
            f"commands {OUTSIDE_THE_SERVER.format('answers its commands at once')}; "
            "register on eventTypes instead, or let clients call a CommandReader's trigger"
        )
    if request.mode == "sync":
        raise _no_sync()
    return {"regex": request.pattern, "eventTypes": events, "keyTypes": types, "hookCommands": None,
            "readValue": int(read_value)}  # fmt: skip


def commands(request: RegisterRequest) -> dict[str, Any]:
    """The arguments of a registration with a CommandReader."""
    trigger, hook = request.keywords.get("trigger"), request.keywords.get("hook")
    if trigger is None and hook is None:
        raise GearsError("no trigger or hook argument was given")
    if trigger is None:
        if not isinstance(hook, str):
            raise GearsError("hook argument is not string")
        raise GearsError(
            f"a hook on {hook} {OUTSIDE_THE_SERVER.format('lets nobody else answer its commands')}; "
            "let clients call a trigger instead"
        )
    if hook is not None:
        raise GearsError("trigger and hook can not be given together")
    if not isinstance(trigger, str):
        raise GearsError("trigger argument is not string")
    if any(draft.reader == "CommandReader" and draft.arguments["trigger"] == trigger for draft in request.drafts):
        raise GearsError("trigger already registered in this session")
    return {"trigger": trigger, "inorder": int(_boolean(request.keywords, "inorder", False))}


def _no_sync() -> GearsError:
    return GearsError(f"ExecutionMode sync {OUTSIDE_THE_SERVER.format('does not wait for them')}, use async")


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
