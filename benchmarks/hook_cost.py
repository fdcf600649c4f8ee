"""What hooks cost: the round trip of a hooked command, and the server's processor time for other commands.

Round trips are those of one client, as multiples of a plain SET's in the same server. The *bare worker* is a thread of
the client that only executes the original command: the least that a hook can cost. The processor time is that of
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
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import redis

from benchmarks.counting import in_turn, own_server, ratio
from rededge_nb.edge.server.binaries import find_binaries
from rededge_nb.edge.switchboard.calls import HOOKS as HOOK_QUEUE
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
"""The figures of a prototype, whose worker was such a thread, on a slower machine."""
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


def bare_worker(rounds: int) -> dict[str, list[float]]:
    """Median microseconds of a SET and of an HSET with a hook, with the bare worker, round by round."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        bare_redis(*module_arguments()) as server,
        server.client() as client,
    ):
        client.execute_command("EDGE.HOOK", *HOOKS["a hook on another command"])
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        words = {"plain": COMMANDS["plain"], "HSET with a bare worker": COMMANDS["HSET with a hook"]}
        return in_turn({name: partial(_microseconds, client, one) for name, one in words.items()}, rounds)


def _serve(server: BareRedis) -> None:
    calls, commands = server.wire(), server.wire()
    commands.call("EDGE.JOIN")
    with contextlib.suppress(redis.ConnectionError):  # the server has ended
        while True:
            for call_id, *_, words in calls.call("EDGE.NEXT", 1, HOOK_QUEUE) or ():
                reply = commands.call("EDGE.CALL", call_id, *words[2:], "changed", "now")
                calls.call("EDGE.REPLY", call_id, b":%d\r\n" % reply)


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
        bare = bare_worker(options.rounds)
        print(f"    {'HSET with a bare worker':32} {ratio(bare['HSET with a bare worker'], bare['plain']):6.3f} times")
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
