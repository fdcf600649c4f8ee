"""Has a redis-server write its append-only file again, whatever it is saving at that moment."""

from __future__ import annotations

import redis

from tests.waiting import wait_for


def _is_saving(client: redis.Redis) -> bool:
    found = client.info("persistence")
    return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"] or found["rdb_bgsave_in_progress"])


def start_rewrite(client: redis.Redis) -> None:
    """Start to write the append-only file again; if that is happening already, once more after its end."""

    def started() -> bool:
        try:
            client.bgrewriteaof()
        except redis.ResponseError as error:
            if "in progress" in str(error):
                return False
            raise
        return True

    wait_for(started, what="the end of the rewrite before", timeout=60)


def rewrite(client: redis.Redis) -> None:
    """Write the append-only file again, and wait until that is done."""
    start_rewrite(client)
    wait_until_saved(client)


def wait_until_saved(client: redis.Redis) -> None:
    """Wait until no rewrite runs or is scheduled."""
    wait_for(lambda: not _is_saving(client), what="the rewrite", timeout=60)
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
