"""The names of the keys in which the workers keep their state. No other module spells them.

All of them begin with `rededge:`. In a Redis Cluster the tag of the shard follows, for example `rededge:{06S}:…`. So
the workers of a shard have their state on that shard, and in a single slot.
"""

from __future__ import annotations

import redis

from rededge_nb.edge.client import shard

PREFIX = "rededge:"


def heartbeat(client: redis.Redis, worker_id: str) -> str:
    """The heartbeat of a worker; a pattern for all workers if the id is `*`."""
    return _own(client, f"worker:{worker_id}")


def worker_of(client: redis.Redis, key: bytes) -> str:
    """The id of the worker whose heartbeat a key is."""
    return key.decode().removeprefix(heartbeat(client, ""))


def ai_settings(client: redis.Redis) -> str:
    """Hash with the settings of AI.CONFIG."""
    return _own(client, "ai:config")


def gears_options(client: redis.Redis) -> str:
    """Hash with the options of RG.CONFIGSET, built-in ones and those of users."""
    return _own(client, "gears:config")


def sessions(client: redis.Redis) -> str:
    """Hash: id of a session -> its description in JSON."""
    return _own(client, "gears:sessions")


def sessions_version(client: redis.Redis) -> str:
    """A number that grows with every change of the sessions; workers compare it with the one that they know.

    If it is missing, the keys of the sessions are missing too, and are written again from the vault.
    """
    return _own(client, "gears:version")


def hooks(client: redis.Redis) -> str:
    """Hash: id of a registration -> its hook, which the switchboard reads when Redis has loaded its data."""
    return _own(client, "gears:hooks")


def session_code(client: redis.Redis, session_id: str) -> str:
    """The pickled code of a session."""
    return _own(client, f"gears:session:{session_id}:code")


def next_registration(client: redis.Redis) -> str:
    """The number of the next registration."""
    return _own(client, "gears:next_registration")


def registration_keys(client: redis.Redis, registration_id: str) -> dict[str, str]:
    """The keys of a registration, by what they hold."""
    prefix = _own(client, f"gears:registration:{registration_id}:")
    return {name: prefix + name for name in ("statistics", "executions", "attempts", "workers")}


def code_crashes(client: redis.Redis, code: str) -> str:
    """Hash: the streams on which gears with the same code have crashed workers lately."""
    return _own(client, f"gears:crashes:{code}")


def lease(client: redis.Redis, stream: str) -> str:
    """The lease of a stream: the id of the worker that processes it."""
    return _own(client, f"gears:owner:{stream}")


def next_execution(client: redis.Redis) -> str:
    """The first number that is not reserved for executions."""
    return _own(client, "gears:next_execution")


def executions(client: redis.Redis) -> str:
    """List: ids of the executions that were not started by a registration, oldest first."""
    return _own(client, "gears:executions")


def execution(client: redis.Redis, execution_id: str) -> str:
    """Hash: an execution that was started with UNBLOCKING."""
    return _own(client, f"gears:execution:{execution_id}")


def live_executions(client: redis.Redis) -> str:
    """Hash: id of a worker -> its executions in JSON, written with each heartbeat."""
    return _own(client, "gears:live")


def abort_channel(client: redis.Redis) -> str:
    """Channel for ids of executions to be aborted. PUBLISH reaches all shards of a cluster, so the name has the tag."""
    return _own(client, "gears:abort")


def counts_channel(client: redis.Redis) -> str:
    """Channel on which a worker asks all workers to write their counts of runs of models."""
    return _own(client, "ai:counts")


def counts_written(client: redis.Redis, token: str) -> str:
    """List with an item for each worker that has done so."""
    return _own(client, f"ai:counts:{token}")


def output_channel(session_id: str) -> str:
    """Channel for what the gear code of a session prints while a client runs it; the same on all shards."""
    return f"{PREFIX}gears:output:{session_id}"


def timers(client: redis.Redis) -> str:
    """Set: keys of the timers."""
    return _own(client, "gears:timers")


def watch(client: redis.Redis) -> str:
    """Hash: what the worker that watches the cameras knows of the server, and when it has looked."""
    return _own(client, "watch")


def inference(client: redis.Redis, call_id: str, tensor: str) -> str:
    """A tensor that exists during one call only."""
    return _own(client, f"inference:{call_id}:{tensor}")


def expiring_keys(client: redis.Redis) -> tuple[str, ...]:
    """Patterns for the keys that expire: heartbeats, leases, and candidates for streams."""
    return heartbeat(client, "*"), lease(client, "*"), registration_keys(client, "*")["workers"]


def never_set(client: redis.Redis) -> str:
    """A key that never exists, for a WATCH on nothing."""
    return _own(client, "none")


def _own(client: redis.Redis, name: str) -> str:
    tag = shard.tag(client)
    return f"{PREFIX}{name}" if tag is None else f"{PREFIX}{{{tag}}}:{name}"
