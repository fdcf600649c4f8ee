"""The edge module alone, between callers and workers that say anything: also in a build with sanitizers."""

from __future__ import annotations

import contextlib
import io
import random

import redis

from tests.edge.bare_redis import BareRedis, Wire, bare_redis
from tests.edge.switchboard.bare_switchboard import take
from tests.faults.fuzz.world import Tally, mutated

ARGUMENTS = (
    # the second time limit ends the wait for a worker; a busy machine may need seconds between two steps
    *(
        "CLASS",
        "main,60000,60000,50",
        "CMD",
        "T.CALL,main,-1,,,",
        "CMD",
        "T.KEYS,main,-2,readonly,read,r INPUTS:r OUTPUTS:w",
    ),
    *("CMD", "T.REST,main,-2,write,write,. rw w*"),
    *("CLASS", "hooks,60000,60000,50", "HOOKS", "hooks,15,hooks"),
)
SIGNS_OF_A_CRASH = ("REDIS BUG REPORT", "ERROR: AddressSanitizer", "runtime error:")
VALUES = (
    *(
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":1\r\n",
        b"$3\r\nabc\r\n",
        b"$-1\r\n",
        b"*2\r\n:1\r\n$1\r\na\r\n",
        b"_\r\n",
        b"#t\r\n",
    ),
    *(b",1.5\r\n", b"(123456789012345678901\r\n", b"=7\r\ntxt:abc\r\n", b"~1\r\n:1\r\n", b"%1\r\n+a\r\n:1\r\n"),
    *(b"*1\r\n" * 31 + b":1\r\n", b"*1000\r\n" + b":1\r\n" * 1000),
)
KEY_WORDS = (
    b"k",
    b"INPUTS",
    b"OUTPUTS",
    b"inputs",
    b"0",
    b"1",
    b"2",
    b"-1",
    b"9223372036854775807",
    b"1e3",
    b"",
    b"\0",
)


def switchboard_kind(rng: random.Random, count: int, tally: Tally) -> None:
    """Replies that are none, keys that cannot be found, workers and callers that go in between."""
    # it prints the server's log, for tests that fail
    with contextlib.redirect_stdout(io.StringIO()), bare_redis(*ARGUMENTS) as server:
        admin = server.client()
        admin.response_callbacks.clear()
        worker = server.wire()
        while tally.inputs < count:
            match rng.randrange(12):
                case 0:
                    keys(rng, admin, tally)
                case 10:
                    hooks(rng, server, tally)
                case 11:
                    hooked(rng, server, tally)
                case 1:
                    request(rng, server, tally)
                case 2:
                    worker = disturbed(rng, server, worker)
                    tally.taken()
                case _:
                    reply(rng, server, worker, tally)
        if server.process.poll() is not None:
            tally.mishap(f"redis-server ended with {server.process.returncode}")
        tally.mishaps += [sign for sign in SIGNS_OF_A_CRASH if sign in server.log()]
        admin.close()


def reply(rng: random.Random, server: BareRedis, worker: Wire, tally: Tally) -> None:
    """One call, answered with a value that may be none, to a caller that speaks either protocol."""
    payload = mutated(rng, rng.choice(VALUES)) if rng.random() < 0.8 else rng.choice(VALUES)
    caller = server.wire(protocol=rng.choice((2, 3))).send("T.CALL", rng.randbytes(rng.randint(0, 300)))
    call = take(worker)
    try:
        worker.call("EDGE.REPLY", call[0][0], payload)
    except redis.ResponseError as error:
        tally.refuse(error, payload)
        if "malformed reply" not in caller.receive_error():
            tally.mishap(f"{payload!r}: the caller was not told")
    else:
        tally.taken()
        with contextlib.suppress(redis.ResponseError):  # where the payload is an error
            caller.receive()
    if caller.call("PING") not in (b"PONG", "PONG"):
        tally.mishap(f"{payload!r} was followed by something")
    caller.close()


def keys(rng: random.Random, admin: redis.Redis, tally: Tally) -> None:
    """COMMAND GETKEYS of commands whose keys must be looked for."""
    words = [rng.choice(KEY_WORDS) for _ in range(rng.randint(0, 8))]
    try:
        admin.execute_command("COMMAND", "GETKEYSANDFLAGS", rng.choice(("T.KEYS", "T.REST", "T.CALL")), *words)
        tally.taken()
    except redis.ResponseError as error:
        tally.refuse(error, words)


