"""HTTP requests and WebSocket messages to the web server."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
from collections.abc import Iterator

from websocket import ABNF, WebSocket, WebSocketException, create_connection

from rededge_nb.web import WebServer
from tests.faults.fuzz.world import PATIENCE, Tally, World
from tests.waiting import wait_for
from tests.web.site import TOKEN, ask
from tests.web.test_fuzz import nonsense

STATUS = (101, 200, 303, 400, 401, 403, 404, 405, 411, 413, 426, 431, 501, 503)
GOOD = (
    *({"to": "page", "kind": "watch", "camera": "fuzz", "minutes": 5}, {"to": "player", "kind": "ready"}),
    *({"to": "player", "kind": "painted", "seq": 1}, {"to": "charts", "kind": "ready"}),
    *({"to": "charts", "kind": "set", "minutes": 15}, {"to": "charts", "kind": "hidden"}),
)
ODD = (
    None,
    -1,
    0,
    1e308,
    10**400,
    "",
    "x" * 10_000,
    [],
    {},
    [[[]]],
    True,
    "camera:0",
    "\0",
    "../..",
    "<b>",
    "NaN",
    1.5,
)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # the client in this process logs a close code, which is the server's good right, as an error of its own
        if record.name != "websocket":
            self.texts.append(record.getMessage())


@contextlib.contextmanager
def served(world: World, tally: Tally) -> Iterator[int]:
    """The port of a web server on the world's Redis, which must be well afterwards and have logged no error."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        with WebServer(world.instance.url, port=0, token=TOKEN) as server:
            wait_for(lambda: ask(server.port, "/healthz").status == 200, timeout=PATIENCE, what="all to be well")
            yield server.port
            if ask(server.port, "/healthz").status != 200:
                tally.mishap("the web server is not well any more")
    finally:
        logging.getLogger().removeHandler(errors)
    tally.mishaps += [f"an error in the log: {text:.300}" for text in errors.texts]


def http_kind(world: World, count: int, tally: Tally) -> None:
    """Requests of all kinds: each is answered, or its connection closed."""
    with served(world, tally) as port:
        for _ in range(count):
            request = nonsense(world.rng)
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as one:
                one.sendall(request)
                one.shutdown(socket.SHUT_WR)
                answer = one.recv(65536)
            status = int(answer.split(b" ", 2)[1]) if answer else 400
            tally.inputs += 1
            tally.refused += status >= 400
            if status not in STATUS or b"Traceback" in answer or b'File "' in answer:
                tally.mishap(f"{request!r:.300} got {answer!r:.300}")


def websocket_kind(world: World, count: int, tally: Tally) -> None:
    """Messages of a page, or nearly; after one that is none the connection is closed with a reason."""
    with served(world, tally) as port:
        page: WebSocket | None = None
        for _ in range(count):
            page = page or create_connection(f"ws://127.0.0.1:{port}/live?token={TOKEN}", timeout=PATIENCE)
            if not understood(page, world.rng, tally):
                page.shutdown()
                page = None
        if page is not None:
            page.close()


def understood(page: WebSocket, rng: random.Random, tally: Tally) -> bool:
    """Send a message, and now and then see what became of those before; whether the connection is still open."""
    kind, data = message(rng)
    tally.inputs += 1
    try:
        page.send(data, kind)
        if rng.random() < 0.9:
            return True
        page.ping("are you there")
        code = until_pong(page)
    except (WebSocketException, ConnectionError):
        code = 1000  # closed already, for a message before this one
    if code is None:
        return True
    tally.refused += 1
    if code not in (1000, 1002, 1003, 1007, 1008, 1009, 1013):
        tally.mishap(f"{data!r:.300} was answered with close code {code}")
    return False


def until_pong(page: WebSocket) -> int | None:
    """Read what comes; the close code, or None if there is a pong."""
    while True:
        kind, data = page.recv_data(control_frame=True)
        if kind == ABNF.OPCODE_PONG:
            return None
        if kind == ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big") if len(data) >= 2 else 1000


def message(rng: random.Random) -> tuple[int, bytes]:
    """A frame's kind and content."""
    kind = rng.choice((ABNF.OPCODE_TEXT, ABNF.OPCODE_TEXT, ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_PING))
    match rng.randrange(6):
        case 0:
            data = rng.randbytes(rng.randint(0, 120))
        case 1:
            data = rng.choice(
                (b"", b"null", b"[]", b"{}", b"[" * 100_000, b"1e999", b'"a"', b"\xff", b"{" * 50, b"1" * 9000)
            )
        case _:
            content: dict[str, object] = dict(rng.choice(GOOD))
            for _ in range(rng.choice((0, 0, 1, 2))):
                content[rng.choice(("to", "kind", "camera", "minutes", "seq", "x"))] = rng.choice(ODD)
            if rng.random() < 0.1:
                content.pop(rng.choice(list(content)))
            data = json.dumps(content).encode()
    return kind, data[:125] if kind == ABNF.OPCODE_PING else data
