"""Connecting to a server that has all that the workbench needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import MovedError

from rededge_nb import schema, settings, streams
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, shard
from rededge_nb.errors import ConfigurationError, MissingModuleError, ServerUnavailableError

NEEDED = {
    "TS.MADD": "RedisTimeSeries (it is part of Redis 8 and of Redis Stack; elsewhere `loadmodule redistimeseries.so`)",
    "AI.MODELEXECUTE": "the edge module or RedisAI",
    "RG.PYEXECUTE": "the edge module or RedisGears 1.x",
}
"""A command of each module, and what its absence means."""

ADD_EDGE_MODULE = (
    "to add the edge module to your own server, put the line that `rededge module` prints into its redis.conf, and run "
    "`REDIS_URL=… rededge worker` beside it; "
    "or unset REDIS_URL and let `rededge up` start a server that has everything"
)


def resolve_url(url: str | None = None, *, directory: Path | None = None) -> str:
    """The address to use: `url`, else the instance in `directory`, else REDIS_URL, else the running server.

    Raises:
        ServerUnavailableError: none of these is there.
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
    except redis.AuthenticationError as error:
        client.close()
        raise ServerUnavailableError(refused(without_password(address), error)) from error
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


@contextlib.contextmanager
def shard_of(client: redis.Redis, camera: object) -> Iterator[redis.Redis]:
    """The client, or in a Redis Cluster one of the shard that has the camera's keys, for as long as the block lasts.

    Raises:
        ConfigurationError: the camera's keys would lie on several shards.
        ServerUnavailableError: its shard does not answer.
    """
    with _client_at(client, _place(client, camera)) as found:
        yield found


def by_shard(client: redis.Redis, cameras: Iterable[str]) -> Iterator[tuple[redis.Redis, list[str]]]:
    """Cameras with a client of the server that has their keys; without cameras the client itself.

    Raises:
        ConfigurationError: a camera's keys would lie on several shards of a Redis Cluster.
        ServerUnavailableError: a shard does not answer.
    """
    places = {camera: _place(client, camera) for camera in cameras}
    for place in dict.fromkeys(places.values()) or [None]:
        with _client_at(client, place) as found:
            yield found, [camera for camera in places if places[camera] == place]


def refused(where: object, error: redis.RedisError) -> str:
    """What to say of a server that refuses the password."""
    return (
        f"the server at {where} refuses the password: {error}; if the one in the state folder was changed, "
        "`rededge down` and `rededge up` let the server take it"
    )


def without_password(url: str) -> str:
    """The address as it may be shown."""
    scheme, separator, rest = url.partition("://")
    credentials, at, location = rest.rpartition("@")
    return f"{scheme}{separator}{'***@' if at and credentials else ''}{location}"


def _place(client: redis.Redis, camera: object) -> tuple[str, int] | None:
    """Host and port of the shard that has the camera's keys; None for the client's own server."""
    with streams.server_errors(client):
        if shard.tag(client) is None:
            return None
    key = schema.frames_key(camera)
    if not shard.same_slot(key, schema.detections_key(camera)):
        raise ConfigurationError(
            f"camera {camera} in a Redis Cluster: its frames, detections and series would lie on several shards; "
            f"name it {{{camera}}}, braces included, and all of them lie on one"
        )
    with streams.server_errors(client):
        try:
            client.exists(key)
        except MovedError as moved:
            return moved.host, moved.port
    return None


@contextlib.contextmanager
def _client_at(client: redis.Redis, place: tuple[str, int] | None) -> Iterator[redis.Redis]:
    """A client of another shard with all that the given one was made with; that one itself where there is no place."""
    if place is None:
        yield client
        return
    pool = client.connection_pool
    over_socket = issubclass(pool.connection_class, redis.UnixDomainSocketConnection)
    # redis-py refuses its own maintenance notifications, on by default, under any protocol but 3
    copied = {name: value for name, value in pool.connection_kwargs.items() if "maint_notifications" not in name}
    copied.pop("path", None)
    host, port = place
    settings_there: dict[str, Any] = {**copied, "host": host or copied.get("host", "localhost"), "port": port}
    made_by = redis.Connection if over_socket else pool.connection_class
    other = redis.Redis.from_pool(redis.ConnectionPool(connection_class=made_by, **settings_there))
    try:
        with streams.server_errors(other):
            yield other
    finally:
        other.close()
