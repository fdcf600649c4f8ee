"""What `rededge status` shows: the state of a server, its workers, models and gears.

Redis may be alive while no worker is, or the other way round, and each can hang. So this module never waits longer
than ANSWER_TIMEOUT for one of them, and reports what it learned from the other.
"""

from __future__ import annotations

import time
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.addresses import shown_address
from rededge_nb.analytics.pace import LEAST_FPS
from rededge_nb.connection import refused
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.models import model_memory
from rededge_nb.control.provision import known_cameras, read_settings
from rededge_nb.control.worker_code import other_code
from rededge_nb.edge.client import client_from_url, key_names, server_errors
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.instance import disk_use
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import MissingModuleError, ServerUnavailableError
from rededge_nb.monitoring.hooked import described, hooked_commands, without_worker
from rededge_nb.monitoring.workloads import blocked
from rededge_nb.reading.events import silent_cameras
from rededge_nb.reading.too_few_frames import too_few_frames

ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer of Redis, or of a worker, before it counts as unavailable."""
WORKER_TIMEOUT = 20.0
"""Seconds that the first worker of a new instance may need to start."""
HEARTBEAT_TIMEOUT = 1.0
"""Seconds to wait for the next heartbeat of a worker."""
POLL_INTERVAL = 0.02
OK = "ok"
CANNOT_RUN = "CANNOT RUN"
"""In place of the status of a registration that a worker could not start."""
RETRYING = "WAITING_FOR_RETRY_ON_FAILURE"
"""The status of a registration whose batch failed and is tried again."""
MIN_DEATHS = 3
"""How often a process must have died in a row to be reported as a problem."""
HOUR_MS = 3_600_000
FULL = 0.99
"""Share of `maxmemory` above which Redis counts as full."""

_MODULE = b"rededge"
_NO_ANSWER = ("NOWORKER", "WORKERLOST", "TIMEOUT", "BUSYWORKER")


def server_status(url: str, instance: Instance | None) -> dict[str, Any]:
    """Return versions, memory, workers, models and registrations of a server.

    `state` is OK, or a list of the problems; `warnings` is a list of sentences about what is not right while the server
    works: counts that are not reliable, and workers that have loaded another version of this package. Models and
    registrations are None if no worker answers. For an embedded instance there are also its folder, addresses and
    restarts. No password is in the result.

    Raises:
        ServerUnavailableError: the server does not answer.
    """
    client = client_from_url(url, timeout=ANSWER_TIMEOUT)
    try:
        info = client.info()
        # FLUSHALL deletes the heartbeats; the workers write new ones within a second
        workers = _workers_within(client, HEARTBEAT_TIMEOUT)
        known = _from_workers(client) if workers != 0 else None
        gears = known["gears"] if known else []
        hooked = hooked_commands(client)
        found = blocked(client, gears) + missing_models(client, known) + without_worker(hooked, workers)
        found += silence(client)
        warnings = slow_cameras(client) + ([old] if (old := other_code(client)) else [])
    except redis.RedisError as error:
        raise ServerUnavailableError(_unavailable(url, instance, error)) from error
    finally:
        client.close()
    return (
        _embedded(instance)
        | {
            "state": "; ".join(
                [
                    *(dying_children(instance) if instance is not None else ()),
                    *problems(info, workers=workers, answered=known is not None, gears=gears),
                    *found,
                ]
            )
            or OK,
            "redis_version": info["redis_version"],
            "redis_pid": info["process_id"],
            "uptime_seconds": info["uptime_in_seconds"],
            "memory_mb": round(info["used_memory"] / 1e6, 1),
            "workers": workers,
        }
        | {"warnings": warnings}
        | (known or {"models": None, "gears": None})
        | {"hooks": hooked}
    )


def count_workers(client: redis.Redis) -> int | None:
    """Return the number of live workers, or None for a server with the original modules, which needs no workers."""
    modules: Any = client.execute_command("MODULE LIST")
    if not any(_MODULE in module.values() for module in modules):
        return None
    return sum(1 for _ in state_client(client).scan_iter(key_names.heartbeat(client, "*"), count=1000))


def wait_for_worker(url: str, timeout: float = WORKER_TIMEOUT) -> bool:
    """Wait until a worker is alive. Returns False if there is none after `timeout` seconds.

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
    """Return one sentence for each problem.

    Args:
        info: The server's INFO. Its section `persistence` is required. Without `memory`, a full Redis is not noticed.
        workers: Number of live workers; None for a server that needs none.
        answered: Whether a worker has answered.
        gears: The registrations.
    """
    found = []
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append("Redis refuses writes because it cannot save them: check whether the disk is full")
    limit = info.get("maxmemory", 0)
    if limit and info["used_memory"] - info["mem_not_counted_for_evict"] > FULL * limit:
        found.append(f"Redis is full, {limit / 1e6:.0f} MB: it refuses writes until memory is free")
    if workers == 0:
        found.append("no worker runs: AI.* and RG.* commands get no answer, and frames wait")
    elif not answered:
        found.append("no worker answers now")
    paused = sorted(f"{gear['session']} on {gear['stream']}" for gear in gears or () if gear["status"] == "PAUSED")
    if paused:
        found.append(f"paused: {', '.join(paused)} (`rededge gears errors` shows the reason)")
    found += [
        f"{gear['session']} on {gear['stream']} fails and only tries again: {gear['last_error']}"
        for gear in gears or ()
        if gear["status"] == RETRYING
    ]
    broken = sorted({gear["session"] for gear in gears or () if gear["status"] == CANNOT_RUN})
    if broken:
        found.append(f"cannot run: {', '.join(broken)} (`rededge gears errors` shows the reason and what to do)")
    return found


