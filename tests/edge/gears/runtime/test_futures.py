"""gearsFuture and coroutines."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import redis

from tests.gear_scripts import execute
from tests.waiting import wait_for

PARK = """
import threading
waiting = []
def park(*arguments):
    future = gearsFuture()
    waiting.append(future)
    return future
def go_on(r):
    waiting.pop(0).continueRun(eval(r[1]))
    return 'done'
GB('CommandReader').{step}.register(trigger='park', convertToStr=False)
GB('CommandReader').map(go_on).register(trigger='go')
"""


def go_on(client: redis.Redis, value: str) -> None:
    def asked() -> object:
        try:
            return client.execute_command("RG.TRIGGER", "go", value)
        except redis.ResponseError as error:
            if "pop from empty list" in str(error) or "untill it returned" in str(error):
                return None
            raise

    assert wait_for(asked, what="a future to continue") == [b"done"]


@pytest.mark.parametrize(
    ("step", "value", "reply"),
    [
        ("map(park)", "7", [7]),
        ("foreach(park).map(lambda r: r[0])", "7", [b"park"]),
        ("filter(park).map(lambda r: r[0])", "True", [b"park"]),
        ("filter(park).map(lambda r: r[0])", "False", []),
        ("flatmap(park)", "[1, 2]", [2, 1]),
        ("accumulate(park)", "'all'", [b"all"]),
        ("groupby(lambda r: 'k', park).map(lambda g: [g['key'], g['value']])", "9", [[b"k", 9]]),
    ],
)
def test_a_record_waits_for_its_future(client: redis.Redis, step: str, value: str, reply: object) -> None:
    execute(client, PARK.replace("{step}", step))
    waiting = client.client()
    waiting.connection.send_command("RG.TRIGGER", "park")
    go_on(client, value)
    assert waiting.connection.read_response() == reply
    waiting.close()


def test_records_that_wait_leave_their_slots_to_others(client: redis.Redis) -> None:
    execute(client, PARK.replace("{step}", "map(park)"))
    waiting = [client.client() for _ in range(8)]
    for one in waiting:
        one.connection.send_command("RG.TRIGGER", "park")
    for number in range(8):
        go_on(client, str(number))
    assert sorted(one.connection.read_response() for one in waiting) == [[number] for number in range(8)]
    for one in waiting:
        one.close()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("gearsFuture()", "Future object can only be created inside certain execution steps"),
        ("GB('ShardsIDReader').map(lambda r: (gearsFuture(), gearsFuture())).run()", "async record twice"),
        ("GB('ShardsIDReader').map(lambda r: gearsFuture().continueRun(1)).run()", "Can not handle future untill it"),
        ("GB('ShardsIDReader').map(lambda r: gearsFuture()).run()", "Async record did not called continue"),
        ("GB('ShardsIDReader').batchgroupby(lambda r: 1, lambda k, r: gearsFuture()).run()", "Step does not support"),
    ],
)  # fmt: skip
def test_errors_of_futures(client: redis.Redis, script: str, error: str) -> None:
    try:
        _, (text,) = execute(client, script)
    except redis.ResponseError as raised:
        text = str(raised).encode()
    assert error in text.decode()


def test_a_future_may_fail(client: redis.Redis) -> None:
    script = """
import threading
def fail(r):
    future = gearsFuture()
    threading.Timer(0.01, lambda: future.continueFailed('it failed')).start()
    return future
GB('ShardsIDReader').map(fail).run()
"""
    assert execute(client, script) == [[], [b"it failed"]]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("map(f)", [b"11"]),
        ("filter(f)", [b"1"]),
        ("foreach(f)", [b"1"]),
        ("flatmap(f)", [b"11"]),
        ("accumulate(g)", [b"None1"]),
        ("localgroupby(lambda r: r, h).map(lambda g: g['value'])", [b"1None1"]),
    ],
)
def test_steps_may_be_coroutines(client: redis.Redis, step: str, expected: list[bytes]) -> None:
    script = f"""
async def f(r):
    await asyncio.sleep(0)
    execute('SET', 'inside', 1)
    return r + r
async def g(a, r):
    return str(a) + r
async def h(k, a, r):
    return k + str(a) + r
