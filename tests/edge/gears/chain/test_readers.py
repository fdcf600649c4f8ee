"""run() of every reader, compared with redisgears.md section 5."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) + b"\xff\xd9"


def test_keys_reader_gives_each_type(client: redis.Redis) -> None:
    client.set("k:string", "text")
    client.set("k:bytes", JPEG)
    client.hset("k:hash", mapping={"a": "1", "b": JPEG})
    client.rpush("k:list", "x", "y")
    client.sadd("k:set", "x")
    client.zadd("k:zset", {"x": 1})
    client.xadd("k:stream", {"x": 1})
    client.ts().create("k:module")
    script = """
def look(r):
    kind = type(r['value']).__name__
    parts = r['value'] if kind == 'list' else sorted(r['value']) if kind == 'dict' else []
    return [r['key'], r['type'], kind, parts, r['event'] is None]
GB().map(look).sort().run('k:*', convertToStr=False)
"""
    results, errors = execute(client, script)
    assert errors == []
    assert results == [
        [b"k:bytes", b"string", b"bytearray", [], 1],
        [b"k:hash", b"hash", b"dict", [b"a", b"b"], 1],
        [b"k:list", b"list", b"list", [b"x", b"y"], 1],
        [b"k:module", b"module", b"NoneType", [], 1],
        [b"k:set", b"set", b"NoneType", [], 1],
        [b"k:stream", b"unknown", b"NoneType", [], 1],
        [b"k:string", b"string", b"str", [], 1],
        [b"k:zset", b"zset", b"NoneType", [], 1],
    ]


def test_keys_reader_without_a_scan_gives_a_key_that_is_not_there(client: redis.Redis) -> None:
    client.set("a*", 1)
    client.set("ab", 2)
    look = "map(lambda r: [r['key'], r['type'], r['value'] is None])"
    assert execute(client, f"GB().{look}.run('a*', noScan=True, convertToStr=False)") == [[[b"a*", b"string", 0]], []]
    assert execute(client, f"GB().{look}.run('b', noScan=True, convertToStr=False)") == [[[b"b", b"empty", 1]], []]


def test_keys_reader_without_values_gives_key_and_event(client: redis.Redis) -> None:
    client.set("a", 1)
    assert execute(client, "GB().map(sorted).run(readValue=False, convertToStr=False)") == [[[b"event", b"key"]], []]


def test_run_without_an_argument_uses_the_default_argument(client: redis.Redis) -> None:
    client.mset({"a1": 1, "b1": 1})
    script = "GearsBuilder('KeysOnlyReader', defaultArg='a*').run()"
    assert execute(client, script) == [[b"a1"], []]


def test_no_reader_shows_the_keys_of_this_package(client: redis.Redis) -> None:
    client.set("mine", 1)
    execute(client, "GB('StreamReader').register('s')")
    assert execute(client, "GB().map(lambda r: r['key']).run()") == [[b"mine"], []]
    assert execute(client, "GB('KeysOnlyReader').run()") == [[b"mine"], []]
    assert execute(client, "GB('KeysOnlyReader').run('rededge:*')") == [[], []]
    client.set("rededge:mine", 1)
    assert execute(client, "GB('KeysOnlyReader').run('r*')") == [[b"rededge:mine"], []], "it is not a key of ours"


def test_keys_only_reader(client: redis.Redis) -> None:
    client.mset({f"k{number}": number for number in range(2500)} | {"other": 1, "k*": 1})
    assert execute(client, "GB('KeysOnlyReader').count().run('k*')") == [[b"2501"], []]
    assert execute(client, "GB('KeysOnlyReader').run('k*', noScan=True)") == [[b"k*"], []]
    assert execute(client, "GB('KeysOnlyReader').run('nothing', noScan=True)") == [[], []]
    script = "GB('KeysOnlyReader').run(patternGenerator=lambda: ('oth*', False), count=7)"
    assert execute(client, script) == [[b"other"], []]


def test_stream_reader_reads_one_stream_oldest_first_in_both_record_forms(client: redis.Redis) -> None:
    first = client.xadd("s", {"image": JPEG, "n": 1})
    second = client.xadd("s", {"n": 2})
    script = "GB('StreamReader').map(lambda r: [r['id'], r['streamId'], r['key'], r['value']['n'], r['n']])"
    assert execute(client, f"{script}.run('s', convertToStr=False)") == [
        [[first, first, b"s", b"1", b"1"], [second, second, b"s", b"2", b"2"]],
        [],
    ]
    after = execute(client, f"{script}.run('s', fromId='{first.decode()}', convertToStr=False)")
    assert after == [[[second, second, b"s", b"2", b"2"]], []]
    assert execute(client, f"{script}.run('s*')") == [[], []]


def test_a_jpeg_is_a_bytearray_and_is_returned_unchanged(client: redis.Redis) -> None:
    client.xadd("s", {"image": JPEG})
    script = "GB('StreamReader').map(lambda r: execute('SET', 'out', r['value']['image'])).run('s')"
    assert execute(client, script) == [[b"OK"], []]
    assert client.get("out") == JPEG
    script = "GB('StreamReader').map(lambda r: bytes(r['value']['image'])).run('s', convertToStr=False)"
    assert execute(client, script) == [[JPEG], []]


def test_python_reader_takes_generators_and_plain_functions(client: redis.Redis) -> None:
    assert execute(client, "def f():\n    yield 1\n    yield 2\nGB('PythonReader').run(f)") == [[b"1", b"2"], []]
    script = """
left = [3, 2, 1]
GB('PythonReader').run(lambda: left.pop())
"""
    results, errors = execute(client, script)
    assert results == [b"1", b"2", b"3"]
    assert b"IndexError" in errors[0]
    with pytest.raises(redis.ResponseError, match="pyreader argument must be a function"):
        execute(client, "GB('PythonReader').run('*')")


def test_shards_id_reader(client: redis.Redis) -> None:
    assert execute(client, "GB('ShardsIDReader').run()") == [[b"1"], []]


@pytest.mark.parametrize("reader", ["KeysOnlyReader", "PythonReader", "ShardsIDReader"])
def test_readers_that_only_run(client: redis.Redis, reader: str) -> None:
    with pytest.raises(redis.ResponseError, match="Given reader do not support register or not exists"):
        execute(client, f"GB('{reader}').register()")


def test_command_reader_only_registers(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="Given reader do not support run or not exists"):
        execute(client, "GB('CommandReader').run()")


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("GB('KeysReader').run(5)", b"regex argument must be a string"),
        ("GB('KeysReader').run('k', noScan=1)", b"noScan value is not boolean"),
        ("GB('KeysReader').run('k', readValue=1)", b"readValue value is not boolean"),
        ("GB('StreamReader').run('s', fromId=1)", b"fromId argument must be a string"),
        ("GB('StreamReader').run('s', fromId='test')", b"Invalid stream ID"),
        ("GB('KeysOnlyReader').run('*', count='x')", b"value is not an integer"),
    ],
)
def test_wrong_arguments_of_run(client: redis.Redis, run: str, error: bytes) -> None:
    _, (text,) = execute(client, run)
    assert error in text
    assert b"connection.py" not in text
