"""Nonsense of all kinds: never an error of the server's own, never a traceback."""

from __future__ import annotations

import logging
import random
import socket

import pytest

from tests.web.site import TOKEN, ask

pytest_plugins = ("tests.bare_fixtures",)

ROUTES = ["", "live", "video", "snapshot.jpg", "api/cameras", "api/detections", "metrics", "healthz", "page.js"]
METHODS = ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "TRACE", "BREW", "get", "G\xcbT"]
NAMES = ["Host", "Origin", "Cookie", "Authorization", "Upgrade", "Connection", "Sec-WebSocket-Key", "Content-Length"]
NAMES += ["Sec-WebSocket-Version", "X-Forwarded-Proto", "Range", "If-None-Match", "Transfer-Encoding", "Sec-Fetch-Site"]
PIECES = ["%00", "%ff", "%c3%28", "..", "%2e%2e", "//", "\\", "'", '"', "<script>", "{{7*7}}", "camera:0", "-1", "1e9"]
PIECES += ["%0d%0aX-Evil:1", "?", "&", "=", ";", "#", "+", "%", "%zz", "*", "a" * 300, "\xe9", "{0}", "0", "count="]
VALUES = ["", "[", "http://[", "a:b:c", "http://127.0.0.1:x", "127.0.0.1", "\xff\xfe", "Bearer", "websocket", "Upgrade"]
VALUES += ["13", '"', "-1", "99999999999", "x" * 2000, "a=b; c", "rededge_web_1=\x01", "chunked", "null", "bytes=0-"]


@pytest.mark.parametrize("seed", range(6))
def test_malformed_requests_are_refused_in_one_line(port: int, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    rng = random.Random(seed)
    for _ in range(60):
        request = nonsense(rng)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            one.sendall(request)
            one.shutdown(socket.SHUT_WR)
            answer = one.recv(65536)
        # a request that is none at all is answered by closing the connection
        status = int(answer.split(b" ", 2)[1]) if answer else 400
        assert status in (101, 200, 303, 400, 401, 403, 404, 405, 411, 413, 426, 431, 501, 503), request
        assert b"Traceback" not in answer
        assert b'File "' not in answer
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert ask(port, "/healthz").status == 200


def nonsense(rng: random.Random) -> bytes:
    """A request: a route, or nearly one, with arguments and headers that nobody has thought of."""
    path = "/" + rng.choice(ROUTES)
    if rng.random() < 0.4:
        path += "/".join(rng.choices(PIECES, k=rng.randint(1, 3)))
    arguments = [
        f"{rng.choice(['camera', 'count', 'token', 'x'])}={rng.choice(PIECES)}" for _ in range(rng.randint(0, 3))
    ]
    if arguments:
        path += "?" + "&".join(arguments)
    lines = [f"{rng.choice(METHODS) if rng.random() < 0.3 else 'GET'} {path} HTTP/1.1"]
    if rng.random() < 0.9:
        lines.append("Host: 127.0.0.1")
    if rng.random() < 0.9:
        lines.append(f"Authorization: Bearer {TOKEN}")
    lines += [f"{rng.choice(NAMES)}: {rng.choice(VALUES)}" for _ in range(rng.randint(0, 4))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
