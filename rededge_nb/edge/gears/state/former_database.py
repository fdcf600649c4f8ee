"""Moves the workers' state out of database 0, where it was up to commit a592920.

Each worker does this when it starts, in one transaction, so that it does not matter how many start at the same time.
No version that runs this code writes these keys to database 0. So what is found there is newer than what the state
database has: an older version has run in between.
"""

from __future__ import annotations

import json
import logging

import redis

from rededge_nb.edge.client import CommandArgs, key_names, pairs, transact
from rededge_nb.edge.client.state_database import database_of, state_client, state_database

logger = logging.getLogger(__name__)


def move_state(client: redis.Redis) -> None:
    """Move the workers' keys from the client's database to that of the state.

    Heartbeats and leases stay. They expire within seconds.
    """
    if state_client(client) is client or not client.execute_command("EXISTS", key_names.sessions_version(client)):
        return
    state = state_database(client)
    keys = _keys(client)
    moves: list[CommandArgs] = [("SELECT", state), ("DEL", *keys), ("SELECT", database_of(client))]
    transact(client, [*moves, *(("MOVE", key, state) for key in keys)])
    logger.info("the state of the workers was moved to database %d", state)


def _keys(client: redis.Redis) -> list[str]:
    """The names of all keys of the state that do not expire."""
    names = [
        key_names.ai_settings(client),
        key_names.gears_options(client),
        key_names.sessions(client),
        key_names.sessions_version(client),
        key_names.next_registration(client),
        key_names.next_execution(client),
        key_names.executions(client),
        key_names.live_executions(client),
        key_names.timers(client),
    ]
    for session_id, text in pairs(client.execute_command("HGETALL", key_names.sessions(client))).items():
        names.append(key_names.session_code(client, session_id.decode()))
        for registration in json.loads(text)["registrations"]:
            names += key_names.registration_keys(client, registration["id"]).values()
    for execution_id in client.execute_command("LRANGE", key_names.executions(client), 0, -1):
        names.append(key_names.execution(client, execution_id.decode()))
    return names
