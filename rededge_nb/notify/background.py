"""A notifier that runs in threads of this process, for notebooks; `rededge notify` is a program of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import redis

from rededge_nb.notify.configuration import NotifyConfig, parse_config, read_config
from rededge_nb.notify.notifier import run_notifier


class BackgroundNotifier:
    """Sends events to targets until it is closed.

    Args:
        client: Connected to the server.
        config: Path of a YAML file, or what one contains: `{"targets": [{"name": …, "type": "webhook", "url": …}]}`.

    Raises:
        ConfigurationError: The configuration is wrong.
    """

    def __init__(self, client: redis.Redis, config: str | Path | dict[str, object]) -> None:
        found = read_config(config) if isinstance(config, str | Path) else parse_config(config)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(client, found), name="notifier", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sending, after the messages that are being sent."""
        self._stop.set()
        self._thread.join()

    def _run(self, client: redis.Redis, config: NotifyConfig) -> None:
        run_notifier(client, config, self._stop)
