"""`with atomic():`, for one task or thread, and what other clients see of it."""

from __future__ import annotations

import threading

import pytest
import redis

from tests.gear_scripts import execute


def test_a_block_that_reads_and_writes_is_not_mixed_with_others(client: redis.Redis) -> None:
    script = """
def add(r):
    for _ in range(50):
        while True:
            try:
                with atomic():
                    value = int(execute('GET', 'n') or 0)
                    execute('SET', 'n', value + 1)
                break
            except redisgears.GearsError as error:
                assert 'nothing of this atomic block was done' in str(error), error
                execute('INCR', 'conflicts')
    return isInAtomicBlock()
GB('ShardsIDReader').map(add).run(convertToStr=False)
"""
    threads = [threading.Thread(target=execute, args=(client, script)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("n") == b"150"


def test_is_in_atomic_block_inside_a_block(client: redis.Redis) -> None:
    script = """
def look(r):
    with atomic():
        inside = isInAtomicBlock()
        n = execute('INCR', 'n')
    return [inside, int(n)]
GB('ShardsIDReader').map(look).run(convertToStr=False)
"""
    assert execute(client, script) == [[[1, 1]], []]


def test_a_coroutine_does_not_await_inside_atomic(client: redis.Redis) -> None:
    script = """
async def work(r):
    try:
        with atomic():
            execute('SET', 'inside', 1)
            await asyncio.sleep(0)
    except redisgears.GearsError as error:
        caught = str(error)
    await asyncio.sleep(0)
    with atomic():
        execute('SET', 'after', 1)
    return [caught, isInAtomicBlock()]
GB('ShardsIDReader').map(work).run(convertToStr=False)
"""
    assert execute(client, script) == [[[b"await is not allow inside atomic block", 0]], []]
    assert (client.exists("inside"), client.get("after")) == (0, b"1")


@pytest.mark.parametrize("begin", ["runCoroutine(other(), done)", "threading.Thread(target=other_thread).start()"])
def test_an_atomic_block_belongs_to_one_task_or_thread(client: redis.Redis, begin: str) -> None:
    script = f"""
import threading
async def other():
    return other_thread()
def other_thread():
    results.append([isInAtomicBlock(), execute('INCR', 'n') == 1])
    seen.set()
async def wait_for_it():
    await done
    return [isInAtomicBlock(), execute('INCR', 'n') == 3]
results, seen, done = [], threading.Event(), createFuture()
def work(r):
    with atomic():
        execute('INCR', 'n')
        {begin}
        seen.wait()
    setFutureResults(done, 1)
    return wait_for_it()
GB('ShardsIDReader').map(work).foreach(results.append).map(lambda r: results).run(convertToStr=False)
"""
    assert execute(client, script) == [[[[0, 1], [0, 1]]], []]


def test_a_block_is_one_transaction_whose_replies_are_known_afterwards(client: redis.Redis) -> None:
    client.xadd("s", {"x": 1})
    script = """
def write(r):
    with atomic():
        first = execute('INCR', 'n')
        second = execute('RPUSH', 'l', 'a', 'b')
        try:
            str(first)
        except Exception as error:
            early = str(error)
    return [int(first), int(second), early]
GB('StreamReader').map(write).run('s', convertToStr=False)
"""
    ((reply,), errors) = execute(client, script)
    assert errors == []
    assert reply[:2] == [1, 2]
    assert b"only after its atomic block has ended" in reply[2]


def test_atomic_raises_what_redis_refuses_and_cannot_be_nested(client: redis.Redis) -> None:
    client.xadd("s", {"x": 1})
    client.set("text", "x")
    nested = "with atomic():\n    with atomic():\n        pass"
    with pytest.raises(redis.ResponseError, match="Already inside an atomic block"):
        execute(client, nested)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        execute(client, "with atomic():\n    execute('RPUSH', 'text', 'x')")


def test_a_block_can_be_entered_and_left_by_hand(client: redis.Redis) -> None:
    script = """
def work(record):
    block = redisgears.atomicCtx()
    block.__enter__()
    execute('SET', 'k', 1)
    block.__exit__()
    return execute('GET', 'k')
GB('ShardsIDReader').map(work).run()
"""
    assert execute(client, script) == [[b"1"], []]
