"""One holder at a time, whatever becomes of the one before."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb import lease as leases
from rededge_nb.lease import Holder, Lease, ask_to_stop, read_holder
from tests.bare import BareServer
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

KEY = "camera:0:capture"


@pytest.fixture
def make(bare_client: redis.Redis) -> Iterator[object]:
    made: list[Lease] = []

    def make(**details: str) -> Lease:
        made.append(Lease(bare_client, KEY, details))
        return made[-1]

    yield make
    for each in made:
        each.release()


def keep(lease: Lease, lost: list[str] | None = None) -> None:
    lease.keep((lost if lost is not None else []).append, lambda _: {"source": "a"})


def acquired(lease: Lease, **options: object) -> bool:
    return lease.acquire(timeout=5, **options) is None  # type: ignore[arg-type]


def test_a_holder_says_who_it_is_and_since_when(bare_client: redis.Redis, make: object) -> None:
    lease = make(source="a.mp4")  # type: ignore[operator]
    assert read_holder(bare_client, KEY) is None
    assert acquired(lease)
    holder = read_holder(bare_client, KEY)
    assert holder is not None
    assert (holder.id, holder.details["source"], holder.stop) == (lease.id, "a.mp4", "")
    assert holder.is_here
    assert not holder.is_gone
    assert "(this process)" in holder.where
    assert abs(holder.since_ms - 1000 * bare_client.time()[0]) < 60_000
    assert 0 < bare_client.pttl(KEY) <= 1000 * leases.TTL
    lease.release()
    lease.release()
    assert read_holder(bare_client, KEY) is None


def test_a_second_one_is_refused_while_the_first_is_alive(make: object, bare_client: redis.Redis) -> None:
    first, second = make(), make()  # type: ignore[operator]
    assert acquired(first)
    keep(first)
    refused = second.acquire(timeout=5)
    assert refused is not None
    assert refused.id == first.id
    second.release()  # not its own: nothing happens
    assert read_holder(bare_client, KEY).id == first.id  # type: ignore[union-attr]


def test_one_that_is_not_renewed_expires(
    make: object, monkeypatch: pytest.MonkeyPatch, bare_client: redis.Redis
) -> None:
    monkeypatch.setattr(leases, "TTL", 0.5)
    monkeypatch.setattr(Holder, "is_gone", False)
    first, second = make(), make()  # type: ignore[operator]
    assert acquired(first)
    started = time.monotonic()
    assert acquired(second)
    assert time.monotonic() - started > 0.3
    assert read_holder(bare_client, KEY).id == second.id  # type: ignore[union-attr]


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(
    make: object, shared_bare_server: BareServer, bare_client: redis.Redis
) -> None:
    script = (
        "import os, redis\n"
        "from rededge_nb.lease import Lease\n"
        f"client = redis.Redis(unix_socket_path={str(shared_bare_server.socket)!r})\n"
        f"assert Lease(client, {KEY!r}, {{}}).acquire(timeout=1) is None\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert read_holder(bare_client, KEY) is not None
    started = time.monotonic()
    assert acquired(make())  # type: ignore[operator]
    assert time.monotonic() - started < leases.TTL / 2


def test_a_holder_can_be_asked_to_end(make: object, bare_client: redis.Redis) -> None:
    lost: list[str] = []
    lease = make()  # type: ignore[operator]
    assert not ask_to_stop(bare_client, KEY, "by a test")
    assert acquired(lease)
    keep(lease, lost)
    assert ask_to_stop(bare_client, KEY, "by a test")
    wait_for(lambda: lost == ["by a test"], what="the words")


def test_a_holder_is_replaced_by_one_that_may(make: object, bare_client: redis.Redis) -> None:
    lost: list[str] = []
    first, second = make(), make()  # type: ignore[operator]
    assert acquired(first)
    first.keep(lambda words: (lost.append(words), first.release()), lambda _: {})
    assert acquired(second, replace=lambda holder: f"replaced, {holder.id}")
    assert lost == [f"replaced, {first.id}"]
    assert read_holder(bare_client, KEY).id == second.id  # type: ignore[union-attr]
    assert read_holder(bare_client, KEY).stop == ""  # type: ignore[union-attr]


def test_a_holder_that_does_not_end_loses_its_lease(make: object, bare_client: redis.Redis) -> None:
    lost: list[str] = []
    first, second = make(), make()  # type: ignore[operator]
    assert acquired(first)
    keep(first, lost)
    assert second.acquire(timeout=0.3, replace=lambda _: "end") is None
    assert read_holder(bare_client, KEY).id == second.id  # type: ignore[union-attr]
    wait_for(lambda: lost, what="the first one's end")


def test_a_lease_that_was_flushed_is_acquired_again(make: object, bare_client: redis.Redis) -> None:
    lease = make()  # type: ignore[operator]
    assert acquired(lease)
    keep(lease)
    bare_client.flushall()
    wait_for(lambda: (holder := read_holder(bare_client, KEY)) and holder.id == lease.id, what="the lease")


def test_of_many_at_once_one_gets_it(make: object) -> None:
    many = [make() for _ in range(8)]  # type: ignore[operator]
    got: list[bool] = []

    def compete(lease: Lease) -> None:
        if acquired(lease):
            keep(lease)
            got.append(True)

    threads = [threading.Thread(target=compete, args=(each,)) for each in many]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert got == [True]


def test_a_full_server_does_not_refuse_a_capture(make: object, bare_client: redis.Redis) -> None:
    bare_client.config_set("maxmemory", 1)
    try:
        lease = make()  # type: ignore[operator]
        assert acquired(lease)
        keep(lease)
        assert read_holder(bare_client, KEY) is None
    finally:
        bare_client.config_set("maxmemory", 0)
    wait_for(lambda: read_holder(bare_client, KEY), what="the lease, once there is room")


def test_a_user_without_scripts_can_do_all_of_it(shared_bare_server: BareServer, bare_client: redis.Redis) -> None:
    rules = "on nopass ~* +@all -@scripting -@admin -@dangerous"
    bare_client.execute_command("ACL", "SETUSER", "plain", *rules.split())
    try:
        plain = redis.Redis(unix_socket_path=str(Path(shared_bare_server.socket)), username="plain", password="x")
        lease = Lease(plain, KEY, {})
        assert acquired(lease)
        keep(lease)
        assert ask_to_stop(plain, KEY, "end")
        lease.release()
        assert read_holder(plain, KEY) is None
        plain.close()
    finally:
        bare_client.execute_command("ACL", "DELUSER", "plain")
