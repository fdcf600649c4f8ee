"""Connecting to a server that has all that the workbench needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import ConfigurationError, MissingModuleError, ServerUnavailableError

NEEDED = {
    "TS.MADD": "RedisTimeSeries (it is part of Redis 8 and of Redis Stack; elsewhere `loadmodule redistimeseries.so`)",
    "AI.MODELEXECUTE": "the edge module or RedisAI",
    "RG.PYEXECUTE": "the edge module or RedisGears 1.x",
}
"""A command of each module, and what its absence means."""

ADD_EDGE_MODULE = (
    "to add the edge module to your own server, load _switchboard.so of this package with the arguments that "
    "`rededge module` prints, and run `REDIS_URL=… python -m rededge_nb.edge.worker` beside it; "
    "or unset REDIS_URL and let `rededge up` start a server that has everything"
)


def resolve_url(url: str | None = None, *, directory: Path | None = None) -> str:
    """The address to use: `url`, else the instance in `directory`, else REDIS_URL, else the running instance.

    Raises:
        ServerUnavailableError: none of these is there.
    """
    if url:
        return url
    if directory is None and settings.redis_url():
        return str(settings.redis_url())
    instance = server.find(directory)
    if instance is None:
        raise ServerUnavailableError(
            f"no RedisEdge runs in {directory or settings.state_dir()}: start one with `rededge up --detach`, "
            "or set REDIS_URL to a server"
        )
    return instance.url


def connect(url: str | None = None, *, directory: Path | None = None) -> redis.Redis:
    """A client (bytes replies, RESP2) of a server that was seen to answer and to have the modules needed.

    Raises:
        ServerUnavailableError: nothing answers there, or it refuses the password.
        MissingModuleError: it lacks RedisTimeSeries or the edge module.
        ConfigurationError: the address is none.
    """
    address = resolve_url(url, directory=directory)
    try:
        client = client_from_url(address)
    except ValueError as error:
        raise ConfigurationError(f"{without_password(address)!r} is not a Redis address: {error}") from error
    try:
        client.ping()
        listed: Any = client.command_list()
    except redis.RedisError as error:
        client.close()
        raise ServerUnavailableError(f"the server at {without_password(address)} cannot be used: {error}") from error
    known = {bytes(name).decode().upper() for name in listed}
    missing = [what for command, what in NEEDED.items() if command not in known]
    if missing:
        client.close()
        raise MissingModuleError(
            f"the server at {without_password(address)} lacks {' and '.join(missing)}: {ADD_EDGE_MODULE}"
        )
    return client


def without_password(url: str) -> str:
    """The address as it may be shown."""
    scheme, separator, rest = url.partition("://")
    credentials, at, location = rest.rpartition("@")
    return f"{scheme}{separator}{'***@' if at and credentials else ''}{location}"
