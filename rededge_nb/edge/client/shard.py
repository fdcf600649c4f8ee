"""The shard of a Redis Cluster to which a client is connected, and the keys on it.

The slot of a key depends on its hash tag, the text in its first braces. Keys that belong to a shard and not to a camera
(a model, settings, the state of the workers) get the hash tag of the first slot that the shard serves. Without a
cluster there are no tags, and no name is changed.
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
"""The slots of the shard, by connection pool. Clients must be started again after slots were moved to other shards."""


def tag(client: redis.Redis) -> str | None:
    """The hash tag for keys on the client's shard; None without a cluster. `client` can also be a pipeline.

    Raises:
        redis.ConnectionError: The server does not answer, or serves no slot yet.
    """
    slots = _served(client)
    return None if slots is None else tag_of_slot(min(some.start for some in slots))


def key_here(client: redis.Redis, name: str) -> str:
    """The key with that name; in a cluster with a hash tag at its end, so that it is on the client's shard."""
    own_tag = tag(client)
    return name if own_tag is None else f"{name}:{{{own_tag}}}"


def is_here(client: redis.Redis, key: str) -> bool:
    """Whether a key is on the client's shard; always true without a cluster.

    Raises:
        redis.ConnectionError: As tag().
    """
    slots = _served(client)
    return slots is None or any(key_slot(key.encode()) in some for some in slots)


@cache
def tag_of_slot(slot: int) -> str:
    """The first of the texts `000`, `001` … `ZZZ` whose slot is this one; there is one for every slot."""
    texts = map("".join, itertools.product(string.digits + string.ascii_letters, repeat=3))
    return next(text for text in texts if key_slot(text.encode()) == slot)


def same_slot(*keys: str) -> bool:
    """Whether all these keys are in the same slot."""
    return len({key_slot(key.encode()) for key in keys}) <= 1


def describe_error(error: redis.RedisError) -> str:
    """The text of an error of Redis, and a sentence for MOVED: redis-py keeps only its slot and address."""
    if isinstance(error, MovedError):
        return (
            f"the key is in slot {error.slot_id} of {REDIS_CLUSTER_HASH_SLOTS}, which the shard at "
            f"{error.host}:{error.port} serves"
        )
    return str(error)


def _served(client: redis.Redis) -> list[range] | None:
    """The slots of the client's shard; None without a cluster."""
    pool = client.connection_pool
    if pool not in _slots:
        plain_client = redis.Redis(connection_pool=pool)
        _slots[pool] = _slots_of(plain_client) if _in_cluster(plain_client) else None
    return _slots[pool]


def _in_cluster(client: redis.Redis) -> bool:
    # HELLO is the only command with this information that no ACL can forbid
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
        raise redis.ConnectionError("this node of the Redis Cluster does not serve any slots yet")
    return served


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
