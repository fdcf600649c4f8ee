"""Which commands wait for a gear or are answered by one."""

from __future__ import annotations

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client


def hooked_commands(client: redis.Redis) -> list[dict[str, str]]:
    """Commands with hooks, as the workers have stored them: `commands`, `keys`, `registration`.

    Raises:
        redis.RedisError: the server does not answer.
    """
    found = []
    own = state_client(client)
    stored = own.hgetall(key_names.hooks(own))
    for registration, spec in sorted((_text(name), _text(value)) for name, value in stored.items()):
        kind, _, commands, _, keys = spec.split(" ", 4)
        if kind != "events":
            named = "all commands that write" if commands == "*" else commands.replace(",", ", ")
            found.append({"commands": named, "keys": keys, "registration": registration})
    return found


def without_worker(hooked: list[dict[str, str]], workers: int | None) -> list[str]:
    """One sentence if commands are refused because no worker runs the gears that they need."""
    if workers != 0 or not hooked:
        return []
    names = "; ".join(sorted({one["commands"] for one in hooked}))
    return [f"no worker runs, and these commands are refused until one does, because gears belong to them: {names}"]


def described(hooked: list[dict[str, str]]) -> str:
    """One line about them."""
    return "; ".join(f"{one['commands']} on {one['keys']} (registration {one['registration']})" for one in hooked)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