def missing_models(client: redis.Redis, known: dict[str, Any] | None) -> list[str]:
    """Return a sentence if the people counter runs for cameras, but its model is not stored."""
    if known is None or not known_cameras(client):
        return []
    key = read_settings(client).get("model")
    if key is None or key in {model["key"] for model in known["models"]}:
        return []
    return [f"the model {key} is not stored, so no frame can be counted: store it with `rededge init`"]


def silence(client: redis.Redis) -> list[str]:
    """Return a sentence if cameras are silent."""
    silent = silent_cameras(client, known_cameras(client))
    texts = [
        f"{camera} (since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime((event.since_ms or event.ts_ms) / 1000))})"
        for camera, event in silent.items()
    ]
    return [f"cameras that send no frames: {', '.join(texts)}"] if texts else []


def slow_cameras(client: redis.Redis) -> list[str]:
    """Return a sentence if the model saw too few frames of cameras in the last hour to follow people."""
    now_ms = client.time()[0] * 1000
    try:
        found = too_few_frames(client, now_ms - HOUR_MS, now_ms + schema.CLOCK_SLACK_MS)
    except MissingModuleError:
        return []  # nothing is counted on such a server
    texts = [f"{camera} ({each.fps:.1f} a second)" for camera, each in found.items()]
    words = (
        "the model saw too few frames in the last hour to follow people, so people seen, crossings and stays are not "
        f"reliable: camera {', '.join(texts)}; {LEAST_FPS} a second are needed (`rededge events` says what to do)"
    )
    return [words] if texts else []


def dying_children(instance: Instance) -> list[str]:
    """Return one sentence for each process of an embedded server that keeps dying, and for its damaged files."""
    found = [instance.problem] if instance.problem else []
    for trouble in instance.troubles:
        if trouble.deaths < MIN_DEATHS:
            continue
        wait = trouble.next_start - time.time()
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trouble.since))
        start = f"it is started again in {wait:.0f} s" if wait > 0 else "it was started again"
        found.append(f"{trouble.child} has died {trouble.deaths} times since {since}: {trouble.reason}; {start}")
    return found


def status_lines(facts: dict[str, Any]) -> list[str]:
    """Format the facts as aligned lines."""
    texts = dict(facts)
    if facts["gears"] is not None:
        texts["gears"] = ", ".join(
            f"{gear['session']} on {gear['stream']}: {gear['status']}" for gear in facts["gears"]
        )
    if facts["models"] is not None:
        texts["models"] = ", ".join(f"{model['key']} ({model['memory_mb']} MB)" for model in facts["models"])
    texts["warnings"] = "; ".join(facts["warnings"]) or "none"
    texts["hooks"] = described(facts["hooks"]) or "none"
    width = max(map(len, texts))
    shown = {name: "not known" if text is None else text for name, text in texts.items()}
    return [f"{name.replace('_', ' '):<{width}}  {text}".rstrip() for name, text in shown.items()]


def _workers_within(client: redis.Redis, timeout: float) -> int | None:
    """Count the workers; report none only after none was alive for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (workers := count_workers(client)) == 0 and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    return workers


def _from_workers(client: redis.Redis) -> dict[str, Any] | None:
    """Return models and registrations, which only workers know, or None if no worker answers."""
    try:
        models = model_memory(client)
        gears = list_registrations(client)
    except redis.TimeoutError:
        client.ping()  # raises if it is Redis that does not answer
        return None
    except redis.ResponseError as error:
        if str(error).startswith(_NO_ANSWER):
            return None
        raise
    return {
        "models": [{"key": key, "memory_mb": round(size / 1e6, 1)} for key, size in models.items()],
        "gears": [
            {
                "id": gear.id,
                "session": gear.session,
                "stream": gear.stream,
                "status": CANNOT_RUN if gear.cannot_run else gear.status,
                "last_error": gear.last_error.splitlines()[-1] if gear.last_error else "",
            }
            for gear in gears
        ],
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


def _unavailable(url: str, instance: Instance | None, error: redis.RedisError) -> str:
    where = instance.dir if instance else shown_address(url)
    if isinstance(error, redis.AuthenticationError):
        return refused(where, error)
    message = f"the server at {where} does not answer: {error}"
    if instance is None:
        return message
    died = f" ({instance.last_death})" if instance.last_death else ""
    dying = "".join(f"; {sentence}" for sentence in dying_children(instance))
    return (
        f"{message}; its supervisor (process {instance.pid}) runs, and starts it again if it has ended{died}{dying}: "
        f"see {instance.dir / 'logs'}"
    )
