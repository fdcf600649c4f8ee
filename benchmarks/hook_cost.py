"""What hooks cost: the round trip of a hooked command, and the server's processor time for other commands.

Round trips are those of one client, as multiples of a plain SET's in the same server. The *bare worker* is a thread of
the client that only executes the command, as in the prototype of the hooks: the least that a hook can cost. Both are
measured twice:

- On one processor. Then nothing depends on where the system puts the processes: the figures of two runs differ by a few
  percent, and the round trip is the sum of what client, server and worker do.
- On all processors. A plain SET takes 25 µs if client and server share a processor, and 65 µs if the other one has to
  be woken, so the ratios of two runs differ by a factor of two. That is how the prototype was measured.

The processor time is that of the main thread of a redis-server that executes SETs in pipelines, as a multiple of that
of a server without the edge module. All servers have RedisTimeSeries. Where the system puts a process in memory changes
its speed by a percent or two, so the servers are started several times.

`python -m benchmarks.hook_cost [--rounds N]` starts its own servers and stops them at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
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
PROTOTYPE = {"HSET with a hook": 2.5, "GET with commands=, no event": 1.4, "SET with a sync KeysReader": 2.4}
"""The figures of the prototype, on all processors of a slower machine."""
MAX_SERVER_TIME = {"no hook": 1.02, "a hook on another command": 1.06}
HOOKS = {"no hook": (), "a hook on another command": ("1", "hook 0 hset * *")}
BARE = {
    "HSET with a hook": HOOKS["a hook on another command"],
    "SET with a sync KeysReader": ("2", "linked 0 * set counted:*"),
}
"""The commands that the bare worker serves, with their hooks."""
CALLS, PIPELINE, PIPELINES, ROUNDS_OF_A_START = 300, 500, 60, 9


def round_trips(rounds: int) -> dict[str, list[float]]:
    """Median microseconds of each command, round by round."""
    with own_server() as client:
        client.execute_command("RG.PYEXECUTE", GEARS)
        client.set("lines:1", "a value")
        return in_turn({name: partial(_microseconds, client, words) for name, words in COMMANDS.items()}, rounds)


def processor_times(rounds_of_each: int) -> dict[str, dict[str, float]]:
    """Microseconds of the processor that the server and the worker need for each command."""
    found: dict[str, dict[str, float]] = {}
    with own_server() as client:
        client.execute_command("RG.PYEXECUTE", GEARS)
        client.set("lines:1", "a value")
        server = client.info("server")["process_id"]
        supervisor = Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[1]
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        for name, words in COMMANDS.items():
            rounds = [_used(client, words, children) for _ in range(rounds_of_each)]
            used = {child: statistics.median(one[child] for one in rounds) for child in children}
            found[name] = {"server": used.pop(str(server)), "worker": sum(used.values())}
    return found


def bare_worker(rounds: int) -> dict[str, list[float]]:
    """Median microseconds of a SET and of commands with hooks, with the bare worker, round by round."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        bare_redis(*module_arguments()) as server,
        server.client() as client,
    ):
        for name, serve in (("HSET with a hook", _serve_calls), ("SET with a sync KeysReader", _serve_events)):
            client.execute_command("EDGE.HOOK", *BARE[name])
            threading.Thread(target=serve, args=(server,), daemon=True).start()
        names = ("plain", *BARE)
        return in_turn({name: partial(_microseconds, client, COMMANDS[name]) for name in names}, rounds)


def _serve_calls(server: BareRedis) -> None:
    calls, commands = server.wire(), server.wire()
    commands.call("EDGE.JOIN")
    with contextlib.suppress(redis.ConnectionError):  # the server has ended
        while True:
            for call_id, *_, words in calls.call("EDGE.NEXT", 1, HOOK_QUEUE) or ():
                reply = commands.call("EDGE.CALL", call_id, *words[2:], "changed", "now")
                calls.call("EDGE.REPLY", call_id, b":%d\r\n" % reply)


def _serve_events(server: BareRedis) -> None:
    events, commands = server.wire(), server.wire()
    commands.call("EDGE.JOIN")
    hook, last = BARE["SET with a sync KeysReader"][0], 0
    with contextlib.suppress(redis.ConnectionError):
        while True:
            _, received = events.call("EDGE.EVENTS", hook, last)
            for number, *_ in received:
                commands.call("INCR", "count")
                events.call("EDGE.DONE", hook, number)
                last = number


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


def _used(client: redis.Redis, words: tuple[object, ...], processes: list[str]) -> dict[str, float]:
    """Microseconds of the processor that processes use for a command."""
    before = {process: _processor_time(process) for process in processes}
    _microseconds(client, words)
    return {process: (_processor_time(process) - before[process]) / CALLS / 1000 for process in processes}


def _processor_time(process: str) -> int:
    """Nanoseconds that the threads of a process have used."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


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
    if options.only != "server":
        processors = os.sched_getaffinity(0)
        for where, used in (("one processor", {max(processors)}), ("all processors", processors)):
            os.sched_setaffinity(0, used)  # the servers and workers inherit it
            _report_round_trips(where, round_trips(options.rounds), bare_worker(options.rounds))
        os.sched_setaffinity(0, {max(processors)})
        print("processor time of each command, one processor:")
        for name, times in processor_times(options.rounds).items():
            print(f"    {name:32} server {times['server']:5.1f} µs  worker {times['worker']:5.1f} µs")
        os.sched_setaffinity(0, processors)
    return 0 if options.only == "round trips" else _report_server_times(server_times(options.rounds))


def _report_round_trips(where: str, times: dict[str, list[float]], bare: dict[str, list[float]]) -> None:
    print(f"round trip, {where}: plain {statistics.median(times['plain']):.1f} µs")
    for name, prototype in PROTOTYPE.items():
        least = f"  with a bare worker {ratio(bare[name], bare['plain']):6.3f}" if name in bare else ""
        print(f"    {name:32} {ratio(times[name], times['plain']):6.3f} times{least}  (prototype: {prototype})")


def _report_server_times(times: dict[str, list[float]]) -> int:
    """Print the ratios with their quartiles; returns 1 if a bar was missed, otherwise 0."""
    print(f"server time: no module {min(times['no module']):.1f} µs")
    missed = 0
    for name, bar in MAX_SERVER_TIME.items():
        ratios = [one / other for one, other in zip(times[name], times["no module"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        missed |= middle > bar
        reached = "MISSED" if middle > bar else "reached"
        print(f"    {name:32} {middle:6.3f} times ({low:.3f} to {high:.3f})  {reached}: at most {bar}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
