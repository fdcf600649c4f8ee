"""What processes do with signals."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import signal, threading
from rededge_nb.edge.processes import on_signals
event = threading.Event()
on_signals(event.set)
with event._cond:  # as within event.wait() and event.set()
    signal.raise_signal(signal.SIGTERM)
event.wait()
"""


def test_a_signal_may_arrive_while_the_process_waits_for_its_event() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], timeout=60, check=False).returncode == 0
