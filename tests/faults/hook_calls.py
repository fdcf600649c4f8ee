"""Hooks, triggers, gears for which commands wait, and models, which call each other while many clients use them.

Nothing may wait for itself: each command must get its reply, and nothing may run twice or not at all.

`python -m tests.faults.hook_calls --seconds 600`, which is `make deadlocks`, does it for ten minutes on a server of its
own, and prints how many commands of each kind were answered.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from tests.edge.ai import onnx_files
from tests.waiting import wait_for

CLIENTS = 12
PATIENCE = 60.0
"""Seconds without a reply after which a command counts as stuck."""
GEARS = """
import asyncio
import redisAI

def count(record):
    tensor = redisAI.getTensorFromKey('a')
    runner = redisAI.createModelRunner('m')
    for name in ('x', 'y'):
        redisAI.modelRunnerAddInput(runner, name, tensor)
    redisAI.modelRunnerAddOutput(runner, 'z')
    assert redisAI.tensorToFlatList(redisAI.modelRunnerRun(runner)[0]) == [2.0, 4.0]
    return execute('INCR', 'count')

def on_hset(record):
    execute('RG.TRIGGER', 'inner')
    execute('SET', 'waited:by hset', record[1])
    return call_next(*record[1:])

def on_set(record):
    execute('HSET', 'from set', 'key', record[1])
    return call_next(*record[1:])

async def outer(record):
    await asyncio.sleep(0.001)
    return execute('RG.TRIGGER', 'inner')

GB('CommandReader').map(count).register(trigger='inner', mode='sync')
GB('CommandReader').map(on_hset).register(hook='hset', mode='sync')
GB('CommandReader').map(on_set).register(hook='set', keyprefix='hooked:', mode='sync')
GB('CommandReader').map(outer).register(trigger='outer')
GB('KeysReader').foreach(lambda r: execute('RG.TRIGGER', 'inner')).register('waited:*', eventTypes=['set'], mode='sync')
GB('StreamReader').foreach(lambda r: execute('SET', 'waited:by xadd', r['id'])).register('stream:*', mode='sync')
"""
COMMANDS: dict[tuple[object, ...], int] = {
    ("HSET", "hash", "field", 1): 2,
    ("SET", "hooked:1", 1): 2,
    ("SET", "waited:1", 1): 1,
    ("XADD", "stream:1", "*", "n", 1): 1,
    ("XADD", "stream:2", "*", "n", 1): 1,
    ("RG.TRIGGER", "outer"): 1,
    ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "z"): 0,
}
"""By command: how many times it makes the trigger `inner` run."""


def call_each_other(connect: Callable[[], redis.Redis], seconds: float) -> Counter[tuple[object, ...]]:
    """Have many clients send such commands; returns how many of each were answered.

    Raises:
        AssertionError: A gear has not run as many times as it should.
        redis.RedisError: A command was refused, or had no reply.
    """
    admin = connect()
    admin.execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.binary("Add"))
    admin.execute_command("AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)
    admin.execute_command("RG.PYEXECUTE", GEARS)
    end = time.monotonic() + seconds

    def send(seed: int) -> Counter[tuple[object, ...]]:
        rng, client, answered = random.Random(seed), connect(), Counter[tuple[object, ...]]()
        for words in COMMANDS:  # each at least once, however short the time
            client.execute_command(*words)
            answered[words] += 1
        while time.monotonic() < end:
            words = rng.choice(tuple(COMMANDS))
            client.execute_command(*words)
            answered[words] += 1
        client.close()
        return answered

    with ThreadPoolExecutor(CLIENTS) as pool:
        answered = sum(pool.map(send, range(CLIENTS)), Counter[tuple[object, ...]]())
    expected = sum(COMMANDS[words] * number for words, number in answered.items())
    wait_for(lambda: int(admin.get("count") or 0) >= expected, timeout=PATIENCE, what=f"{expected} runs of the trigger")
    if int(admin.get("count") or 0) != expected:
        raise AssertionError(f"{admin.get('count')} runs instead of {expected}")
    admin.close()
    return answered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        url = server.start(Path(name)).url
        try:
            answered = call_each_other(lambda: client_from_url(url, timeout=PATIENCE), options.seconds)
        finally:
            server.stop(Path(name))
    for words, number in answered.items():
        print(f"{number:>9,} {' '.join(map(str, words))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
