"""Every type of reply in both protocols, and malformed replies."""

from __future__ import annotations

import pytest

from tests.edge.bare_redis import BareRedis
from tests.edge.switchboard.bare_switchboard import take


def nested(depth: int) -> bytes:
    return b"*1\r\n" * depth + b":1\r\n"


REPLIES = [
    (b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"),
    (b"+\r\n", b"+\r\n", b"+\r\n"),
    (b"-WRONGTYPE not a tensor\r\n", b"-WRONGTYPE not a tensor\r\n", b"-WRONGTYPE not a tensor\r\n"),
    (b":0\r\n", b":0\r\n", b":0\r\n"),
    (b":+7\r\n", b":7\r\n", b":7\r\n"),
    (b":-9223372036854775808\r\n", b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
    (b"$0\r\n\r\n", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"$6\r\na\r\n\x00\xffb\r\n", b"$6\r\na\r\n\x00\xffb\r\n", b"$6\r\na\r\n\x00\xffb\r\n"),
    (b"$-1\r\n", b"$-1\r\n", b"_\r\n"),
    (b"*-1\r\n", b"*-1\r\n", b"_\r\n"),
    (b"_\r\n", b"$-1\r\n", b"_\r\n"),
    (b"#t\r\n", b":1\r\n", b"#t\r\n"),
    (b"#f\r\n", b":0\r\n", b"#f\r\n"),
    (b",1.5\r\n", b"$3\r\n1.5\r\n", b",1.5\r\n"),
    (b",-2e3\r\n", b"$5\r\n-2000\r\n", b",-2000\r\n"),
    (b",inf\r\n", b"$3\r\ninf\r\n", b",inf\r\n"),
    (b",-inf\r\n", b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (b"(-123456789012345678901\r\n", b"$22\r\n-123456789012345678901\r\n", b"(-123456789012345678901\r\n"),
    (b"=8\r\nmkd:# hi\r\n", b"$4\r\n# hi\r\n", b"=8\r\nmkd:# hi\r\n"),
    (b"*0\r\n", b"*0\r\n", b"*0\r\n"),
    (b"~2\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:2\r\n", b"~2\r\n:1\r\n:2\r\n"),
    (b"%1\r\n+a\r\n#t\r\n", b"*2\r\n+a\r\n:1\r\n", b"%1\r\n+a\r\n#t\r\n"),
    (b"%0\r\n", b"*0\r\n", b"%0\r\n"),
    (b"*3\r\n:1\r\n-ERR in the middle\r\n*1\r\n$-1\r\n",) * 2 + (b"*3\r\n:1\r\n-ERR in the middle\r\n*1\r\n_\r\n",),
    (nested(32), nested(32), nested(32)),
]


@pytest.mark.parametrize(("payload", "resp2", "resp3"), REPLIES, ids=lambda value: repr(value)[:24])
def test_every_reply_type_in_both_protocols(server: BareRedis, payload: bytes, resp2: bytes, resp3: bytes) -> None:
    worker = server.wire()
    for protocol, expected in ((2, resp2), (3, resp3)):
        caller = server.wire(protocol=protocol).send("T.CALL")
        [call] = take(worker)
        assert worker.call("EDGE.REPLY", call[0], payload) == 1
        assert caller.receive_bytes(len(expected)) == expected
        assert caller.call("PING") == b"PONG", "nothing came after the reply"


MALFORMED = [
    b"",
    b"\r\n",
    b"\x00\r\n",
    b"\x001\r\n",
    b"OK",
    b"OK\r\n",
    b"+OK",
    b"+OK\r",
    b"+OK\n",
    b"+O\nK\r\n",
    b"+O\x00K\r\n",
    b"+OK\r\n+OK\r\n",
    b"+OK\r\n ",
    b"-\r\n",
    b":\r\n",
    b":+\r\n",
    b": 1\r\n",
    b":1 \r\n",
    b":1.0\r\n",
    b":0x10\r\n",
    b":--1\r\n",
    b":9223372036854775808\r\n",
    b"$1\r\n",
    b"$1\r\n\r\n",
    b"$2\r\nabc\r\n",
    b"$3\r\nab\r\n",
    b"$-2\r\n",
    b"$9223372036854775807\r\nab\r\n",
    b"$1\r\nab\n",
    b"*1\r\n",
    b"*-2\r\n",
    b"*2\r\n:1\r\n",
    b"*9223372036854775807\r\n:1\r\n",
    b"*1\r\n:1\r\n:2\r\n",
    b"~-1\r\n",
    b"%-1\r\n",
    b"%1\r\n:1\r\n",
    b"%4611686018427387905\r\n:1\r\n:1\r\n",
    b"_x\r\n",
    b"#\r\n",
    b"#true\r\n",
    b"#x\r\n",
    b",\r\n",
    b",1,5\r\n",
    b",0x1p3\r\n",
    b",1e\r\n",
    b",infinity\r\n",
    b", 1\r\n",
    b"(\r\n",
    b"(-\r\n",
    b"(1.0\r\n",
    b"=3\r\ntxt\r\n",
    b"=4\r\ntxtx\r\n",
    b"=-1\r\n",
    b"!3\r\nERR\r\n",
    b">1\r\n:1\r\n",
    b"|1\r\n+a\r\n+b\r\n:1\r\n",
    b"*2\r\n:1\r\n>0\r\n",
    nested(33),
    b"*1\r\n" * 100_000,
]


@pytest.mark.parametrize("payload", MALFORMED, ids=lambda value: repr(value)[:24])
def test_a_malformed_reply_is_an_error_to_both_sides(server: BareRedis, payload: bytes) -> None:
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    assert worker.send("EDGE.REPLY", call[0], payload).receive_error().startswith("ERR malformed reply")
    assert caller.receive_error().startswith("ERR the edge worker sent a malformed reply to T.CALL: ")
    assert caller.call("PING") == b"PONG"
    assert worker.call("EDGE.REPLY", call[0], "+OK\r\n") == 0
