"""Conversions between Redis replies, values of gears, and replies to clients."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute


def fill(client: redis.Redis, count: int, key: str = "s") -> None:
    for number in range(count):
        client.xadd(key, {"number": number}, id=f"{number + 1}-0")


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
