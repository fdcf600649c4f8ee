"""Starting child processes: workers and the notifier of an embedded server, and the worker of `rededge worker`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from rededge_nb import settings
from rededge_nb.edge.processes import PRIVATE_UMASK, end_with_parent
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.children import Child
from rededge_nb.edge.server.client_watch import ClientWatch
from rededge_nb.edge.server.pings import Pings

logger = logging.getLogger(__name__)

WORKER_STOP_TIMEOUT = 10.0
"""Seconds in which a worker must finish the batches that its gears are processing."""
CHECK_INTERVAL = 0.1
"""Seconds between checks of the worker."""


def start_worker(
    url: str,
    reports: int,
    after_death: bool,
    *,
    module: str = "rededge_nb.edge.worker",
    log: IO[bytes] | None = None,
    state_dir: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a worker.

    Args:
        url: Address of the server.
        reports: File descriptor to which the worker reports that it works.
        after_death: Whether the worker before this one died.
        module: What it runs; another one for the process that writes clips.
        log: Where it writes its log; by default where this process does.
        state_dir: The state folder, if it works for an embedded server.
    """
    # the password is in the environment, which only the owner can read, and not on the command line
    environment = os.environ | {settings.REDIS_URL: url, settings.REPORTS_DESCRIPTOR: str(reports)}
    environment[settings.AFTER_DEATH] = "1" if after_death else ""
    if state_dir is not None:
        environment[settings.STATE_DIR] = str(state_dir)
    environment[settings.WORKER_LOG] = "" if log is None or log.name == os.devnull else str(log.name)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log is not None else None,
        env=environment,
        pass_fds=(reports,),
        umask=PRIVATE_UMASK,
        process_group=0,  # see children.py
        preexec_fn=end_with_parent(max_data_bytes=memory.worker_limit()),
    )


def start_notifier(file: Path, url: str, *, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start `rededge notify`; the password is in the environment."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "rededge_nb.cli", "notify", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | {settings.REDIS_URL: url},
        umask=PRIVATE_UMASK,
        preexec_fn=end_with_parent(),
    )


def run_worker(url: str, stop: threading.Event) -> None:
    """Run one worker for a server until `stop` is set, and start it again whenever it dies or hangs."""
    pings, watch = Pings(url), ClientWatch(url)
    worker = Child(
        "the worker",
        lambda reports, after_death: start_worker(url, reports, after_death),
        hang_timeout=settings.hang_timeout(),
        server_answers=pings.answers,
    )
    try:
        while not stop.wait(CHECK_INTERVAL):
            news = worker.check()
            if news is not None:
                logger.warning("%s", news)
    finally:
        pings.close()
        watch.close()
        worker.end(WORKER_STOP_TIMEOUT)
