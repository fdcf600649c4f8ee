"""The process that writes the clips of alarms: it is started when the first rule asks for clips.

Most servers have no such rule, and then there is no process. The rules are in the scenes of the cameras, which a thread
looks at now and then.
"""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from typing import Any

import redis

from rededge_nb import schema, settings
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.children import Child
from rededge_nb.edge.server.logs import open_log
from rededge_nb.edge.server.pings import Pings
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.edge.server.worker_process import start_worker

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at the rules."""


class ClipProcess(Child):
    """Starts the process when a rule asks for clips, and again when it dies or hangs.

    Args:
        folder: The state folder, in which the clips are written.
        url: Address of the server.
        pings: Whether the server answers.
    """

    def __init__(self, folder: StateFolder, url: str, pings: Pings) -> None:
        def start(reports: int, after_death: bool) -> subprocess.Popen[bytes]:
            with open_log(folder, "clips.log") as log:
                return start_worker(
                    url, reports, after_death, module="rededge_nb.clips", log=log, state_dir=folder.path
                )

        super().__init__(
            "the process that writes clips", start, hang_timeout=settings.hang_timeout(), server_answers=pings.answers
        )
        self._client = client_from_url(url, timeout=5.0, name="rededge-rules")
        self._wanted = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._look_at_rules, name="clip rules", daemon=True).start()

    def check(self) -> str | None:
        """As the other children, from the time on at which a rule asks for clips."""
        return super().check() if self._wanted.is_set() else None

    def terminate(self) -> None:
        """Ask the process to end, and look at the rules no more."""
        self._closed.set()
        super().terminate()

    def _look_at_rules(self) -> None:
        while not self._wanted.is_set() and not self._closed.wait(INTERVAL):
            try:
                if _clips_wanted(self._client):
                    self._wanted.set()
            except redis.RedisError as error:  # the supervisor sees to the server
                logger.debug("the rules cannot be read: %s", error)
        self._client.close()


def _clips_wanted(client: redis.Redis) -> bool:
    cameras: Any = client.smembers(schema.CAMERAS_KEY)
    keys = [schema.scene_key(camera.decode()) for camera in cameras]
    scenes: Any = client.mget(keys) if keys else []
    return any(map(_asks_for_clips, scenes))


def _asks_for_clips(scene: bytes | None) -> bool:
    """Whether a rule of a scene asks for clips. Whoever uses the scene reports what is wrong with it."""
    if scene is None or b'"clip"' not in scene:
        return False
    try:
        return any(rule.get("clip") is True for rule in json.loads(scene).get("rules", ()))
    except (AttributeError, RecursionError, TypeError, ValueError):
        return False