GB('ShardsIDReader').{step}.run()
"""
    assert execute(client, script) == [expected, []]


def test_an_error_in_a_coroutine_is_reported_by_its_text(client: redis.Redis) -> None:
    script = "async def f(r):\n    raise ValueError('no')\nGB('ShardsIDReader').map(f).run()"
    assert execute(client, script) == [[], [b"no"]]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("map(slow)", [b"%d" % number for number in range(200)]),
        ("filter(slow)", [b"%d" % number for number in range(1, 200)]),
        ("foreach(slow)", [b"%d" % number for number in range(200)]),
        ("map(slow).map(slow).limit(3)", [b"0", b"1", b"2"]),
    ],
)
def test_records_wait_together_and_keep_their_order(client: redis.Redis, step: str, expected: list[bytes]) -> None:
    script = f"""
import asyncio
def numbers():
    yield from range(200)
async def slow(number):
    await asyncio.sleep(0.3 if number % 2 else 0.2)
    return number
GB('PythonReader').{step}.run(numbers)
"""
    started = time.monotonic()
    assert execute(client, script) == [expected, []]
    assert time.monotonic() - started < 20, "one after another they take 50 s"


def test_the_first_record_that_fails_ends_the_others(client: redis.Redis) -> None:
    script = """
import asyncio
def numbers():
    yield from range(5)
async def slow(number):
    await asyncio.sleep(0.05 if number < 2 else 60)
    if number == 1:
        raise ValueError('no')
    return number
GB('PythonReader').map(slow).run(numbers)
"""
    assert execute(client, script) == [[b"0"], [b"no"]]


def test_a_future_that_is_continued_before_its_callback_returns_keeps_the_value(client: redis.Redis) -> None:
    script = """
import threading
def park(record):
    future = gearsFuture()
    thread = threading.Thread(target=future.continueRun, args=('yes',))
    thread.start()
    thread.join()
    return future
GB('CommandReader').map(park).register(trigger='park')
"""
    execute(client, script)
    assert client.execute_command("RG.TRIGGER", "park") == [b"yes"]


def test_numbers_of_numpy_are_shown_as_before_numpy_2(client: redis.Redis) -> None:
    script = "import numpy\nGB('ShardsIDReader').map(lambda r: [numpy.float32(0.5), numpy.int64(2)]).run()"
    assert execute(client, script) == [[b"[0.5, 2]"], []]


def test_a_coroutine_can_await_runs_and_futures(client: redis.Redis) -> None:
    client.mset({"k1": 1, "k2": 2})
    script = """
async def work(r):
    future = createFuture()
    failing = createFuture()
    async def answer():
        return 'answered'
    async def fail():
        raise ValueError('failed')
    runCoroutine(answer(), future, delay=0.01)
    runCoroutine(fail(), failing)
    results = await GB('KeysOnlyReader').run('k*')
    try:
        await failing
    except ValueError as error:
        failure = str(error)
    return [sorted(results[0]), results[1], await future, failure, isAsyncAllow()]
GB('ShardsIDReader').map(work).run(convertToStr=False)
"""
    assert execute(client, script) == [[[[b"k1", b"k2"], [], b"answered", b"failed", 1]], []]


STRUCK = """
from rededge_nb.edge.gears.runtime import futures
from rededge_nb.edge.gears.runtime.errors import GearsError, GearsForceStopped
from rededge_nb.edge.gears.runtime.live import raise_in_thread

async def answer():
    return 1

struck = futures.loop()
for _ in range(300):
    raise_in_thread(struck._thread.ident, GearsForceStopped)
    struck.asyncio.call_soon_threadsafe(int)
for _ in range(300):
    try:
        print(futures.loop().submit(answer()).result(10))
        break
    except (GearsForceStopped, GearsError):
        continue  # the last one was still on its way
"""


def test_there_is_an_event_loop_after_every_interruption() -> None:
    done = subprocess.run([sys.executable, "-c", STRUCK], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "1\n", done.stderr[-2000:]


def test_threads_of_a_gear_can_run_commands(client: redis.Redis) -> None:
    script = """
import threading
def work(r):
    thread = threading.Thread(target=lambda: execute('SET', 'from a thread', 1))
    thread.start()
    thread.join()
GB('ShardsIDReader').foreach(work).run()
"""
    assert execute(client, script) == [[b"1"], []]
    assert client.get("from a thread") == b"1"
