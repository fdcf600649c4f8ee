from __future__ import annotations

from typing import Any

import pytest
import redis

from rededge_nb.display.replies import Replies, Reply, quoted


@pytest.mark.parametrize(
    ("value", "command", "text"),
    [
        (3, "DEL x", "(integer) 3"),
        (None, "GET x", "(nil)"),
        (b"OK", "SET x 1", "OK"),
        (b"OK", "get x", '"OK"'),
        (b"stream", "TYPE x", "stream"),
        (b"a\tb\"\\\n\xc3\xa9", "GET x", '"a\\tb\\"\\\\\\n\\xc3\\xa9"'),
        (b"# Server\r\nredis_version:7\r\n", "INFO server", "# Server\nredis_version:7"),
        (b"id=3 addr=x\n", "CLIENT LIST", "id=3 addr=x"),
        ([], "KEYS x", "(empty array)"),
        ([b"a", [1, [b"b", None]]], "EVAL x", '1) "a"\n2) 1) (integer) 1\n   2) 1) "b"\n      2) (nil)'),
        (redis.ResponseError("WRONGTYPE no"), "GET x", "(error) WRONGTYPE no"),
        ([redis.ResponseError("no")], "EXEC", "1) (error) no"),
    ],
)  # fmt: skip
def test_a_reply_is_shown_as_redis_cli_does(value: Any, command: str, text: str) -> None:
    reply = Reply(value, command.split())
    assert repr(reply) == text
    assert reply == value
    assert reply.value is value


def test_the_numbers_of_a_long_array_are_aligned() -> None:
    lines = repr(Reply([[b"x", b"y"], *range(9)])).splitlines()
    assert lines[:3] == [' 1) 1) "x"', '    2) "y"', " 2) (integer) 0"]
    assert lines[-1] == "10) (integer) 8"


def test_images_are_cut_and_text_is_not() -> None:
    jpeg = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 10
    shown = quoted(jpeg)
    assert shown.startswith('"\\xff\\xd8\\xff\\xe0\\x00')
    assert shown.endswith("... (2,564 bytes)")
    assert len(shown) < 130
    text = b"[1, 2, 3], " * 300
    assert quoted(text) == f'"{text.decode()}"'


def test_several_replies_are_shown_below_each_other_and_compare() -> None:
    replies = Replies([Reply(b"OK", [b"SET", "x"]), Reply(1)])
    assert repr(replies) == "OK\n(integer) 1"
    assert replies == [b"OK", 1]
    assert Reply(1) == Reply(1)
    assert Reply(1) != 2
