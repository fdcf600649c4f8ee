"""What processes do with signals."""

from __future__ import annotations

import signal
import subprocess
import sys

SCRIPT = """
import threading
from rededge_nb.edge.processes import on_signals
stop = threading.Event()
on_signals(lambda: [stop.set(), ended.set()])
ended = threading.Event()
print("ready", flush=True)
# waits and sets all the time, so that a signal often arrives within one of them
busy = threading.Event()
while not stop.wait(0.00001):
    busy.set()
print("ended", flush=True)
"""


def test_many_signals_end_a_process_that_waits_and_sets_events() -> None:
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(20):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "ended\n"