def hooks(rng: random.Random, server: BareRedis, tally: Tally) -> None:
    """Hooks that come and go, most of them wrong; commands about calls and events that do not exist."""
    wire = server.wire()
    spec = b" ".join(
        rng.choice(choices)
        for choices in (
            (b"hook", b"linked", b"events", b"", b"hooks"),
            (b"0", b"1", b"-1", b"9" * 20, b"x"),
            (b"*", b"set", b"set,hset,get", b"eval", b"nosuch", b",,", b"", b"x" * 200, b"migrate"),
            (b"*", b"set", b"set,del,keymiss", b"", b",", b"\xff"),
            (b"*", b"k*", b"k", b"", b"**", b"a b*", b"\0"),
        )
    )
    spec = mutated(rng, spec) if rng.random() < 0.2 else spec
    hook_id = rng.choice((b"r-1", b"r-2", b"r-18446744073709551616", b"-", b"", b"r\0"))
    payload = rng.choice(VALUES) if rng.random() < 0.5 else b"+"
    words = rng.choice(
        (
            (b"EDGE.HOOK", hook_id, spec),
            (b"EDGE.HOOK", hook_id, spec),
            (b"EDGE.UNHOOK", hook_id),
            (b"EDGE.DONE", hook_id, rng.choice((b"0", b"1", b"-1", b"9" * 18, b"x")), payload),
            (b"EDGE.DONE", hook_id, b"9" * 18),
            (b"EDGE.CALL", rng.choice((b"1-1", b"", b"-", b"9" * 40)), b"k"),
            (
                b"EDGE.QUIET",
                *rng.choice(((b"SET", b"k", b"v"), (b"EDGE.QUIET", b"PING"), (b"NOSUCH",), (b"EDGE.JOIN",))),
            ),
            (
                b"EDGE.STREAMS",
                rng.choice((b"0", b"1", b"-1", b"9" * 20, b"x")),
                rng.choice((b"", b"k", b"\0", b"x" * 99)),
            ),
            (b"EDGE.JOIN",),
        )
    )
    try:
        wire.call(*words)
        tally.taken()
    except redis.ResponseError as error:
        tally.refuse(error, words)
    wire.close()


def hooked(rng: random.Random, server: BareRedis, tally: Tally) -> None:
    """Commands that may have hooks, while readers of events come and go; not all of them wait for the reply."""
    reader = server.wire().send(
        "EDGE.EVENTS",
        rng.choice((b"r-1", b"r-2", b"r-3")),
        rng.choice((b"0", b"9" * 18, b"x", b"-1")),
        *rng.choice(((), (b"VALUE",), (b"VALUE",), (b"", b"\0"))),
    )
    caller = server.wire(protocol=rng.choice((2, 3)))
    prefix = rng.choice(((), (), ("EDGE.WRITE",), ("EDGE.READ",), ("EDGE.WRITE", "EDGE.WRITE")))
    if rng.random() < 0.3:
        caller.send("MULTI")
    for _ in range(rng.randint(1, 3)):
        caller.send(
            *prefix, *rng.choice((("SET", "k", "v"), ("GET", "nosuch"), ("HSET", "k2", "f"), ("DEL", "k"), ("SET",)))
        )
    watcher = server.wire()
    watcher.call("EDGE.STREAMS", 0, "k")
    watcher.send("EDGE.STREAMS", 0, rng.choice(("k", "")))
    caller.send("XADD", rng.choice(("k", "k3")), "*", "n", 1)
    caller.send("EXEC")
    worker = server.wire().send("EDGE.NEXT", 1, "hooks")
    for wire in rng.sample((reader, caller, worker, watcher), 4):
        if rng.random() < 0.5:
            tally.taken()
        wire.close()


def request(rng: random.Random, server: BareRedis, tally: Tally) -> None:
    """What a worker may ask for by mistake."""
    wire = server.wire()
    words = [
        rng.choice((b"1", b"0", b"main", b"9" * 30, b"1-1", b"", b"+x\r\n", b"\xff")) for _ in range(rng.randint(0, 4))
    ]
    words = [word for word in words if word != b"main"]  # it would wait, as it should
    try:
        wire.call(rng.choice(("EDGE.NEXT", "EDGE.REPLY", "T.NONE")), *words)
        tally.taken()
    except redis.ResponseError as error:
        tally.refuse(error, words)
    wire.close()


def disturbed(rng: random.Random, server: BareRedis, worker: Wire) -> Wire:
    """Somebody goes in the middle of a call: the caller, or the worker, for which another comes."""
    caller = server.wire().send("T.CALL")
    take(worker)
    if rng.random() < 0.5:
        caller.close()
        return worker
    worker.close()
    if not caller.receive_error().startswith("WORKERLOST"):
        raise AssertionError("the caller of a lost worker was told something else")
    caller.close()
    return server.wire()
