"""RG.PYEXECUTE as clients see it, compared with redisgears.md sections 2, 3 and 5 to 9."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, registrations


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


def test_the_first_error_ends_a_run_and_earlier_results_stay(client: redis.Redis) -> None:
    fill(client, 3)
    script = "GB('StreamReader').map(lambda r: 10 // (1 - int(r['value']['number']))).run('s')"
    results, errors = execute(client, script)
    assert results == [b"10"]
    assert len(errors) == 1
    assert errors[0].startswith(b"['Traceback (most recent call last):\\n', ")
    assert b"ZeroDivisionError" in errors[0]
    assert b"rededge_nb" not in errors[0]


def test_a_script_that_raises_replies_with_its_traceback_and_leaves_nothing(client: redis.Redis) -> None:
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


def test_a_long_run_delays_no_other_call(client: redis.Redis) -> None:
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


def test_a_transaction_is_refused(client: redis.Redis) -> None:
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("RG.PYEXECUTE", "GB('StreamReader')")
    with pytest.raises(redis.ResponseError, match="Can not run gears inside a multi exec"):
        pipeline.execute()
