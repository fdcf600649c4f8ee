"""rgsync, the best-known program for RedisGears: unchanged from PyPI, it writes hashes to a SQLite database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.gear_scripts import execute
from tests.waiting import wait_for

WRITE = """
from rgsync import {writer}
from rgsync.Connectors import SQLiteConnection, SQLiteConnector
connector = SQLiteConnector(SQLiteConnection({file!r}), 'people', 'id')
{writer}(GB, keysPrefix={prefix!r}, mappings={{'name': 'name', 'age': 'age'}}, connector=connector,
    name={writer!r}, version='99.99.99'{options})
"""


def write(client: redis.Redis, writer: str, file: Path, prefix: str, options: str = "") -> None:
    script = WRITE.format(writer=writer, file=str(file).lstrip("/"), prefix=prefix, options=options)
    try:
        assert execute(client, script, "REQUIREMENTS", "rgsync==1.2.0") == b"OK"
    except redis.ResponseError as error:
        if "Could not satisfy requirements" not in str(error):
            raise
        pytest.skip(f"pip cannot install rgsync here: {error}")


def create(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, age INT)")


def rows(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT id, name, age FROM people ORDER BY id").fetchall()


def test_it_writes_behind_and_through(client: redis.Redis, tmp_path: Path) -> None:
    behind = tmp_path / "later" / "behind.sqlite"
    write(client, "RGWriteBehind", behind, "person", ", onFailedRetryInterval=1")
    client.hset("person:1", mapping={"name": "Ann", "age": 30})
    client.hset("person:2", mapping={"name": "Ben", "age": 40})
    client.hset("person:1", mapping={"name": "Ann", "age": 31})
    client.delete("person:2")
    client.hset("person:3", mapping={"name": "Cem", "age": 50, "#": "+"})  # not to the database
    assert client.hgetall("person:3") == {b"name": b"Cem", b"age": b"50"}, "the caller waits for the gear"
    wait_for(lambda: b"unable to open database file" in _last_error(client), what="the error of the database")
    behind.parent.mkdir()
    create(behind)
    wait_for(lambda: rows(behind) == [("1", "Ann", 31)], what="what was written while the database was away")
    client.hset("person:1", "#", "~")
    wait_for(lambda: not rows(behind), what="the deletion")
    assert not client.exists("person:1")

    through = tmp_path / "through.sqlite"
    create(through)
    write(client, "RGWriteThrough", through, "__")
    client.hset("__{member:7}", mapping={"name": "Dan", "age": 60})
    assert rows(through) == [("7", "Dan", 60)], "the caller waits for the database"
    assert client.hgetall("member:7") == {b"name": b"Dan", b"age": b"60"}
    client.hset("__{member:7}", "#", "~")
    assert (rows(through), client.exists("member:7")) == ([], 0)
    with closing(sqlite3.connect(through)) as database:
        database.execute("DROP TABLE people")
    client.hset("__{member:8}", mapping={"name": "Eve", "age": 70})
    assert client.keys("*member:8*") == [], "neither in the database nor in Redis"


def _last_error(client: redis.Redis) -> bytes:
    reports = client.execute_command("RG.DUMPREGISTRATIONS")
    return b"".join(repr(report).encode() for report in reports)
