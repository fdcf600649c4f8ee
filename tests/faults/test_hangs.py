"""Workers that hang in every way that was found, and what becomes of the others meanwhile."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb import settings
from rededge_nb.control.gears import list_registrations
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server import supervisor
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.errors import ConfigurationError
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute, execute_when_served
from tests.waiting import wait_for

TIMEOUT = 60
HANGS = {
    "holds the interpreter lock": "import re\nf = lambda r: re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "closes the worker's connections": "import os\nf = lambda r: os.closerange(3, 256)",
    "damages the library of all connections": "def f(r):\n import redis\n redis.Redis.execute_command = 7\n",
    "ends the threads that take calls": """
import ctypes, threading
def f(r):
    for thread in threading.enumerate():
        if thread.name.startswith(('gears-', 'ai-')):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    execute('RG.PYSTATS')
""",
    "stops the process": "import os\nf = lambda r: os.kill(os.getpid(), 19)",
}
ONCE = "\ng = lambda r: None if execute('SET', 'hung', 1, 'NX') is None else f(r)\n"


@pytest.fixture
def instance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setenv(settings.HANG_TIMEOUT, "5")
    return server.start(folder)


@pytest.fixture
def client(instance: Instance) -> Iterator[redis.Redis]:
    with client_from_url(instance.url) as opened:
        yield opened


def restarts(instance: Instance) -> int:
    found = server.find(instance.dir)
    return found.restarts if found is not None else 0


@pytest.mark.parametrize("how", HANGS)
def test_a_worker_that_hangs_is_killed_and_another_one_continues(
    instance: Instance, client: redis.Redis, how: str
) -> None:
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('good')")
    execute(client, f"{HANGS[how]}{ONCE}GB('StreamReader').map(g).register('bad')")
    (worker,) = workers_of(instance.pid)
    client.xadd("bad", {"n": 1})
    wait_for(lambda: client.exists("hung"), what="the gear to run")
    client.xadd("good", {"n": 1})
    wait_for(lambda: restarts(instance), what="the worker to be killed", timeout=TIMEOUT)
    assert not worker.is_running()
    client.xadd("good", {"n": 2})
    wait_for(lambda: int(client.get("n") or 0) >= 2, what="both entries", timeout=TIMEOUT)
    assert execute(client, "GB('ShardsIDReader').count().run()") == [[b"1"], []]
    assert server.find(instance.dir).redis_pid == instance.redis_pid  # type: ignore[union-attr]


def test_the_log_shows_which_gear_held_the_interpreter_lock(instance: Instance, client: redis.Redis) -> None:
    execute(client, f"{HANGS['holds the interpreter lock']}{ONCE}GB('StreamReader').map(g).register('bad')")
    client.xadd("bad", {"n": 1})
    wait_for(lambda: restarts(instance), what="the worker to be killed", timeout=TIMEOUT)
    log = (StateFolder(instance.dir).logs / "worker.log").read_text()
    assert 'File "<string>", line 2 in <lambda>' in log


def test_a_redis_that_hangs_is_killed_and_keeps_its_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch, instance: Instance, client: redis.Redis
) -> None:
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')")
    client.xadd("s", {"n": 1})
    wait_for(lambda: client.get("n") == b"1", what="the entry")
    assert client.execute_command("WAITAOF", 1, 0, 20000)[0] == 1
    os.kill(instance.redis_pid, signal.SIGSTOP)
    again = wait_for(
        lambda: (found := server.find(folder)) and found.redis_pid != instance.redis_pid and found,
        what="another redis-server",
        timeout=TIMEOUT,
    )
    assert "killed: it did not answer for 20 s" in again.last_death
    assert again.restarts == 1, "workers are not killed because Redis hangs"
    assert not psutil.pid_exists(instance.redis_pid)
    with client_from_url(again.url) as after:
        assert after.get("n") == b"1"
        after.xadd("s", {"n": 2})
        wait_for(lambda: after.get("n") == b"2", what="the gear to continue", timeout=TIMEOUT)


@pytest.fixture
def impatient(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance in this process, whose supervisor waits 5 s for Redis."""
    monkeypatch.setenv(settings.HANG_TIMEOUT, "5")
    monkeypatch.setattr(supervisor, "REDIS_HANG_FACTOR", 1)
    started = server.run(folder)
    ready: queue.Queue[Instance] = queue.Queue()
    thread = threading.Thread(target=started.run, args=(ready.put,))
    thread.start()
    try:
        yield ready.get(timeout=60)
    finally:
        started.stop()
        thread.join()


