"""Every operation, compared with redisgears.md section 6."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute


def numbers(client: redis.Redis, steps: str, values: str = "range(5)") -> object:
    script = f"def records():\n    yield from {values}\nGB('PythonReader'){steps}.run(records, convertToStr=False)"
    return execute(client, script)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (".map(lambda n: n * 2)", [0, 2, 4, 6, 8]),
        (".filter(lambda n: n % 2)", [1, 3]),
        (".flatmap(lambda n: [n, n + 10]).limit(4)", [10, 0, 11, 1]),
        (".flatmap(lambda n: (n,)).map(str).limit(1)", [b"(0,)"]),
        (".flatmap(lambda n: [])", []),
        (".foreach(lambda n: n * 2)", [0, 1, 2, 3, 4]),
        (".accumulate(lambda a, n: n if a is None else a + n)", [10]),
        (".limit(2)", [0, 1]),
        (".limit(2, 3)", [3, 4]),
        (".limit(10, 4)", [4]),
        (".collect()", [0, 1, 2, 3, 4]),
        (".repartition(lambda n: n)", [0, 1, 2, 3, 4]),
        (".count()", [5]),
        (".filter(lambda n: False).count()", []),
        (".filter(lambda n: False).accumulate(lambda a, n: 1)", []),
        (".avg()", [b"2.000000"]),
        (".avg(lambda n: n * 10)", [b"20.000000"]),
        (".map(lambda n: n % 2).distinct().sort()", [0, 1]),
        (".sort()", [0, 1, 2, 3, 4]),
        (".sort(reverse=False)", [4, 3, 2, 1, 0]),
        (".aggregate(0, lambda a, n: a + n, lambda a, n: a + n)", [10]),
        (".aggregate([], lambda a, n: a + [n], lambda a, n: a + n)", [[0, 1, 2, 3, 4]]),
    ],
)
def test_operations(client: redis.Redis, steps: str, expected: list[object]) -> None:
    assert numbers(client, steps) == [expected, []]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (".localgroupby(lambda n: n % 2, lambda k, a, n: (a or 0) + n)", [("0", 6), ("1", 4)]),
        (".groupby(lambda n: ('even', 'odd')[n % 2], lambda k, a, n: (a or 0) + 1)", [("even", 3), ("odd", 2)]),
        (".batchgroupby(lambda n: n % 2, lambda k, ns: sum(ns))", [("1", 4), ("0", 6)]),
        (".countby(lambda n: n % 2)", [("0", 3), ("1", 2)]),
        (".map(lambda n: n // 4).countby()", [("0", 4), ("1", 1)]),
        (
            ".aggregateby(lambda n: n % 2, 100, lambda k, a, n: a + n, lambda k, a, n: a + n)",
            [("0", 206), ("1", 204)],
        ),
    ],
)  # fmt: skip
def test_grouping(client: redis.Redis, steps: str, expected: list[tuple[str, int]]) -> None:
    reply = numbers(client, f"{steps}.map(lambda g: [g['key'], g['value'], sorted(g)])")
    assert reply == [[[key.encode(), value, [b"key", b"value"]] for key, value in expected], []]


def test_a_zero_is_copied_for_each_group(client: redis.Redis) -> None:
    steps = ".aggregateby(lambda n: n % 2, [], lambda k, a, n: a.append(n) or a, lambda k, a, n: a + n)"
    assert numbers(client, f"{steps}.map(lambda g: g['value'])") == [[[0, 2, 4], [1, 3]], []]


def test_the_first_error_stops_the_reader(client: redis.Redis) -> None:
    script = """
def records():
    for n in range(5):
        execute('RPUSH', 'read', n)
        yield n
GB('PythonReader').map(lambda n: 10 // (2 - n)).run(records)
"""
    results, errors = execute(client, script)
    assert results == [b"5", b"10"]
    assert b"ZeroDivisionError" in errors[0]
    assert client.lrange("read", 0, -1) == [b"0", b"1", b"2"]
