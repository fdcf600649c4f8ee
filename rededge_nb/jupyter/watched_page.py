"""Runs a page of JupyterLab's launcher, and starts it again if it hangs or dies.

    python -m rededge_nb.jupyter.watched_page video PORT PATH
    python -m rededge_nb.jupyter.watched_page dashboard PORT PATH

jupyter-server-proxy starts this process. It starts a page again that has died, but does not notice one that hangs. So
this process asks the page for PATH every second. Any answer will do, also one that asks for the token. A page that
accepts connections and does not answer for `REDEDGE_HANG_TIMEOUT` seconds is killed with SIGKILL, since a process that
is stopped does not handle SIGTERM. While it starts it does not accept any, and has more time. Messages go to the log of
JupyterLab.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from rededge_nb import settings
from rededge_nb.edge.processes import end_process, end_with_parent, on_signals
from rededge_nb.jupyter import launcher

INTERVAL = 1.0
"""Seconds between two requests."""
ANSWER_TIMEOUT = 3.0
"""Seconds to wait for one answer."""
STOP_TIMEOUT = 12.0
"""Seconds that the page has to end; the web server needs up to 10."""
FIRST_DELAY, MAX_DELAY = 0.5, 30.0
"""Seconds until the next start after the first death in a row; each further delay is twice as long."""
STABLE_AFTER = 30.0
"""Seconds after which a death is no longer one of a row."""
MAX_PAUSE = 2.0
"""If this process did not run for longer than this, because the machine was suspended, that time does not count."""


def command_of(page: str, port: int, path: str) -> list[str]:
    """The command that serves a page; `page` is `video` or `dashboard`."""
    if page == "video":
        return [sys.executable, "-P", "-m", "rededge_nb.web", str(port)]
    return launcher.page_command(f"--port={port}", f"--Voila.base_url={path}")


def watch(name: str, command: list[str], port: int, path: str, *, hang_timeout: float, stop: threading.Event) -> None:
    """Keep a page running until the event is set.

    Args:
        name: What the page is called in messages.
        command: Starts the page.
        port: Where it listens on 127.0.0.1.
        path: What it is asked for.
        hang_timeout: Seconds without an answer after which it is killed; 0 means never.
        stop: Ends the page.
    """
    deaths = 0
    while not stop.is_set():
        began = time.monotonic()
        with subprocess.Popen(command, preexec_fn=end_with_parent()) as process:
            try:
                reason = _reason_of_death(process, lambda: _answers(port, path), hang_timeout, stop)
            finally:
                end_process(process, STOP_TIMEOUT)
        if stop.is_set():
            return
        deaths = 1 if time.monotonic() - began > STABLE_AFTER else deaths + 1
        delay = min(FIRST_DELAY * 2 ** min(deaths - 1, 20), MAX_DELAY)
        _say(f"{name} (process {process.pid}) {reason}; it is started again in {delay:.1f} s")
        stop.wait(delay)


def _reason_of_death(
    process: subprocess.Popen[bytes], answers: Callable[[], bool | None], hang_timeout: float, stop: threading.Event
) -> str:
    """Wait until the process has died or hangs, which ends it, or until the event is set; returns why it has ended."""
    timeout = max(launcher.START_TIMEOUT, hang_timeout)
    asked_at = silent_since = time.monotonic()
    while not stop.wait(INTERVAL):
        if process.poll() is not None:
            return f"died with exit code {process.returncode}"
        now = time.monotonic()
        silent_since += max(0.0, now - asked_at - INTERVAL - ANSWER_TIMEOUT - MAX_PAUSE)
        asked_at = now
        answered = answers()
        if answered is not None:
            timeout = hang_timeout
        if answered:
            silent_since = time.monotonic()
        elif hang_timeout and time.monotonic() - silent_since > timeout:
            process.kill()
            return f"did not answer for {timeout:.0f} s and was killed"
    return ""


def _answers(port: int, path: str) -> bool | None:
    """Whether the page answers; None if it does not accept connections."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        try:
            connection.connect()
        except ConnectionRefusedError:
            return None
        connection.request("GET", path)
        return bool(connection.getresponse().status)
    return False


def _say(message: str) -> None:
    print(f"rededge: {message}", file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line, until SIGTERM."""
    page, port, path = sys.argv[1:]
    stop = threading.Event()
    on_signals(stop.set)
    names = {"video": "the live video", "dashboard": "the dashboard"}
    command = command_of(page, int(port), path)
    watch(names[page], command, int(port), path, hang_timeout=settings.hang_timeout(), stop=stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
