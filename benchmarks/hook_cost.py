"""What hooks cost: the round trip of a hooked command, and the server's processor time for other commands.

Round trips are those of one client, as multiples of a plain SET's in the same server. The processor time is that of
the main thread of a redis-server that executes SETs in pipelines, as a multiple of that of a server without the edge
module. All servers have RedisTimeSeries. Where the system puts a process in memory changes its speed by a percent or
two, so the servers are started several times.

`python -m benchmarks.hook_cost [--rounds N]` starts its own servers and stops them at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import redis

from benchmarks.counting import in_turn, own_server, ratio
from rededge_nb.edge.server.binaries import find_binaries
from rededge_nb.edge.worker.command_table import module_arguments
from tests.edge.bare_redis import BareRedis, bare_redis

GEARS = """
import time
def add_time(record):
    return call_next(*record[1:], 'changed', time.time())
GB('CommandReader').map(add_time).register(hook='hset', convertToStr=False)
GB('KeysReader').foreach(lambda r: override_reply('no such key')).register(
    'lines:*', commands=['get'], eventTypes=['keymiss'], mode='async_local')
GB('KeysReader').foreach(lambda r: execute('INCR', 'count')).register(
    'counted:*', eventTypes=['set'], mode='sync')
"""
COMMANDS: dict[str, tuple[object, ...]] = {
    "plain": ("SET", "key", "value"),
    "HSET with a hook": ("HSET", "hash", "field", "value"),
    "GET with commands=, no event": ("GET", "lines:1"),
    "SET with a sync KeysReader": ("SET", "counted:1", "value"),
}
MAX_ROUND_TRIPS = {"HSET with a hook": 2.5, "GET with commands=, no event": 1.4, "SET with a sync KeysReader": 2.4}
"""The prototype's figures; its client and worker were one process."""
MAX_SERVER_TIME = {"no hook": 1.02, "a hook on another command": 1.06}
HOOKS = {"no hook": (), "a hook on another command": ("1", "hook 0 hset * *")}
CALLS, PIPELINE, PIPELINES, ROUNDS_OF_A_START = 300, 500, 60, 9


def round_trips(rounds: int) -> dict[str, list[float]]:
    """Median microseconds of each command, round by round."""
    with own_server() as client:
        client.execute_command("RG.PYEXECUTE", GEARS)
        client.set("lines:1", "a value")
        sides = {name: partial(_microseconds, client, words) for name, words in COMMANDS.items()}
        return in_turn(sides, rounds)


def server_times(starts: int) -> dict[str, list[float]]:
    """Processor time of the server for a SET in microseconds: the least of each start."""
    found: dict[str, list[float]] = {}
    options = ("--loadmodule", str(find_binaries().timeseries))
    for _ in range(starts):
        with ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # the servers' logs
            servers = {"no module": stack.enter_context(bare_redis(load=False, options=options))}
            for name, hook in HOOKS.items():
                servers[name] = stack.enter_context(bare_redis(*module_arguments(), options=options))
                if hook:
                    servers[name].client().execute_command("EDGE.HOOK", *hook)
            times = in_turn({name: partial(_server_time, one) for name, one in servers.items()}, ROUNDS_OF_A_START)
        for name, seconds in times.items():
            found.setdefault(name, []).append(min(seconds))
    return found


def _microseconds(client: redis.Redis, words: tuple[object, ...]) -> float:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        client.execute_command(*words)
        times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)


def _server_time(server: BareRedis) -> float:
    task = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/schedstat")
    with server.client() as client:
        connection = client.connection_pool.get_connection()
        packed = connection.pack_commands([("SET", "key", "value")] * PIPELINE)
        began = int(task.read_text().split()[0])
        for _ in range(PIPELINES):
            connection.send_packed_command(packed)
            for _ in range(PIPELINE):
                connection.read_response()
        elapsed = int(task.read_text().split()[0]) - began
        client.connection_pool.release(connection)
    return elapsed / PIPELINE / PIPELINES / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", choices=("round trips", "server"))
    options = parser.parse_args()
    missed = False
    if options.only != "server":
        missed |= _report("round trip", "plain", round_trips(options.rounds), MAX_ROUND_TRIPS)
    if options.only != "round trips":
        missed |= _report("server time", "no module", server_times(options.rounds), MAX_SERVER_TIME)
    return int(missed)


def _report(what: str, base: str, times: dict[str, list[float]], bars: dict[str, float]) -> bool:
    """Print the ratios; returns whether a bar was missed."""
    print(f"{what}: {base} {min(times[base]):.1f} µs")
    ratios = {name: ratio(times[name], times[base]) for name in bars}
    for name, bar in bars.items():
        reached = "reached" if ratios[name] <= bar else "MISSED"
        print(f"    {name:32} {ratios[name]:6.3f} times  {reached}: at most {bar}")
    return any(ratios[name] > bar for name, bar in bars.items())


if __name__ == "__main__":
    sys.exit(main())
