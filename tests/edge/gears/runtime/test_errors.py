"""Whatever gear code raises is a failure of the gear: it is counted and reported, and the runner goes on."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

NO_REPLY = """
def work(r):
    inside_itself = [1]
    inside_itself.append(inside_itself)
    deep = []
    for _ in range(5000):
        deep = [deep]
    return ['\\ud83d', '+\\ud83d', '-\\ud83d', 2 ** 63, -2 ** 63, inside_itself, {}, deep]
"""
AS_REPLY = [b"?", b"?", "?", b"PY RECORD", -(2**63), [1, b"PY RECORD"], b"PY RECORD"]

ELSEWHERE = """
import redis
def work(r):
    raise redis.ConnectionError('another server is away')
"""


def data(client: redis.Redis) -> dict[str, object]:
    return dict(only_registration(client)["data"])


def replies(result: list[object]) -> list[object]:
    """Without the list that is too deep, and with errors as their texts."""
    return [str(one) if isinstance(one, Exception) else one for one in result[:-1]]


def is_reported_and_the_next_entry_runs(client: redis.Redis, error: bytes) -> None:
    """The gear of stream `s` fails for each entry, and each failure is one execution that has ended."""
    for count in (1, 2):
        client.xadd("s", {"n": count})
        wait_for(lambda n=count: data(client)["numFailures"] == n, what="the failure")  # type: ignore[misc]
        assert error in data(client)["lastError"]
    wait_for(lambda: client.xpending("s", "__gears_consumer_group__")["pending"] == 0, what="the acknowledgement")
    assert data(client)["numTriggered"] == 3, "the first execution of the stream, and each entry once"


def test_another_server_that_is_away_fails_a_stream_gear(client: redis.Redis) -> None:
    execute(client, ELSEWHERE + "GB('StreamReader').foreach(work).register('s')")
    is_reported_and_the_next_entry_runs(client, b"another server is away")


def test_another_server_that_is_away_fails_a_keys_gear_a_trigger_and_a_run(client: redis.Redis) -> None:
    execute(client, ELSEWHERE + "GB().foreach(work).register('k')", "ID", "mine")
    client.set("k", 1)
    wait_for(lambda: data(client)["numFailures"] == 1, what="the failure")
    execute(client, ELSEWHERE + "GB('CommandReader').foreach(work).register(trigger='t')", "ID", "mine", "UPGRADE")
    with pytest.raises(redis.ResponseError, match="another server is away"):
        client.execute_command("RG.TRIGGER", "t")
    assert data(client)["numFailures"] == 1
    results, (error,) = execute(client, ELSEWHERE + "GB('ShardsIDReader').foreach(work).run()")
    assert results == []
    assert b"another server is away" in error
    with pytest.raises(redis.ResponseError, match="Traceback"):
        execute(client, ELSEWHERE + "work(1)")


def test_a_lost_connection_to_the_workers_server_is_no_failure(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').foreach(lambda r: execute('BLPOP', 'errors: go', 0)).register('s')")
    client.xadd("s", {"n": 1})

    def waiting() -> list[str]:
        # blocked: other connections of the worker may have waited before
        return [one["id"] for one in client.client_list() if one["cmd"] == "blpop" and "b" in one["flags"]]

    (first,) = wait_for(waiting, what="the gear")
    client.client_kill_filter(_id=first)
    wait_for(lambda: waiting() not in ([], [first]), what="the same entry again")
    client.rpush("errors: go", 1)
    wait_for(lambda: data(client)["numSuccess"] == 2, what="success of the first execution, and of the entry")
    assert data(client)["numFailures"] == 0


def test_results_that_resp_cannot_express_become_placeholders(client: redis.Redis) -> None:
    ((result,), errors) = execute(client, NO_REPLY + "GB('ShardsIDReader').map(work).run(convertToStr=False)")
    assert (replies(result), errors) == (AS_REPLY, [])
    execution = execute(client, NO_REPLY + "GB('ShardsIDReader').map(work).run(convertToStr=False)", "UNBLOCKING")
    ((result,), errors) = client.execute_command("RG.GETRESULTSBLOCKING", execution)
    assert (replies(result), errors) == (AS_REPLY, [])
    execute(client, NO_REPLY + "GB('StreamReader').map(work).register('s', convertToStr=False)")
    client.xadd("s", {"n": 1})
    wait_for(lambda: data(client)["numSuccess"] == 2, what="the run")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("redisgears.GearsFlatError('\\ud83d')", b"?"),
        ("ValueError('\\ud83d')", b"ud83d"),
        ("Unspeakable()", b"<exception str() failed>"),
    ],
)
@pytest.mark.parametrize("tracebacks", [0, 1])
def test_errors_whose_text_cannot_be_sent_are_reported_as_far_as_possible(
    client: redis.Redis, error: str, expected: bytes, tracebacks: int
) -> None:
    client.execute_command("RG.CONFIGSET", "PythonAttemptTraceback", tracebacks)
    script = f"""
