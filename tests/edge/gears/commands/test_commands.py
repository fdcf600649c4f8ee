"""RG.* as clients see it, against redisgears.md sections 2, 3 and 5 to 9."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, fields, only_registration, registrations
from tests.waiting import wait_for

SHARD = b"0" * 40


def fill(client: redis.Redis, count: int, key: str = "s") -> None:
    for number in range(count):
        client.xadd(key, {"number": number}, id=f"{number + 1}-0")


def test_a_script_that_neither_runs_nor_registers_gives_ok(client: redis.Redis) -> None:
    assert execute(client, "GB('StreamReader')") == b"OK"


def test_run_gives_results_and_errors_as_text(client: redis.Redis) -> None:
    fill(client, 2)
    assert execute(client, "GB('StreamReader').map(lambda r: r['value']['number']).run('s')") == [[b"0", b"1"], []]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (".map(lambda r: int(r['value']['number']) * 2)", [0, 2, 4, 6]),
        (".filter(lambda r: int(r['value']['number']) % 2).map(lambda r: r['id'])", [b"2-0", b"4-0"]),
        (".flatmap(lambda r: [r['id'], 'x']).filter(lambda t: t in ('x', '1-0'))", [b"x", b"1-0", b"x", b"x", b"x"]),
        (".flatmap(lambda r: [])", []),
        (".flatmap(lambda r: r['key'])", [b"s"] * 4),
        (".foreach(lambda r: r['value'].update(number='7')).map(lambda r: r['value']['number'])", [b"7"] * 4),
        (".count()", [4]),
        (".filter(lambda r: False).count()", []),
        (".accumulate(lambda a, r: (a or 0) + int(r['value']['number']))", [6]),
        (".collect().count()", [4]),
    ],
)
def test_operations(client: redis.Redis, steps: str, expected: list[object]) -> None:
    fill(client, 4)
    script = f"GB('StreamReader'){steps}.run('s', convertToStr=False)"
    assert execute(client, script) == [expected, []]


def test_a_run_begins_after_from_id(client: redis.Redis) -> None:
    fill(client, 250)
    script = "GB('StreamReader').map(lambda r: r['id']).run('s', fromId='3-0')"
    assert execute(client, script)[0] == [b"%d-0" % number for number in range(4, 251)]


def test_records_answer_old_and_new_spelling_and_binary_is_bytearray(client: redis.Redis) -> None:
    client.xadd("s", {"image": b"\xff\xd8", "text": "héllo"}, id="5-1")
    script = """
def look(r):
    return [r['id'] == r['streamId'] == '5-1', r['key'], type(r['image']).__name__, r['value']['text'], sorted(r)]
