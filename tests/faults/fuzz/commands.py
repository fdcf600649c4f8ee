"""AI.* and RG.* commands through a real server, and commands of a user whose keys are few."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import redis

from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.commands import COMMANDS as RG_COMMANDS
from tests.edge.ai import onnx_files
from tests.faults.fuzz.world import PATIENCE, Tally, World

Word = str | bytes | int
KEYS_OF_THE_USER = "~a:*"
ADD = onnx_files.binary("Add")
NUMBERS: tuple[Word, ...] = (0, 1, 1, 1, 2, 3, -1, 10**12, 2**63 - 1, 2**63, "01", "+1", " 1", "1.5", "nan", "-0")
DATA: tuple[Word, ...] = (
    ADD,
    ADD[:-9],
    b"",
    b"\xff\x00\n",
    b"x" * 1000,
    b"1234",
    "CPU",
    "GPU",
    "ONNX",
    "TORCH",
    "FLOAT",
)
AI_WORDS: tuple[Word, ...] = (
    *("INPUTS", "OUTPUTS", "LOAD", "PERSIST", "ROUTING", "KEYS", "ARGS", "TIMEOUT", "VALUES", "BLOB", "META", "SOURCE"),
    *("INT8", "BOOL", "STRING", "TAG", "BATCHSIZE", "MINBATCHSIZE", "MINBATCHTIMEOUT", "ENTRY_POINTS", "RESETSTAT"),
    *("|>", "$", "inputs", "Outputs", "AI.TENSORSET", "AI.TENSORGET", "AI.MODELEXECUTE", "AI.MODELRUN", "GET"),
)
RG_WORDS: tuple[Word, ...] = (
    *("UNBLOCKING", "ID", "DESCRIPTION", "UPGRADE", "REPLACE_WITH", "FORCE_REINSTALL_REQUIREMENTS", "SHARD", "CLUSTER"),
    *("GET", "RUN", "STATS", "RESET", "DEL", "ProfileExecutions", "MaxExecutions", "0-0", "x", "0" * 40 + "-0", "*"),
)
SCRIPTS: tuple[str, ...] = (
    *(
        "",
        "1",
        "GB().run()",
        "GB().count().run('a:*')",
        "GB('KeysReader').map(len).run()",
        "GB(1).run()",
        "x",
        "\0",
        "(",
    ),
    *("raise ValueError('\\n'.join('ab'))", "GB('StreamReader').run('fuzz-stream')", "GB('None').run()", "def f(:"),
    *("GB().flatmap(lambda r: [r] * 3).limit(1).run()", "GB().map(lambda r: 1 / 0).run()", "GB('PythonReader').run(5)"),
    *("GB('CommandReader').register(trigger='t')", "GB('StreamReader').register('fuzz-s', batch=0)", "import nothing"),
    *("GB('StreamReader').register('fuzz-s', mode='sync')", "execute('NOSUCH')", "execute()", "log(b'x', level='no')"),
    *("with atomic(): execute('GET', 'a:t')", "GB().groupby(lambda r: r, lambda k, a, r: a).run()", "exit()"),
    *("GB().map(lambda r: r.nothing).run(convertToStr=False)", "raise SystemExit", "raise KeyboardInterrupt"),
    *("execute('AI.TENSORGET', 'a:t')", "import redisAI; redisAI.createModelRunner('none')", "hashtag() + 1"),
)


def ai_kind(world: World, count: int, tally: Tally) -> None:
    """Every AI.* command, dangerous ones too, with keys of every kind and missing ones."""
    keys: tuple[Word, ...] = ("a:m", "a:t", "text", "new", "", b"\xff")
    names = [command.name for command in AI_COMMANDS]
    client = world.client()
    before = world.processes()

    def prepare() -> None:
        client.execute_command("DEL", *keys)
        client.execute_command("SET", "text", "x")
        client.execute_command("AI.MODELSTORE", "a:m", "ONNX", "CPU", "BLOB", ADD)
        client.execute_command("AI.TENSORSET", "a:t", "FLOAT", 1, 2)

    for number in range(count):
        if number % 100 == 0:
            prepare()
        line = (world.rng.choice(names), *words(world.rng, keys, AI_WORDS))
        send(client, nearly_right(world.rng) if world.rng.random() < 0.4 else line, tally)
    client.execute_command("DEL", *keys, "a:o", "b:new")
    if world.processes() != before:
        tally.mishap("Redis or a worker ended")


def rg_kind(world: World, count: int, tally: Tally) -> None:
    """Every RG.* command; requirements are left out, as they would be asked for over the network."""
    names = [command.name for command in RG_COMMANDS if command.name != "RG.PYEXECUTE"]
    keys: tuple[Word, ...] = ("a:t", "t", "fuzz-s", "none")
    client = world.client()
    before = world.processes()
    for _ in range(count):
        if world.rng.random() < 0.4:
            options = world.rng.choices(RG_WORDS, k=world.rng.randint(0, 3))
            line: tuple[Word, ...] = ("RG.PYEXECUTE", world.rng.choice(SCRIPTS), *options)
        else:
            line = (world.rng.choice(names), *words(world.rng, keys, RG_WORDS, most=3))
        send(client, line, tally, own_script=True)
    for registration in client.execute_command("RG.DUMPREGISTRATIONS"):
        if b"counts the people" not in (registration[5] or b""):
            client.execute_command("RG.UNREGISTER", registration[1])
    if world.processes() != before:
        tally.mishap("Redis or a worker ended")


def keys_kind(world: World, count: int, tally: Tally) -> None:
    """Whatever is said by a user of the keys `a:*`, nothing is read from `b:*`, and nothing written there."""
    owner = world.client()
    owner.execute_command("ACL", "SETUSER", "fuzz", "reset", "on", ">fuzz", KEYS_OF_THE_USER, "+@all", "-@dangerous")
    owner.execute_command("ACL", "SETUSER", "fuzz", "+ai.dagexecute", "+ai.dagrun")
    url = f"redis://fuzz:fuzz@127.0.0.1:{world.instance.port}"
    client = client_from_url(url)
    client.connection_pool.connection_kwargs["socket_timeout"] = PATIENCE
    client.response_callbacks.clear()
    names = [command.name for command in AI_COMMANDS]
    secret, secret_blob = "424242", np.float32(424242).tobytes()
    ours: tuple[Word, ...] = ("a:m", "a:t", "a:new", "a:o")
    theirs = ("b:m", "b:t")
    for number in range(count):
        if number % 100 == 0:
            for place in ("a", "b"):
                owner.execute_command("AI.MODELSTORE", f"{place}:m", "ONNX", "CPU", "BLOB", ADD)
            owner.execute_command("AI.TENSORSET", "a:t", "FLOAT", 1, 2, "VALUES", 1, 1)
            owner.execute_command("AI.TENSORSET", "b:t", "FLOAT", 1, 2, "VALUES", secret, secret)
            dumps = [owner.execute_command("DUMP", key) for key in theirs]
        line = nearly_right(world.rng) if world.rng.random() < 0.6 else (
            world.rng.choice(names), *words(world.rng, (*ours, *theirs), AI_WORDS)
        )  # fmt: skip
        reply = send(client, line, tally)
        if secret in repr(reply) or b"b:" in b"".join(owner.execute_command("KEYS", "b:new*")):
            tally.mishap(f"{line!r:.300} reached a key that is not its user's")
        if number % 100 == 99 or number == count - 1:
            if [owner.execute_command("DUMP", key) for key in theirs] != dumps:
                tally.mishap(f"a key was changed by one of the {number % 100 + 1} commands up to {line!r:.300}")
            for key in owner.execute_command("KEYS", "a:*"):
                if secret_blob in owner.execute_command("DUMP", key):
                    tally.mishap(f"{key!r} got what is in b:t")
    owner.execute_command("DEL", *ours, *theirs)
    owner.execute_command("ACL", "DELUSER", "fuzz")


def nearly_right(rng: random.Random) -> tuple[Word, ...]:
    """A run of a model or a DAG with keys, counts and keywords that lie now and then."""

    def counted(keyword: str, count: int) -> list[Word]:
        names = ["a:t" if rng.random() < 0.9 else rng.choice(("a:o", "b:t", "b:new")) for _ in range(count)]
        return [keyword, rng.choice(NUMBERS) if rng.random() < 0.1 else count, *names]

    if rng.random() < 0.7:
        line: list[Word] = ["AI.MODELEXECUTE", "a:m" if rng.random() < 0.95 else "b:m"]
        line += [*counted("INPUTS", 2), *counted("OUTPUTS", 1)]
    else:
        line = [rng.choice(("AI.DAGEXECUTE", "AI.DAGEXECUTE_RO", "AI.DAGRUN", "AI.DAGRUN_RO"))]
        line += [*counted(rng.choice(("LOAD", "PERSIST")), 1), "|>", "AI.TENSORGET", "a:t", "VALUES"]
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        at = rng.randrange(1, len(line))
        line[at : at + rng.randint(0, 1)] = [rng.choice((*AI_WORDS, *NUMBERS, "b:t"))]
    return tuple(line)


def words(rng: random.Random, keys: tuple[Word, ...], known: tuple[Word, ...], *, most: int = 12) -> list[Word]:
    """Arguments: keys, words that mean something, numbers and data, in any order."""
    chosen = [rng.choice(rng.choice((keys, known, NUMBERS, DATA))) for _ in range(rng.randint(0, most))]
    if chosen and rng.random() < 0.7:
        chosen[0] = rng.choice(keys)
    if {"TIMEOUT", "MINBATCHSIZE", "MINBATCHTIMEOUT"} & {str(word).upper() for word in chosen}:
        # a long wait is what they ask for
        chosen = [word for word in chosen if word not in NUMBERS[6:]]
    return chosen


def send(client: redis.Redis, line: tuple[Word, ...], tally: Tally, *, own_script: bool = False) -> Any:
    """Send one command and judge its answer; a traceback through lines of the caller's own script is a good one."""
    try:
        reply = client.execute_command(*line)
    except redis.ResponseError as error:
        text = str(error)
        if own_script and text.count('File "') == text.count('File "<'):
            text = text.replace("Traceback", "").replace('File "', "")
        tally.refuse(text, line)
        if "malformed reply" in text:
            tally.mishap(f"{line!r:.300}: {text:.300}")
        return None
    except redis.RedisError as error:
        tally.inputs += 1
        tally.mishap(f"{line!r:.300}: {type(error).__name__}: {error}")
        return None
    tally.taken()
    if any(sign in repr(reply) for sign in ("failed inside the worker", "malformed reply")):
        tally.mishap(f"{line!r:.300}: {reply!r:.500}")
    return reply
