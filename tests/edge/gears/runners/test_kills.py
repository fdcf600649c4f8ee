"""Ten thousand entries and three kills of the worker: no entry is lost, few run twice, and the order is kept."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute
from tests.waiting import wait_for

ENTRIES, BATCH, KILLS = 10_000, 100, 3
GEAR = """
import time
def gate(n):
    while int(n) >= int(execute('GET', 'limit')):
        time.sleep(0.002)
GB('StreamReader').map(lambda r: r['value']['n']).foreach(gate).foreach(
    lambda n: execute('RPUSH', 'seen', n)).register('s', batch={batch}, duration=100)
"""


def test_every_entry_is_processed_at_least_once(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    client.set("limit", 0)
    execute(client, GEAR.replace("{batch}", str(BATCH)))
    pipeline = client.pipeline(transaction=False)
    for number in range(ENTRIES):
        pipeline.xadd("s", {"n": number})
    pipeline.execute()
    for kill in range(KILLS):
        # in the middle of a batch, each time in another one
        limit = (kill + 1) * ENTRIES // (KILLS + 1) + BATCH // 2
        client.set("limit", limit)
        wait_for(
            lambda last=limit - 1: client.lrange("seen", -1, -1) == [b"%d" % last],
            what=f"progress before kill {kill + 1}",
            timeout=60,
        )
        (worker,) = workers_of(instance.pid)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    client.set("limit", ENTRIES)
    wait_for(lambda: client.xlen("s") == 0, what="the last entry", timeout=60)
    seen = [int(number) for number in client.lrange("seen", 0, -1)]
    client.close()
    assert set(seen) == set(range(ENTRIES))
    assert len(seen) - ENTRIES <= KILLS * BATCH
    # where it goes back, it goes back to the batch in progress, and continues from there
    first_seen = list(dict.fromkeys(seen))
    assert first_seen == sorted(first_seen)
    steps_back = [before - after for before, after in itertools.pairwise(seen) if after <= before]
    assert len(steps_back) == KILLS
    assert all(step < BATCH for step in steps_back)
