"""Health checks of the containers. The exit code is 0 if the check succeeds; otherwise the reason is printed.

healthy.py worker          a worker in this container sends heartbeats
healthy.py camera 0        a frame of camera 0 was added within the last half minute
healthy.py page http://…   the page answers
"""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

from rededge_nb import schema
from rededge_nb.connection import resolve_url
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client

MAX_FRAME_AGE_MS = 30_000


def worker() -> str | None:
    """Why no worker of this container is healthy; None if one is."""
    client = state_client(client_from_url(resolve_url()))
    pattern = key_names.heartbeat(client, f"{socket.gethostname()}-*")
    return None if any(client.scan_iter(match=pattern, count=1000)) else f"no key matches {pattern}"


def camera(camera_id: str) -> str | None:
    """Why the camera is not healthy; None if it is."""
    client = client_from_url(resolve_url())
    newest: Any = client.xrevrange(schema.frames_key(camera_id), count=1)
    if not newest:
        return f"camera {camera_id} has sent no frame yet"
    seconds, microseconds = client.time()
    age_ms = seconds * 1000 + microseconds // 1000 - int(newest[0][0].split(b"-")[0])
    return None if age_ms < MAX_FRAME_AGE_MS else f"the newest frame of camera {camera_id} is {age_ms / 1000:.0f} s old"


def page(address: str) -> str | None:
    """Why the page does not answer; None if it does."""
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  an address from docker-compose.yml
            return None
    except OSError as error:
        return f"{address}: {error}"


CHECKS: dict[str, Callable[..., str | None]] = {"worker": worker, "camera": camera, "page": page}

if __name__ == "__main__":
    sys.exit(CHECKS[sys.argv[1]](*sys.argv[2:]))
