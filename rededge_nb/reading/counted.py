"""What the model in use counts: people, or objects of another class."""

from __future__ import annotations

from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.counted import CLASS, PLURAL, Counted, counted_of
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.client.shard import key_here


def counted_now(client: redis.Redis) -> Counted:
    """What the gear's model counts on this server, in a cluster on this shard: people if no settings say otherwise."""
    with server_errors(client):
        values: Any = client.hmget(key_here(client, schema.GEAR_SETTINGS_KEY), CLASS, PLURAL)
    names = zip((CLASS, PLURAL), values, strict=True)
    return counted_of({name: _text(value) for name, value in names if value})


def counted_in(fields: dict[bytes, bytes]) -> Counted:
    """What was counted, as the fields of an entry say."""
    names = (CLASS, PLURAL)
    return counted_of({name: _text(fields[name.encode()]) for name in names if name.encode() in fields})


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
