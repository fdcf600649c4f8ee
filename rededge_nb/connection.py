"""Connecting to a server that has the modules which the workbench needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import MovedError

from rededge_nb import schema, settings
from rededge_nb.addresses import shown_address
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, client_like, server_errors, shard
from rededge_nb.errors import ConfigurationError, MissingModuleError, ServerUnavailableError

NEEDED = {
    "TS.MADD": "RedisTimeSeries (it is part of Redis 8 and of Redis Stack; elsewhere `loadmodule redistimeseries.so`)",
    "AI.MODELEXECUTE": "the edge module or RedisAI",
    "RG.PYEXECUTE": "the edge module or RedisGears 1.x",
}
"""For each module a command of it, and the text that names the module if the command is missing."""

ADD_EDGE_MODULE = (
    "to add the edge module to your own server, put the line that `rededge module` prints into its redis.conf, and run "
    "`REDIS_URL=… rededge worker` beside it; "
    "or unset REDIS_URL and let `rededge up` start a server that has everything"
)


def resolve_url(url: str | None = None, *, directory: Path | None = None) -> str:
    """The address to use: `url`, or the instance in `directory`, or REDIS_URL, or the running embedded server.

    Raises:
        ServerUnavailableError: There is none of these.
    """
    if url:
        return url
    if directory is None and settings.redis_url():
        return str(settings.redis_url())
    instance = server.find(directory)
    if instance is None:
        raise ServerUnavailableError(f"{server.not_running(directory)}, or set REDIS_URL to a server")
    return instance.url


def connect(url: str | None = None, *, directory: Path | None = None) -> redis.Redis:
    """A client (bytes replies, RESP2) of a server that answers and has all modules.

    Raises:
        ServerUnavailableError: The server does not answer, or refuses the password.
        MissingModuleError: The server does not have RedisTimeSeries or the edge module.
        ConfigurationError: The address is not a Redis address.
    """
    address = resolve_url(url, directory=directory)
    client = client_from_url(address)
    try:
        client.ping()
        listed: Any = client.command_list()
    except redis.AuthenticationError as error:
        client.close()
        raise ServerUnavailableError(refused(shown_address(address), error)) from error
    except redis.RedisError as error:
        client.close()
        raise ServerUnavailableError(f"the server at {shown_address(address)} cannot be used: {error}") from error
    known = {bytes(name).decode().upper() for name in listed}
    missing = [what for command, what in NEEDED.items() if command not in known]
    if missing:
        client.close()
        raise MissingModuleError(
            f"the server at {shown_address(address)} lacks {' and '.join(missing)}: {ADD_EDGE_MODULE}"
        )
    return client


@contextlib.contextmanager
def shard_of(client: redis.Redis, camera: object) -> Iterator[redis.Redis]:
    """A client of the server that has the camera's keys: the client itself, except in a Redis Cluster.

    Raises:
        ConfigurationError: The camera's keys would be on several shards of the cluster.
        ServerUnavailableError: The shard does not answer.
    """
    with _client_at(client, _place(client, camera)) as found:
        yield found


def by_shard(client: redis.Redis, cameras: Iterable[str]) -> Iterator[tuple[redis.Redis, list[str]]]:
    """For each server that has keys of these cameras: a client of it, and its cameras. Without cameras: the client
    itself.

    Raises:
        ConfigurationError: A camera's keys would be on several shards of the cluster.
        ServerUnavailableError: A shard does not answer.
    """
    places = {camera: _place(client, camera) for camera in cameras}
    for place in dict.fromkeys(places.values()) or [None]:
        with _client_at(client, place) as found:
            yield found, [camera for camera in places if places[camera] == place]


def refused(where: object, error: redis.RedisError) -> str:
    """The message for a server that refuses the password."""
    return (
        f"the server at {where} refuses the password: {error}; if the password in the state folder was "
        "changed, restart the server with `rededge down` and `rededge up`"
    )


def _place(client: redis.Redis, camera: object) -> tuple[str, int] | None:
    """Host and port of the shard that has the camera's keys; None if that is the client's own server."""
    with server_errors(client):
        if shard.tag(client) is None:
            return None
    key = schema.frames_key(camera)
    if not shard.same_slot(key, schema.detections_key(camera)):
        raise ConfigurationError(
            f"camera {camera} in a Redis Cluster: its frames, detections and series would be on several shards; "
            f"name it {{{camera}}}, with the braces, and all of them are on one shard"
        )
    with server_errors(client):
        try:
            client.exists(key)
        except MovedError as moved:
            return moved.host, moved.port
    return None


@contextlib.contextmanager
def _client_at(client: redis.Redis, place: tuple[str, int] | None) -> Iterator[redis.Redis]:
    """A client of another shard with the same settings; the client itself if `place` is None."""
    if place is None:
        yield client
        return
    host, port = place
    own_host = client.connection_pool.connection_kwargs.get("host", "localhost")
    # a cluster whose node has one address only reports it as an empty host
    other = client_like(client, over_tcp=True, host=host or own_host, port=port)
    try:
        with server_errors(other):
            yield other
    finally:
        other.close()