GB('StreamReader').map(look).run('s', convertToStr=False)
"""
    assert execute(client, script) == [[[1, b"s", b"bytearray", "héllo".encode(), [b"id", b"key", b"value"]]], []]


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("'text'", b"text"),
        ("b'bytes'", b"bytes"),
        ("True", 1),
        ("3", 3),
        ("1.5", b"1.500000"),
        ("None", b"PY RECORD"),
        ("{'a': 1}", b"PY RECORD"),
        ("[1, ['x', None]]", [1, [b"x", b"PY RECORD"]]),
        ("'+fine'", b"fine"),
        ("'+'", b"+"),
    ],
)
def test_results_become_replies(client: redis.Redis, value: str, reply: object) -> None:
    fill(client, 1)
    script = f"GB('StreamReader').map(lambda r: {value}).run('s', convertToStr=False)"
    assert execute(client, script) == [[reply], []]


def test_the_first_error_ends_a_run_and_what_came_before_stays(client: redis.Redis) -> None:
    fill(client, 3)
    script = "GB('StreamReader').map(lambda r: 10 // (1 - int(r['value']['number']))).run('s')"
    results, errors = execute(client, script)
    assert results == [b"10"]
    assert len(errors) == 1
    assert errors[0].startswith(b"['Traceback (most recent call last):\\n', ")
    assert b"ZeroDivisionError" in errors[0]
    assert b"rededge_nb" not in errors[0]


def test_a_script_that_raises_answers_with_its_traceback_and_leaves_nothing(client: redis.Redis) -> None:
    script = "GB('StreamReader').register('s')\nraise ValueError('no')"
    with pytest.raises(redis.ResponseError, match=r"^\['Traceback .*line 2, in <module>.*ValueError: no") as caught:
        execute(client, script)
    assert "rededge_nb" not in str(caught.value)
    assert registrations(client) == []


@pytest.mark.parametrize(
    ("script", "options", "error"),
    [
        ("", ("ID",), "ID is missing"),
        ("", ("DESCRIPTION",), "DESCRIPTION is missing"),
        ("", ("REPLACE_WITH",), "REPLACE_WITH is missing"),
        ("", ("ID", "a b"), "ID must be compose of: ['A'-'Z' | 'a'-'z' | '0' - '9' | '-' | '_']"),
        ("", ("WHAT",), "Unknown arguments were given: WHAT"),
        ("", ("ID", "x", "REPLACE_WITH", "y"), "Can not replace with y, session does not exists."),
        ("", ("REQUIREMENTS", "no-such-package==1"), "Could not satisfy requirements"),
        ("GB('NoReader')", (), "The given reader does not exists"),
        ("GB(3)", (), "reader argument must be a string"),
        ("GB('StreamReader', desc=3)", (), "desc argument must be a string"),
        ("GB('StreamReader').map(3)", (), "map argument must be a function"),
        ("GB('StreamReader').run('s', mode='x')", (), "unknown execution mode"),
        ("GB('StreamReader').run('s', mode=1)", (), "execution mode must be a string"),
        ("b = GB('StreamReader'); b.run('s'); b.run('s')", (), "Can not run more then 1 executions in a single script"),
        ("GB('StreamReader').register('s', onFailedPolicy='x')", (), "onFailedPolicy must be Continue/Abort/Retry"),
        ("GB('StreamReader').register('s', batch='x')", (), "batch argument must be a number"),
        ("GB('StreamReader').register('s', trimStream=1)", (), "trimStream argument must be a boolean"),
        ("GB('StreamReader').register('s', mode='sync')", (), "ExecutionMode sync is not possible here"),
        (
            "GB('StreamReader').register('s', mode='sync', onFailedPolicy='retry')",
            (),
            "ExecutionMode sync can only be combined with OnFailedPolicy Continue",
        ),
        (
            "import threading; l = threading.Lock()\nGB('StreamReader').map(lambda r: l).register('s')",
            (),
            "Error occured when serialized a python callback, callback=<lambda> error=",
        ),
        ("execute(3)", (), "the given command must be a string"),
        ("execute('NOSUCH')", (), "gears.error: unknown command"),
        ("flat_error('just this')", (), "just this"),
        ("log('x', 'loud')", (), "unknown log level"),
        ("1 +", (), "SyntaxError"),
        ("raise SystemExit(3)", (), "SystemExit"),
    ],
)
def test_refusals(client: redis.Redis, script: str, options: tuple[str, ...], error: str) -> None:
    with pytest.raises(redis.ResponseError) as caught:
        execute(client, script, *options)
    assert error in str(caught.value)
    assert registrations(client) == []


def test_execute_converts_arguments_and_replies(client: redis.Redis) -> None:
    client.xadd("s", {"x": 1})
    script = """
def look(r):
    execute('SET', 'number', 12)
    execute('SET', 'bytes', b'\\xff\\x00')
    execute('RPUSH', 'list', 'a', 'b')
    return [execute('GET', 'number'), type(execute('GET', 'bytes')).__name__, execute('LRANGE', 'list', 0, -1),
            execute('GET', 'nothing') is None, execute('INCR', 'number'), sorted(execute('HGETALL', 'nothing'))]
GB('StreamReader').map(look).run('s', convertToStr=False)
"""
    assert execute(client, script) == [[[b"12", b"bytearray", [b"a", b"b"], 1, 13, []]], []]


def test_atomic_sends_one_unit_whose_replies_are_known_afterwards(client: redis.Redis) -> None:
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


def test_registration_wins_the_reply_and_its_description_is_complete(client: redis.Redis) -> None:
    script = """
