"""For comparison: one process that counts, draws, and serves MJPEG with Flask.

    python -m benchmarks.flask_loop PICTURES

Prints its port. For each number on its input, it prints the seconds that this number of images took.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from flask import Flask, Response
from werkzeug.serving import make_server

from benchmarks.bare import BareLoop
from rededge_nb.images import encode_jpeg

QUALITY = 90


class Shown:
    """The newest image, for all viewers."""

    def __init__(self) -> None:
        self._jpeg = b""
        self._number = 0
        self._changed = threading.Condition()

    def show(self, jpeg: bytes) -> None:
        with self._changed:
            self._jpeg = jpeg
            self._number += 1
            self._changed.notify_all()

    def parts(self) -> Iterator[bytes]:
        """Images as parts of a multipart reply; a slow viewer misses some."""
        seen = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._number != seen)
                jpeg, seen = self._jpeg, self._number
            yield b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    options = parser.parse_args()
    shown, bare = Shown(), BareLoop()
    app = Flask(__name__)
    app.add_url_rule(
        "/video", view_func=lambda: Response(shown.parts(), mimetype="multipart/x-mixed-replace; boundary=frame")
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pictures = cycle([path.read_bytes() for path in sorted(options.pictures.iterdir())])
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        began = time.perf_counter()
        for jpeg in islice(pictures, int(line)):
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            for left, top, right, bottom in np.rint(bare.people_in(image)[:, :4]).astype(int):
                cv2.rectangle(image, (left, top), (right, bottom), (0, 0, 255), 2)
            shown.show(encode_jpeg(image, quality=QUALITY))
        sys.stdout.write(f"{time.perf_counter() - began}\n")
        sys.stdout.flush()
    return 0


class FlaskLoop:
    """The loop in a process of its own.

    Attributes:
        port: Where `/video` is.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._answer())

    def seconds(self, frames: int) -> float:
        """Seconds that a number of images takes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{frames}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the loop with Flask has ended")
        return line


@contextmanager
def flask_loop(pictures: Path) -> Iterator[FlaskLoop]:
    """Start the loop; killed at the end, when viewers may still wait."""
    command = [sys.executable, "-m", "benchmarks.flask_loop", str(pictures)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield FlaskLoop(process)
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
