"""The database in which the workers keep their state.

What a client sees in its database should be what clients have put there: `DBSIZE`, `KEYS *` and a gear's
`execute('keys', '*')` must not show registrations, leases and heartbeats. So the workers keep these in a database of
their own: number PREFERRED, or the last one of a server that has fewer. A Redis Cluster has a single database, and so
may a managed Redis. There, the state is in database 0, under keys that begin with `rededge:`.

Not a database beyond the usual 16: a replica or a Redis with the default configuration could not load the data then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis

from rededge_nb.edge.client import key_names, shard
from rededge_nb.edge.client.commands import CommandArgs
from rededge_nb.edge.client.connecting import client_like

PREFERRED = 15
"""Redis has databases 0 to 15 by default."""

_clients: WeakKeyDictionary[Any, redis.Redis | None] = WeakKeyDictionary()
"""The client of the state database by the connection pool of another client; None if that uses the same database."""


def state_client(client: redis.Redis) -> redis.Redis:
    """A client like another one, but of the database in which the workers keep their state.

    Raises:
        redis.ConnectionError: The server does not answer.
    """
    pool = client.connection_pool
    if pool not in _clients:
        own = _find(client)
        if own is not None:
            own.response_callbacks = client.response_callbacks
        _clients[pool] = own
    return _clients[pool] or client


def state_database(client: redis.Redis) -> int:
    """The number of that database.

    Raises:
        redis.ConnectionError: The server does not answer.
    """
    return database_of(state_client(client))


def in_state_database(client: redis.Redis, commands: Sequence[CommandArgs]) -> list[CommandArgs]:
    """Commands on the workers' state, for a transaction that is sent on a connection of `client`."""
    own, state = database_of(client), state_database(client)
    return list(commands) if own == state else [("SELECT", state), *commands, ("SELECT", own)]


def is_own_key(client: redis.Redis, key: bytes) -> bool:
    """Whether a key in the client's database belongs to the workers' state: never, where that has its own database."""
    return key.startswith(key_names.PREFIX.encode()) and state_client(client) is client


def database_of(client: redis.Redis) -> int:
    """The number of the database that a client uses."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def _find(client: redis.Redis) -> redis.Redis | None:
    """The client of the state database; None if `client` uses that."""
    if shard.tag(client) is not None:
        return None
    for number in range(PREFERRED, 0, -1):
        if number == database_of(client):
            return None
        found = client_like(client, db=number)
        try:
            found.ping()
        except redis.ResponseError as error:
            if str(error).startswith("MISCONF"):  # the disk is full: the database is there nevertheless
                return found
            found.close()
            if "out of range" not in str(error):
                raise
        else:
            return found
    return None if database_of(client) == 0 else client_like(client, db=0)
