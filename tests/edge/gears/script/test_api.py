"""Every name that a gear script has, compared with redisgears.md section 8."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute


def value_of(client: redis.Redis, expression: str, before: str = "") -> object:
    """The value of an expression inside an execution."""
    script = f"{before}\nGB('ShardsIDReader').map(lambda r: {expression}).run(convertToStr=False)"
    (results, errors) = execute(client, script)
    assert errors == []
    (result,) = results
    return result


NAMES = """
GearsBuilder GB execute atomic configGet gearsConfigGet hashtag log override_reply get_command call_next
flat_error gearsFuture createFuture setFutureResults setFutureException runCoroutine isAsyncAllow isInAtomicBlock
gearsCtx registerTE Log ConfigGet GearsConfigGet asyncio copy redisgears rg shardReaderCallback createKeysOnlyReader
"""
REDISGEARS_NAMES = """
executeCommand callNext getCommand overrideReply atomicCtx getMyHashTag registerTimeEvent gearsCtx
gearsFutureCtx log config_get setGearsSession getGearsSession registerGearsThread isInAtomicBlock isAsyncAllow flatError
PyFlatExecution PyFuture PyAtomic PyExecutionSession GearsError GearsFlatError GearsForceStopped
"""


def test_all_names_exist(client: redis.Redis) -> None:
    execute(client, "\n".join(NAMES.split()) + "\nassert __name__ == 'not_main' and rg is redisgears")
    execute(client, "import redisgears\n" + "\n".join(f"redisgears.{name}" for name in REDISGEARS_NAMES.split()))


def test_functions_of_readers_serve_python_reader(client: redis.Redis) -> None:
    client.mset({"k:1": 1, "k:2": 2, "other": 3})
    assert execute(client, "GB('PythonReader').run(shardReaderCallback)") == [[b"1"], []]
    keys, errors = execute(client, "GB('PythonReader').run(createKeysOnlyReader('k:*'))")
    assert (sorted(keys), errors) == ([b"k:1", b"k:2"], [])
    exact = "GB('PythonReader').run(createKeysOnlyReader(patternGenerator=lambda: ('{}', True)))"
    assert execute(client, exact.format("other")) == [[b"other"], []]
    assert execute(client, exact.format("o*")) == [[], []]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("execute()", []),
        ("execute('ECHO', 'text')", b"text"),
        ("type(execute('ECHO', b'\\xff\\xd8')).__name__", b"bytearray"),
        ("execute('ECHO', bytearray(b'\\xff\\xd8')) == bytearray(b'\\xff\\xd8')", 1),
        ("execute('ECHO', [1, 'x'])", b"[1, 'x']"),
        ("execute('RPUSH', 'l', 1.5)", 1),
        ("execute('GET', 'nothing') is None", 1),
        ("redisgears.executeCommand('PING')", b"PONG"),
        ("hashtag()", b"06S"),
        ("isAsyncAllow()", 1),
        ("isInAtomicBlock()", 0),
        ("configGet('nothing') is None", 1),
        ("configGet('MaxExecutions') is None", 1),
        ("gearsConfigGet('nothing', 'default')", b"default"),
    ],
)
def test_values(client: redis.Redis, expression: str, expected: object) -> None:
    assert value_of(client, expression) == expected


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("execute(3)", "the given command must be a string"),
        ("execute('NOSUCH')", "gears.error: unknown command"),
        ("execute('RG.PYEXECUTE', '1')", "Can not run gears inside a multi exec, lua, or when blocking is not allowed"),
        ("override_reply('x')", "Can not get command ctx"),
        ("get_command()", "Can not get command ctx"),
        ("call_next('x')", "Can not get CommandHook ctx"),
        ("log(3)", "log message must be a string"),
        ("registerTE(1, 3)", "callback argument must be a function"),
        ("GB().register(1)", "regex argument must be a string"),
        ("registerTE('2', log)", "time argument must be a long"),
    ],
)
def test_errors(client: redis.Redis, expression: str, error: str) -> None:
    _, (text,) = execute(client, f"GB('ShardsIDReader').map(lambda r: {expression}).run()")
    assert error in text.decode()
    assert b"rededge_nb" not in text


def test_an_error_reply_can_be_caught_by_its_class(client: redis.Redis) -> None:
    script = """
import redisgears
def work(r):
    try:
        execute('NOSUCH')
    except redisgears.GearsError as error:
        return 'caught'
GB('ShardsIDReader').map(work).run()
"""
    assert execute(client, script) == [[b"caught"], []]


def test_gears_can_read_options_that_a_user_added(client: redis.Redis) -> None:
    assert client.execute_command("RG.CONFIGSET", "mine", "value") == [
        b"OK - value was saved in extra config dictionary"
    ]
    assert value_of(client, "[configGet('mine'), gearsConfigGet('mine', 1), ConfigGet('mine')]") == [b"value"] * 3


def test_flat_error_gives_the_message_alone(client: redis.Redis) -> None:
    assert execute(client, "GB('ShardsIDReader').map(lambda r: flat_error('just this')).run()") == [[], [b"just this"]]


def test_without_tracebacks_errors_are_short(client: redis.Redis) -> None:
    assert client.execute_command("RG.CONFIGSET", "PythonAttemptTraceback", 0) == [b"OK"]
    _, errors = execute(client, "GB('ShardsIDReader').map(lambda r: {}['x']).run()")
    assert errors == [b"Error type: <class 'KeyError'>, Value: 'x'"]
    with pytest.raises(redis.ResponseError, match=r"^Error type: <class 'ValueError'>, Value: no$"):
        execute(client, "raise ValueError('no')")


def test_each_session_has_its_own_globals(client: redis.Redis) -> None:
    script = "n = [0]\ndef f(r):\n    n[0] += 1\n    return n[0]\nGB('CommandReader').map(f).register(trigger='a')"
    execute(client, script)
    execute(client, "n = [5]\nGB('CommandReader').map(lambda r: n[0]).register(trigger='b')")
    assert [client.execute_command("RG.TRIGGER", "a") for _ in range(3)] == [[b"1"], [b"2"], [b"3"]]
    assert client.execute_command("RG.TRIGGER", "b") == [b"5"]


def test_registrations_of_a_session_share_its_globals(client: redis.Redis) -> None:
    script = """
n = 0
def add(r):
    global n
    n += 1
    return n
GB('CommandReader').map(add).register(trigger='add')
GB('CommandReader').map(lambda r: n).register(trigger='show')
"""
    execute(client, script)
    client.execute_command("RG.TRIGGER", "add")
    client.execute_command("RG.TRIGGER", "add")
    assert client.execute_command("RG.TRIGGER", "show") == [b"2"]
