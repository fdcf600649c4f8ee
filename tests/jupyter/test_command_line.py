from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rededge_nb.display.replies import Reply
from rededge_nb.errors import ConfigurationError
from rededge_nb.jupyter.command_line import split_arguments

VARIABLES: dict[str, Any] = {
    "name": "two words",
    "jpeg": b"\xff\xd8 '$name'",
    "number": 3,
    "share": 0.25,
    "camera": SimpleNamespace(id="door"),
    "array": np.array([7, 8]),
    "reply": Reply(b"\x00raw"),
    "nothing": None,
    "names": ["a"],
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  PING\t", [b"PING"]),
        ("SET 'a b' \"c d\"e\\ f ''", [b"SET", b"a b", b"c de f", b""]),
        (r'"\n\xff\"\$name" \"q', [b'\n\xff"$name', b'"q']),
        ("$name", [b"two words"]),
        ('k:$name "say {name}"', [b"k:two words", b"say two words"]),
        ("'$name {name}'", [b"$name {name}"]),
        ("$jpeg x$jpeg", [b"\xff\xd8 '$name'", b"x\xff\xd8 '$name'"]),
        ("$number {number + 1} {share} n$number", [3, 4, 0.25, b"n3"]),
        ("$camera.id:$camera.id $camera.id.", [b"door:door", b"door."]),
        ("{array[0]} {array.tobytes()[:1]} $reply", [7, b"\x07", b"\x00raw"]),
        ('{ {"a}": "b c"}["a}"] }', [b"b c"]),
        ("{' '.join(x + name for x in names)}", [b"atwo words"]),
        ("XREAD STREAMS s $ $.path", [b"XREAD", b"STREAMS", b"s", b"$", b"$.path"]),
        ("{} {\"a\":1} {'a b'", [b"{}", b"{a:1}", b"{a b"]),
        ("größe", ["größe".encode()]),
    ],
)  # fmt: skip
def test_arguments(line: str, words: list[Any]) -> None:
    found = split_arguments(line, VARIABLES)
    assert found == words
    assert list(map(type, found)) == list(map(type, words))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("GET 'a b", "quote that opens at character 5 is not closed"),
        ('GET "a', "not closed"),
        ("GET $missing", r"\$missing has no value \(NameError.*write '\$missing'"),
        ("GET {number / 0}", "ZeroDivisionError"),
        ("GET $nothing", r"\$nothing is None"),
        ("GET {names}", "of type list"),
        ("GET {number > 1}", "of type bool"),
    ],
)
def test_a_line_that_cannot_be_split_is_refused_with_the_reason(line: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        split_arguments(line, VARIABLES)


def test_the_variables_are_not_changed() -> None:
    variables = {"x": 1}
    split_arguments("{x + 1}", variables)
    assert variables == {"x": 1}
