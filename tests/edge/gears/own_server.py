"""An instance that a test may hurt, since nobody else uses it."""

from __future__ import annotations

import os
import signal

import psutil

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.edge.worker.test_worker import workers_of


class Server:
    """An instance of the test's own."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.client = client_from_url(instance.url)

    def workers(self) -> list[psutil.Process]:
        return workers_of(self.instance.pid)

    def kill_worker(self) -> None:
        os.kill(self.workers()[0].pid, signal.SIGKILL)
