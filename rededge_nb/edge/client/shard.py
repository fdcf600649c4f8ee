"""The shard of a Redis Cluster that a client is connected to, and keys that lie on it.

A key lies where the text in its first braces, its hash tag, says. What belongs to a shard and not to a camera (a model,
settings, what the workers know) gets a tag of the first slot that the shard serves. Without a cluster there are no
tags, and every name stays as it is.
"""

from __future__ import annotations

import itertools
import string
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import MovedError

_slots: WeakKeyDictionary[Any, list[range] | None] = WeakKeyDictionary()
"""What is served, by connection pool: whoever moves slots between shards restarts what is connected to them."""


def tag(client: redis.Redis) -> str | None:
    """A hash tag of keys that lie on the client's shard; None without a cluster. A pipeline serves as client, too.

    Raises:
        redis.ConnectionError: the server is away, or serves no slot yet.
    """
    slots = _served(client)
    return None if slots is None else tag_of_slot(min(some.start for some in slots))


def key_here(client: redis.Redis, name: str) -> str:
    """The key of that name; in a cluster with a tag at its end that puts it on the client's shard."""
    found = tag(client)
    return name if found is None else f"{name}:{{{found}}}"


def is_here(client: redis.Redis, key: str) -> bool:
    """Whether the key lies on the client's shard; without a cluster all do.

    Raises:
        redis.ConnectionError: as `tag`.
    """
    slots = _served(client)
    return slots is None or any(key_slot(key.encode()) in some for some in slots)


@cache
def tag_of_slot(slot: int) -> str:
    """The first of the texts `000`, `001` … `ZZZ` that lies in a slot; every slot has one."""
    texts = map("".join, itertools.product(string.digits + string.ascii_letters, repeat=3))
    return next(text for text in texts if key_slot(text.encode()) == slot)


def same_slot(*keys: str) -> bool:
    """Whether a cluster has all these keys in one slot."""
    return len({key_slot(key.encode()) for key in keys}) <= 1


def describe_error(error: redis.RedisError) -> str:
    """What an error of Redis says; redis-py leaves of MOVED only two numbers."""
    if isinstance(error, MovedError):
        return (
            f"the key lies in slot {error.slot_id} of {REDIS_CLUSTER_HASH_SLOTS}, which the shard at "
            f"{error.host}:{error.port} serves"
        )
    return str(error)


def _served(client: redis.Redis) -> list[range] | None:
    """The slots of the client's shard; None without a cluster."""
    pool = client.connection_pool
    if pool not in _slots:
        asking = redis.Redis(connection_pool=pool)
        _slots[pool] = _slots_of(asking) if _in_cluster(asking) else None
    return _slots[pool]


def _in_cluster(client: redis.Redis) -> bool:
    # of all commands that tell, the one that no ACL can forbid
    reply: Any = client.execute_command("HELLO")
    fields = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return any(_text(name) == "mode" and _text(value) == "cluster" for name, value in fields)


def _slots_of(client: redis.Redis) -> list[range]:
    own_id = _text(client.execute_command("CLUSTER", "MYID"))
    ranges: Any = client.execute_command("CLUSTER", "SLOTS")
    served = [
        range(first, last + 1) for first, last, *nodes in ranges if any(_text(node[2]) == own_id for node in nodes)
    ]
    if not served:
        raise redis.ConnectionError("this node of the Redis Cluster serves no slots (yet)")
    return served


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
