"""What `rededge status` tells about a running instance, and how well it is."""

from __future__ import annotations

import time
from typing import Any

import redis

from rededge_nb.connection import refused, without_password
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.models import model_memory
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.server.instance import disk_use
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ServerUnavailableError
from rededge_nb.streams import server_errors

ANSWER_TIMEOUT = 5.0
"""Seconds after which a server that says nothing, or no worker that answers for it, is called away."""
WORKER_TIMEOUT = 20.0
"""Seconds that the first worker of a new instance may take."""
SIGN_OF_LIFE_TIMEOUT = 1.0
"""Seconds that a worker's next sign of life may take."""
LOOK_INTERVAL = 0.02
WELL = "ok"
FULL = 0.99
"""Share of `maxmemory` that counts as all of it."""

_MODULE = b"rededge"
_NOBODY_ANSWERED = ("NOWORKER", "WORKERLOST", "TIMEOUT", "BUSYWORKER")


def server_status(url: str, instance: Instance | None) -> dict[str, Any]:
    """Versions, memory, workers, models and registrations of a server, and what is known of an embedded instance.

    `state` is WELL, or what is not as it should be. Models and registrations are None where no worker tells of them.
    The password is not in it.

    Raises:
        ServerUnavailableError: the server does not answer.
    """
    client = client_from_url(url, timeout=ANSWER_TIMEOUT)
    try:
        info = client.info()
        # FLUSHALL takes their signs of life, which are there again in a moment
        workers = _workers_within(client, SIGN_OF_LIFE_TIMEOUT)
        known = _from_workers(client) if workers != 0 else None
    except redis.RedisError as error:
        raise ServerUnavailableError(_away(url, instance, error)) from error
    finally:
        client.close()
    gears = known["gears"] if known else []
    return (
        _embedded(instance)
        | {
            "state": "; ".join(problems(info, workers=workers, answered=known is not None, gears=gears)) or WELL,
            "redis_version": info["redis_version"],
            "redis_pid": info["process_id"],
            "uptime_seconds": info["uptime_in_seconds"],
            "memory_mb": round(info["used_memory"] / 1e6, 1),
            "workers": workers,
        }
        | (known or {"models": None, "gears": None})
    )


def count_workers(client: redis.Redis) -> int | None:
    """How many workers are alive; None where the server has other modules than ours, which need none."""
    modules: Any = client.execute_command("MODULE LIST")
    if not any(_MODULE in module.values() for module in modules):
        return None
    return sum(1 for _ in client.scan_iter(key_names.heartbeat(client, "*"), count=1000))


def wait_for_worker(url: str, timeout: float = WORKER_TIMEOUT) -> bool:
    """Wait until a worker is alive; False if none is after `timeout` seconds.

    Raises:
        ServerUnavailableError: the server does not answer.
    """
    client = client_from_url(url, timeout=ANSWER_TIMEOUT)
    try:
        with server_errors(client):
            return _workers_within(client, timeout) != 0
    finally:
        client.close()


def problems(
    info: dict[str, Any], *, workers: int | None, answered: bool = True, gears: list[dict[str, str]] | None = None
) -> list[str]:
    """What is not as it should be, a clause each; nothing where all is well.

    Args:
        info: the server's INFO, or at least its section `persistence`; `memory` tells whether it is full.
        workers: how many are alive; None for a server that needs none.
        answered: whether one of them has answered.
        gears: the registrations.
    """
    found = []
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append("Redis refuses writes, for it cannot save them: see whether the disk is full")
    most = info.get("maxmemory", 0)
    if most and info["used_memory"] - info["mem_not_counted_for_evict"] > FULL * most:
        found.append(f"Redis is full, {most / 1e6:.0f} MB: it takes nothing more until there is room")
    if workers == 0:
        found.append("no worker: commands of models and gears are not answered, and frames wait")
    elif not answered:
        found.append("no worker answers at the moment")
    paused = sorted(f"{gear['session']} on {gear['stream']}" for gear in gears or () if gear["status"] == "PAUSED")
    if paused:
        found.append(f"paused: {', '.join(paused)} (`rededge gears list` has the reason)")
    return found


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The facts as aligned text."""
    texts = dict(facts)
    if facts["gears"] is not None:
        texts["gears"] = ", ".join(
            f"{gear['session']} on {gear['stream']}: {gear['status']}" for gear in facts["gears"]
        )
    if facts["models"] is not None:
        texts["models"] = ", ".join(f"{model['key']} ({model['memory_mb']} MB)" for model in facts["models"])
    width = max(map(len, texts))
    shown = {name: "not known" if text is None else text for name, text in texts.items()}
    return [f"{name.replace('_', ' '):<{width}}  {text}".rstrip() for name, text in shown.items()]


def _workers_within(client: redis.Redis, timeout: float) -> int | None:
    """As count_workers, but none only if none shows for so many seconds."""
    deadline = time.monotonic() + timeout
    while (workers := count_workers(client)) == 0 and time.monotonic() < deadline:
        time.sleep(LOOK_INTERVAL)
    return workers


def _from_workers(client: redis.Redis) -> dict[str, Any] | None:
    """Models and registrations, which only workers can tell of; None if none answers."""
    try:
        models = model_memory(client)
        gears = list_registrations(client)
    except redis.TimeoutError:
        client.ping()  # Redis itself must answer
        return None
    except redis.ResponseError as error:
        if str(error).startswith(_NOBODY_ANSWERED):
            return None
        raise
    return {
        "models": [{"key": key, "memory_mb": round(size / 1e6, 1)} for key, size in models.items()],
        "gears": [{"session": gear.session, "stream": gear.stream, "status": gear.status} for gear in gears],
    }


def _embedded(instance: Instance | None) -> dict[str, Any]:
    if instance is None:
        return {}
    died = {"last_death": instance.last_death} if instance.last_death else {}
    return {
        "folder": str(instance.dir),
        "port": instance.port,
        "socket": str(instance.socket),
        "supervisor_pid": instance.pid,
        "restarts": instance.restarts,
        **died,
        "disk_mb": round(disk_use(instance.dir) / 1e6, 1),
    }


def _away(url: str, instance: Instance | None, error: redis.RedisError) -> str:
    where = instance.dir if instance else without_password(url)
    if isinstance(error, redis.AuthenticationError):
        return refused(where, error)
    message = f"the server at {where} does not answer as it should: {error}"
    if instance is None:
        return message
    died = f" ({instance.last_death})" if instance.last_death else ""
    return (
        f"{message}; its supervisor, process {instance.pid}, runs and starts it again if it has ended{died}: "
        f"see {instance.dir / 'logs'}"
    )