import asyncio
GB('StreamReader', desc='twice').map(lambda r: r).register('s:*', batch=3, duration=20, trimStream=False)
GB('StreamReader').run('nothing')
"""
    assert execute(client, script, "ID", "mine", "DESCRIPTION", "a session") == b"OK"
    registration = only_registration(client)
    assert registration["id"].startswith(SHARD + b"-")
    assert registration["reader"] == b"StreamReader"
    assert registration["desc"] == b"twice"
    assert registration["ExecutionThreadPool"] == b"DefaultPool"
    assert b"'sessionName':'mine', 'sessionDescription':'a session'" in registration["PD"]
    assert registration["args"] == {
        "batchSize": 3,
        "durationMS": 20,
        "stream": b"s:*",
        "trimStream": 0,
        "onFailedPolicy": b"continue",
        "retryInterval": 1,
    }
    # clients index by position
    data = registration["RegistrationData"]
    assert data[:2] == [b"mode", b"async"]
    assert [data[index] for index in (2, 4, 6, 8, 20, 24)] == [
        b"numTriggered", b"numSuccess", b"numFailures", b"numAborted", b"lastError", b"status",
    ]  # fmt: skip
    assert data[21] is None
    assert data[25] == b"OK"


def test_upgrade_replaces_a_session_in_one_step(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')\nGB('StreamReader').register('b')", "ID", "mine")
    with pytest.raises(redis.ResponseError, match="Session mine already exists"):
        execute(client, "GB('StreamReader').register('c')", "ID", "mine")
    execute(client, "GB('StreamReader').register('c')", "ID", "mine", "UPGRADE")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"c"]
    with pytest.raises(redis.ResponseError, match="ValueError"):
        execute(client, "GB('StreamReader').register('d')\nraise ValueError()", "ID", "mine", "UPGRADE")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"c"]
    execute(client, "GB('StreamReader').register('e')", "ID", "yours", "REPLACE_WITH", "mine")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"e"]


def test_unregister(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')\nGB('StreamReader').register('b')")
    first, second = (registration["id"] for registration in registrations(client))
    assert client.execute_command("RG.UNREGISTER", first) == b"OK"
    assert [registration["id"] for registration in registrations(client)] == [second]
    with pytest.raises(redis.ResponseError, match="execution is not registered"):
        client.execute_command("RG.UNREGISTER", first)
    assert client.execute_command("rg.unregister", second, "abortpending") == b"OK"
    assert registrations(client) == []

    def left() -> list[bytes]:
        return [key for key in client.keys("rededge:gears:*") if b"session:" in key or b"registration:" in key]

    wait_for(lambda: left() == [], what="the end of what was known of them")


def test_a_long_run_holds_up_nobody(client: redis.Redis) -> None:
    client.xadd("s", {"x": 1})
    script = """
import time
def wait(r):
    while not execute('EXISTS', 'go'):
        time.sleep(0.01)
GB('StreamReader').foreach(wait).count().run('s')
"""
    waiting = client.client()
    waiting.connection.send_command("RG.PYEXECUTE", script)
    # answered although the run goes on: it can end only after `go` is set below
    client.execute_command("AI.TENSORSET", "t", "FLOAT", 1, "VALUES", 3)
    assert client.execute_command("AI.TENSORGET", "t", "VALUES") == [b"3"]
    assert client.execute_command("RG.DUMPREGISTRATIONS") == []
    assert execute(client, "GB('StreamReader').count().run('s')") == [[b"1"], []]
    client.set("go", 1)
    assert waiting.connection.read_response() == [[b"1"], []]
    waiting.close()


def test_pystats(client: redis.Redis) -> None:
    stats = fields(client.execute_command("RG.PYSTATS"))
    assert list(stats) == ["TotalAllocated", "PeakAllocated", "CurrAllocated"]
    assert 10_000_000 < stats["CurrAllocated"] <= stats["PeakAllocated"]


def test_a_transaction_is_refused(client: redis.Redis) -> None:
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("RG.PYEXECUTE", "GB('StreamReader')")
    with pytest.raises(redis.ResponseError, match="Can not run gears inside a multi exec"):
        pipeline.execute()
