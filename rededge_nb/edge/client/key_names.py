"""The keys in which the workers keep what they know: the only place where they are spelled.

All begin with `rededge:`. On a shard of a Redis Cluster its tag follows, `rededge:{06S}:…`, so that the shard's workers
have all they know on the shard that they serve, and in one slot.
"""

from __future__ import annotations

import redis

from rededge_nb.edge.client import shard

PREFIX = "rededge:"


def heartbeat(client: redis.Redis, worker_id: str) -> str:
    """A worker's sign of life; of all workers for the id `*`."""
    return _own(client, f"worker:{worker_id}")


def ai_settings(client: redis.Redis) -> str:
    """Hash of AI.CONFIG's settings."""
    return _own(client, "ai:config")


def gears_options(client: redis.Redis) -> str:
    """Hash of the options that were set, built-in and the user's own."""
    return _own(client, "gears:config")


def sessions(client: redis.Redis) -> str:
    """Hash of session id -> JSON description."""
    return _own(client, "gears:sessions")


def sessions_version(client: redis.Redis) -> str:
    """Number that grows with every change of the sessions; workers look at it.

    Where it is gone, so are the sessions' keys, and they are written anew from the vault.
    """
    return _own(client, "gears:version")


def session_code(client: redis.Redis, session_id: str) -> str:
    """A session's pickled code."""
    return _own(client, f"gears:session:{session_id}:code")


def next_registration(client: redis.Redis) -> str:
    """Number of the next registration."""
    return _own(client, "gears:next_registration")


def registration_keys(client: redis.Redis, registration_id: str) -> dict[str, str]:
    """Everything that is kept of a registration under keys of its own."""
    prefix = _own(client, f"gears:registration:{registration_id}:")
    return {name: prefix + name for name in ("statistics", "executions", "attempts", "workers")}


def lease(client: redis.Redis, stream: str) -> str:
    """Names the worker that owns a stream."""
    return _own(client, f"gears:owner:{stream}")


def next_execution(client: redis.Redis) -> str:
    """Number of the next execution that is not reserved."""
    return _own(client, "gears:next_execution")


def executions(client: redis.Redis) -> str:
    """List of the ids of executions that no registration began, oldest first."""
    return _own(client, "gears:executions")


def execution(client: redis.Redis, execution_id: str) -> str:
    """Hash of an execution that was started UNBLOCKING."""
    return _own(client, f"gears:execution:{execution_id}")


def live_executions(client: redis.Redis) -> str:
    """Hash of worker id -> JSON of its executions, which each worker writes with its signs of life."""
    return _own(client, "gears:live")


def abort_channel(client: redis.Redis) -> str:
    """Where the ids of executions to be aborted are told to all workers of the shard; a cluster has one PUBLISH."""
    return _own(client, "gears:abort")


def timers(client: redis.Redis) -> str:
    """Set of the keys of timers."""
    return _own(client, "gears:timers")


def inference(client: redis.Redis, call_id: str, tensor: str) -> str:
    """A tensor that is there for one call."""
    return _own(client, f"inference:{call_id}:{tensor}")


def expiring_keys(client: redis.Redis) -> tuple[str, ...]:
    """Patterns of what expires by the clock: signs of life, leases, candidates for streams."""
    return heartbeat(client, "*"), lease(client, "*"), registration_keys(client, "*")["workers"]


def never_set(client: redis.Redis) -> str:
    """A key that never is."""
    return _own(client, "none")


def _own(client: redis.Redis, name: str) -> str:
    tag = shard.tag(client)
    return f"{PREFIX}{name}" if tag is None else f"{PREFIX}{{{tag}}}:{name}"
