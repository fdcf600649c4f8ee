"""Entries per second that a gear handles, compared with a bare redis-py loop that does the same.

Both read a stream as a consumer group in batches of 100, take one field of each entry, add it to another stream, and
acknowledge. `python -m benchmarks.gears [--entries N] [--batch N]` starts its own server and stops it at the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import redis

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url

GEAR = """
GB('StreamReader').map(lambda r: r['value']['x']).foreach(
    lambda x: execute('XADD', 'out', '*', 'x', x)
).register('in', batch={batch}, duration=50, convertToStr=False, collect=False)
"""
LEAST_RATE, LEAST_SHARE = 5_000, 1 / 3
WAIT = 300.0


def fill(client: redis.Redis, entries: int) -> None:
    client.delete("in", "out")
    pipeline = client.pipeline(transaction=False)
    for number in range(entries):
        pipeline.xadd("in", {"x": number})
    pipeline.execute()


def bare_rate(client: redis.Redis, entries: int, batch: int) -> float:
    """Entries a second of the loop that anybody would write."""
    fill(client, entries)
    client.xgroup_create("in", "bare", id="0")
    began, done = time.perf_counter(), 0
    while done < entries:
        ((_, found),) = client.xreadgroup("bare", "one", {"in": ">"}, count=batch)
        for _, fields in found:
            client.xadd("out", {"x": fields[b"x"]})
        client.xack("in", "bare", *(entry_id for entry_id, _ in found))
        done += len(found)
    return entries / (time.perf_counter() - began)


def gear_rate(client: redis.Redis, entries: int, batch: int) -> float:
    """Entries a second of a registered gear, from its registration to the last acknowledgement."""
    fill(client, entries)
    began = time.perf_counter()
    client.execute_command("RG.PYEXECUTE", GEAR.format(batch=batch), "ID", "benchmark", "UPGRADE")
    while client.xlen("in"):
        if time.perf_counter() - began > WAIT:
            raise SystemExit(f"the gear has not ended: {client.execute_command('RG.DUMPREGISTRATIONS')}")
        time.sleep(0.01)
    elapsed = time.perf_counter() - began
    written = client.xlen("out")
    if written != entries:
        raise SystemExit(f"{entries} entries were read and {written} written")
    for registration in client.execute_command("RG.DUMPREGISTRATIONS"):
        client.execute_command("RG.UNREGISTER", registration[1])
    return entries / elapsed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        client = client_from_url(server.start(Path(name)).url)
        try:
            bare = bare_rate(client, options.entries, options.batch)
            gear = gear_rate(client, options.entries, options.batch)
        finally:
            client.close()
            server.stop(Path(name))
    share = gear / bare
    print(f"bare loop  {bare:>9,.0f} entries/s")
    print(f"gear       {gear:>9,.0f} entries/s, {share:.2f} of the bare loop")
    reached = gear >= LEAST_RATE and share >= LEAST_SHARE
    print(f"{'reached' if reached else 'MISSED'}: at least {LEAST_RATE:,} a second and {LEAST_SHARE:.2f} of the loop")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