class Unspeakable(Exception):
    def __str__(self):
        raise ValueError
def work(r):
    raise {error}
GB('StreamReader').foreach(work).register('s')
"""
    execute(client, script)
    is_reported_and_the_next_entry_runs(client, b"?" if not tracebacks and b"ud83d" in expected else expected)


def test_a_run_that_cannot_begin_ends_with_an_error(client: redis.Redis) -> None:
    script = """
def pattern():
    raise SystemExit('no pattern')
GB('KeysOnlyReader').run(patternGenerator=pattern)
"""
    execution = execute(client, script, "UNBLOCKING")
    results, (error,) = client.execute_command("RG.GETRESULTSBLOCKING", execution)
    assert results == []
    assert b"no pattern" in error


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt"])
def test_a_coroutine_that_exits_the_process_only_ends_itself(client: redis.Redis, error: str) -> None:
    script = f"""
async def leave(r):
    raise {error}('now')
GB('ShardsIDReader').map(leave).run()
"""
    results, (text,) = execute(client, script)
    assert results == []
    assert error.encode() in text
    after = "async def f(r):\n    return 'the loop runs'\nGB('ShardsIDReader').map(f).run()"
    assert execute(client, after) == [[b"the loop runs"], []]


def test_code_that_awaits_such_a_coroutine_gets_its_error(client: redis.Redis) -> None:
    script = """
async def leave():
    raise SystemExit('now')
async def work(r):
    future = createFuture()
    runCoroutine(leave(), future)
    try:
        await future
    except SystemExit as error:
        return str(error)
GB('ShardsIDReader').map(work).run()
"""
    assert execute(client, script) == [[b"now"], []]


OUTSIDE_EXCEPTION = [
    "asyncio.CancelledError('now')",
    "GeneratorExit('now')",
    "type('Own', (BaseException,), {})('now')",
]


@pytest.mark.parametrize("error", OUTSIDE_EXCEPTION)
def test_errors_that_are_no_exceptions_fail_only_the_gear(client: redis.Redis, error: str) -> None:
    work = f"def work(*arguments):\n    raise {error}\n"
    execute(client, work + "GB('StreamReader').foreach(work).register('s')", "ID", "mine")
    is_reported_and_the_next_entry_runs(client, b"now")
    execute(client, work + "GB().foreach(work).register('k')", "ID", "mine", "UPGRADE")
    for count in (1, 2):
        client.set("k", 1)
        wait_for(lambda n=count: data(client)["numFailures"] == n, what="the failure")  # type: ignore[misc]
    words = "trigger='t', onRegistered=work"
    execute(client, work + f"GB('CommandReader').foreach(work).register({words})", "ID", "mine", "UPGRADE")
    with pytest.raises(redis.ResponseError, match="now"):
        client.execute_command("RG.TRIGGER", "t")
    with pytest.raises(redis.ResponseError, match="now"):
        execute(client, work + "work()")


def test_an_entry_that_is_deleted_while_it_is_pending_is_acknowledged_without_a_run(client: redis.Redis) -> None:
    script = "GB('StreamReader').foreach(lambda r: execute(r['value']['do'], 'seen', r['value']['n']))"
    execute(client, script + ".register('s', onFailedPolicy='retry', onFailedRetryInterval=1)")
    failing = client.xadd("s", {"do": "NO.SUCH", "n": 1})
    wait_for(lambda: data(client)["numFailures"], what="the failure")
    client.xadd("s", {"do": "RPUSH", "n": 2})
    client.xdel("s", failing)
    wait_for(lambda: client.lrange("seen", 0, -1) == [b"2"], what="the entry after it")
    wait_for(lambda: client.xpending("s", "__gears_consumer_group__")["pending"] == 0, what="the acknowledgement")
