"""Run `rededge` as a process, and request the pages that it serves."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

COMMAND = [sys.executable, "-m", "rededge_nb.cli"]


def rededge(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=env, timeout=120
    )
    # the traceback of a gear may be there, for its author, but never ours
    assert "rededge_nb/cli" not in done.stderr
    return done


@contextmanager
def started(*words: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is killed."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen([*COMMAND, *map(str, words)], text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def status(url: str) -> int:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        with connection.getresponse() as reply:
            return reply.status


def listens(url: str) -> bool:
    try:
        return bool(status(url))
    except ConnectionError:
        return False
