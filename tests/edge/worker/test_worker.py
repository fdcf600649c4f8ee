"""The worker under a supervisor: killed, restarted, and refused what it cannot answer."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.state import Instance
from rededge_nb.edge.switchboard.calls import HOOKS, QUEUES, CommandError, Encoded, Simple
from rededge_nb.edge.switchboard.resp import encode
from rededge_nb.edge.worker.command_table import COMMANDS, TIMEOUTS_MS
from rededge_nb.edge.worker.worker import THREADS, Worker
from tests.edge.bare_redis import bare_redis
from tests.gear_scripts import execute, execute_when_served, registrations
from tests.waiting import wait_for

CLASSES = [word for name in QUEUES for word in ("CLASS", f"{name},0,60000,100")]


def workers_of(supervisor_pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(supervisor_pid).children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "rededge_nb.edge.worker" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended a moment ago
        return False


def test_every_command_names_a_queue_that_is_served() -> None:
    assert {command.queue for command in COMMANDS} <= set(QUEUES)
    assert {*THREADS, HOOKS} == set(TIMEOUTS_MS) == set(QUEUES)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, b"$-1\r\n"),
        (True, b":1\r\n"),
        (-7, b":-7\r\n"),
        (1.5, b"$3\r\n1.5\r\n"),
        ("é", b"$2\r\n\xc3\xa9\r\n"),
        (bytearray(b"\x00\r\n"), b"$3\r\n\x00\r\n\r\n"),
        (memoryview(b"ab"), b"$2\r\nab\r\n"),
        (Simple("OK"), b"+OK\r\n"),
        (CommandError("ERR a\r\nb"), b"-ERR a  b\r\n"),
        ([], b"*0\r\n"),
        ([1, ("x", [None])], b"*2\r\n:1\r\n*2\r\n$1\r\nx\r\n*1\r\n$-1\r\n"),
        ([Encoded(b"*0\r\n"), []], b"*2\r\n*0\r\n*0\r\n"),
    ],
)
def test_replies_are_encoded(value: object, encoded: bytes) -> None:
    assert encode(value) == encoded


def test_values_that_cannot_be_a_reply_are_refused() -> None:
    with pytest.raises(TypeError, match="a dict cannot be a reply"):
        encode([{}])


def test_a_killed_worker_is_restarted_with_its_state_and_loses_no_entry(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    script = """
import time
def note(r):
    execute('RPUSH', 'seen', r['id'])
    while r['value']['n'] == '5' and not execute('EXISTS', 'go'):
        time.sleep(0.01)