@pytest.mark.parametrize(
    ("script", "is_killed"),
    [("while true do end", False), ("redis.call('SET', 'half', 1) while true do end", True)],
)
def test_a_script_without_end_is_ended(impatient: Instance, script: str, is_killed: bool) -> None:
    with client_from_url(impatient.url) as client, client_from_url(impatient.url) as other:
        assert execute_when_served(client, "GB('ShardsIDReader').count().run()") == [[b"1"], []]
        client.set("kept", 1)
        assert client.execute_command("WAITAOF", 1, 0, 20000)[0] == 1
        client.config_set("busy-reply-threshold", 100)
        with pytest.raises((redis.ResponseError, redis.ConnectionError)):
            client.eval(script, 0)
        wait_for(lambda: value_of(other, "kept") == b"1", what="other clients to get answers", timeout=TIMEOUT)
        assert other.get("half") is None, "what a script has written before its end is not kept"
        if is_killed:
            deaths = "the deaths of Redis and of the worker"
            wait_for(lambda: "script that does not end" in last_death(impatient), what=deaths, timeout=TIMEOUT)
        found = server.find(impatient.dir)
        assert found is not None
        assert (found.redis_pid != impatient.redis_pid) == is_killed


def last_death(instance: Instance) -> str:
    found = server.find(instance.dir)
    return found.last_death if found is not None else ""


def value_of(client: redis.Redis, key: str) -> object:
    """The value of a key; None while the server does not answer."""
    try:
        return client.get(key)
    except redis.RedisError:
        return None


@pytest.mark.parametrize("value", ["soon", "-1", "2", "inf", "nan"])
def test_the_error_for_a_wrong_hang_timeout_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(settings.HANG_TIMEOUT, value)
    with pytest.raises(ConfigurationError, match=f"{settings.HANG_TIMEOUT} is '{value}'"):
        settings.hang_timeout()
    with pytest.raises(ConfigurationError, match="at least 5, or 0"):
        server.start(folder)
    assert server.find(folder) is None


def statuses(client: redis.Redis) -> dict[str, str]:
    """The status of each registration, by its stream; empty while no worker answers."""
    try:
        return {one.stream: one.status for one in list_registrations(client)}
    except redis.ResponseError as error:
        if str(error).startswith(("WORKERLOST", "NOWORKER", "TIMEOUT")):
            return {}
        raise


def test_a_hang_counts_as_a_crash_and_only_the_gear_that_hangs_is_paused(
    instance: Instance, client: redis.Redis
) -> None:
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('good')")
    execute(client, f"{HANGS['holds the interpreter lock']}\nGB('StreamReader').map(f).register('bad')")
    client.xadd("bad", {"n": 1})
    client.xadd("good", {"n": 1})
    wait_for(lambda: restarts(instance) == 2, what="two deaths", timeout=TIMEOUT)
    wait_for(lambda: statuses(client).get("bad") == "PAUSED", what="the pause", timeout=TIMEOUT)
    for number in range(2, 6):
        client.xadd("good", {"n": number})
    wait_for(lambda: client.get("n") == b"5", what="all good entries", timeout=TIMEOUT)
    assert statuses(client)["good"] == "OK"
    assert restarts(instance) == 2


@pytest.mark.parametrize("sessions", [True, False])
def test_code_that_crashes_workers_on_several_streams_is_paused_as_one(
    instance: Instance, client: redis.Redis, sessions: bool
) -> None:
    crash = "import ctypes\nGB('StreamReader').foreach(lambda r: ctypes.string_at(0)).register('{}')\n"
    streams = [f"camera:{number}" for number in range(5)]
    if sessions:
        for stream in streams:
            execute(client, crash.format(stream), "ID", f"of-{stream[-1]}")
    else:
        execute(client, "".join(crash.format(stream) for stream in streams))
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('good')")
    for stream in (*streams, "good"):
        client.xadd(stream, {"n": 1})
    wait_for(lambda: [statuses(client).get(each) for each in streams] == ["PAUSED"] * 5, what="pauses", timeout=TIMEOUT)
    assert restarts(instance) <= 4
    reasons = {one.last_error for one in list_registrations(client) if one.stream in streams}
    assert any("all registrations with this code are paused" in reason for reason in reasons)
    client.xadd("good", {"n": 2})
    wait_for(lambda: client.get("n") == b"2", what="the other gear", timeout=TIMEOUT)
    assert statuses(client)["good"] == "OK"
    assert [client.xlen(each) for each in streams] == [1] * 5, "the frames wait"
