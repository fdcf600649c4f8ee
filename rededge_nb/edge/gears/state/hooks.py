"""The hooks of registrations, as the switchboard knows them (EDGE.HOOK): commands with a gear, and keyspace events.

They are set in the transaction that stores the registration, so that no event and no command is missed, and they are
stored beside it: the switchboard reads them when Redis has loaded its data, before any client is served.
"""

from __future__ import annotations

from typing import Any

import redis

from rededge_nb.edge.client import key_names

SEPARATORS = set(" ,\0")


def hook_spec(reader: str, mode: str, arguments: dict[str, Any], database: int) -> str | None:
    """The hook of a registration in the syntax of EDGE.HOOK; None if it has none.

    Args:
        reader: Its reader.
        mode: Its mode.
        arguments: Its arguments, from chain.register_arguments.
        database: The database of clients, whose events gears get.
    """
    match reader:
        case "CommandReader" if "hook" in arguments:
            prefix = arguments["keyprefix"] or ""
            return f"hook {database} {arguments['hook'].lower()} * {prefix}*"
        case "KeysReader":
            commands, events = arguments["hookCommands"], arguments["eventTypes"]
            kind = "linked" if commands is not None or mode == "sync" else "events"
            names = "*" if commands is None else ",".join(commands).lower()
            # Redis has no events with a comma or a space in their names
            wanted = (
                "*" if events is None else ",".join(event for event in events if not SEPARATORS & set(event)) or ","
            )
            return f"{kind} {database} {names} {wanted} {arguments['regex']}"
        case "StreamReader" if mode == "sync":
            return f"linked {database} xadd xadd {arguments['stream']}"
        case _:
            return None


def queue_hook(pipeline: Any, registration_id: str, spec: str) -> None:
    """Add the commands that set and store a hook to a pipeline."""
    pipeline.execute_command("HSET", key_names.hooks(pipeline), registration_id, spec)
    pipeline.execute_command("EDGE.HOOK", registration_id, spec)


def queue_removal(pipeline: Any, registration_id: str) -> None:
    """Add the commands that remove a hook to a pipeline; there may be none."""
    pipeline.execute_command("HDEL", key_names.hooks(pipeline), registration_id)
    pipeline.execute_command("EDGE.UNHOOK", registration_id)


def stored_hooks(client: redis.Redis) -> set[str]:
    """The ids of the registrations whose hooks are stored."""
    return {name.decode() for name in client.execute_command("HKEYS", key_names.hooks(client))}