GB('StreamReader').foreach(note).register('s')
"""
    execute(client, script, "ID", "mine")
    ids = [client.xadd("s", {"n": number}) for number in range(10)]
    wait_for(lambda: client.llen("seen") == 6, what="the worker to be in the middle of the sixth entry")
    (worker,) = workers_of(instance.pid)
    worker.kill()
    client.set("go", 1)
    # the sixth was not acknowledged, so it comes again; nothing is lost and the order is kept
    wait_for(lambda: client.llen("seen") == 11, what="the rest", timeout=30)
    assert client.lrange("seen", 0, -1) == [*ids[:6], *ids[5:]]
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"s"]
    client.close()


def test_a_call_fails_when_the_worker_dies_and_the_next_call_succeeds(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    client.xadd("s", {"n": 1})
    script = "import time\nGB('StreamReader').foreach(lambda r: [execute('SET', 'in', 1), time.sleep(60)]).run('s')"
    calling = client.client()
    calling.connection.send_command("RG.PYEXECUTE", script)
    wait_for(lambda: client.exists("in"), what="the run")
    os.kill(workers_of(instance.pid)[0].pid, signal.SIGKILL)
    with pytest.raises(redis.ResponseError, match="WORKERLOST"):
        calling.connection.read_response()
    calling.close()
    # the next call waits for the worker that the supervisor starts
    assert execute_when_served(client, "GB('StreamReader').count().run('s')") == [[b"1"], []]
    client.close()


def test_two_workers_share_streams_and_one_takes_over_from_the_other(folder: Path) -> None:
    instance = server.start(folder, workers=2)
    client = client_from_url(instance.url)
    wait_for(lambda: len(state_client(client).keys("rededge:worker:*")) == 2, what="both workers", timeout=30)
    execute(
        client, "import os\nGB('StreamReader').foreach(lambda r: execute('RPUSH', 'by', os.getpid())).register('s')"
    )
    for _ in range(5):
        client.xadd("s", {"n": 1})
    wait_for(lambda: client.llen("by") == 5, what="the entries")
    (owner,) = set(client.lrange("by", 0, -1))
    os.kill(int(owner), signal.SIGKILL)
    client.xadd("s", {"n": 1})
    wait_for(lambda: client.llen("by") == 6, what="the entry, at another worker", timeout=30)
    assert client.lindex("by", -1) != owner
    client.close()


def test_a_worker_does_not_wait_for_a_thread_pool_that_a_gear_has_left(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    start = "import concurrent.futures, time\nconcurrent.futures.ThreadPoolExecutor().submit(time.sleep, 600)"
    assert execute(client, f"{start}\nGB('ShardsIDReader').run()")[1] == []
    (worker,) = workers_of(instance.pid)
    worker.terminate()
    after = wait_for(
        lambda: (found := server.find(folder)) and found.restarts == 1 and found, what="another worker", timeout=60
    )
    assert f"process {worker.pid}, exit code 0" in after.last_death
    client.close()


FORK = "import os, time\npid = os.fork()\nif pid == 0:\n    {}\n    time.sleep(600)\n    os._exit(0)\n"


@pytest.mark.parametrize("in_the_child", ["pass", "os.setsid()"])
def test_processes_that_a_gear_has_forked_do_no_harm_after_the_death_of_the_worker(
    folder: Path, in_the_child: str
) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url, timeout=120)
    [[pid], errors] = execute(client, FORK.format(in_the_child) + "GB('ShardsIDReader').map(lambda r: pid).run()")
    forked = psutil.Process(int(pid))
    try:
        assert errors == []
        (worker,) = workers_of(instance.pid)
        assert forked.ppid() == worker.pid
        if in_the_child != "pass":
            wait_for(lambda: os.getsid(forked.pid) == forked.pid, what="the session of its own", timeout=30)
        worker.kill()
        wait_for(lambda: (found := server.find(folder)) and found.restarts == 1, what="another worker", timeout=60)
        assert execute_when_served(client, "GB('ShardsIDReader').count().run()") == [[b"1"], []]
        if in_the_child == "pass":
            wait_for(lambda: not forked.is_running(), what="the end of the forked process", timeout=30)
    finally:
        if forked.is_running():
            forked.kill()
    client.close()


def test_housekeeping_continues_after_any_error(edge: Instance) -> None:
    worker, until, done = Worker(edge.url), threading.Event(), []

    def fail() -> None:
        raise ValueError("not foreseen")

    def work() -> None:
        done.append(1)
        if len(done) == 3:
            until.set()

    worker._repeat((fail, work), 0.0, until=until)
    assert len(done) == 3


def test_a_worker_without_redis_url_says_that_it_is_missing(environment: dict[str, str]) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "rededge_nb.edge.worker"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "REDIS_URL" in done.stderr


def test_a_worker_lives_with_a_full_memory(caplog: pytest.LogCaptureFixture) -> None:
    with bare_redis(*CLASSES, options=("--maxmemory", "1")) as bare, bare.client() as client:
        worker = Worker(f"unix://{bare.socket_path}")
        thread = threading.Thread(target=worker.run)
        thread.start()
        for _ in range(3):
            wait_for(
                lambda: (state := state_client(client)).delete(*state.keys("rededge:worker:*") or ["x"]),
                what="a heartbeat",
            )
        worker.stop()
        thread.join(20)
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == len(set(messages)), "nothing is logged again and again"


def test_an_error_that_stays_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    until, rounds = threading.Event(), []

    def fail() -> None:
        rounds.append(1)
        if len(rounds) == 10:
            until.set()
        raise redis.ResponseError("NOPERM" if len(rounds) < 6 else "another")

    with bare_redis(*CLASSES) as bare:
        Worker(f"unix://{bare.socket_path}")._repeat((fail,), 0.0, until=until)
    assert [record.getMessage() for record in caplog.records] == ["fail failed", "fail failed"]
