"""Writes the clips of alarms for the server that REDIS_URL names, into the state folder: `python -m rededge_nb.clips`.

The embedded server starts it when a rule asks for clips; users start it with `rededge clips`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

import redis

from rededge_nb import settings
from rededge_nb.clips import recorder
from rededge_nb.clips.folder import clips_folder
from rededge_nb.edge.processes import on_signals
from rededge_nb.edge.worker.health import Health


def main() -> int:
    """Write clips until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    url = settings.redis_url()
    if url is None:
        print("rededge clips: set REDIS_URL to the address of the server", file=sys.stderr)
        return 2
    stop = threading.Event()
    on_signals(stop.set)
    health = Health(settings.reports_descriptor(), settings.hang_timeout(), {})
    threading.Thread(target=health.report_until, args=(stop,), name="health", daemon=True).start()

    def on_step(error: Exception | None) -> None:
        if error is None:
            health.heartbeat_sent()
        else:
            health.heartbeat_failed(error, server_unavailable=True)

    try:
        recorder.run(url, clips_folder(settings.state_dir()), stop, on_step=on_step)
    except (ValueError, redis.RedisError) as error:
        print(f"rededge clips: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # threads that wait for the end of their clips are not waited for
    os._exit(status)
