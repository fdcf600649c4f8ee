"""Several cameras beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import redis

from rededge_nb.widgets.player import Player

MAX_CAMERAS = 16
"""Cameras in a grid, at most."""
INTERVAL_MS = 150
"""Time between two frames of a camera in the grid."""


class CameraGrid(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """A grid with a small player for each camera.

    Args:
        client: Defines the server to connect to.
        on_select: Is called with the id of a camera that was clicked.
    """

    def __init__(self, client: redis.Redis, on_select: Callable[[str], None]) -> None:
        self._client = client
        self._on_select = on_select
        self._players: dict[str, Player] = {}
        super().__init__([])
        self.add_class("rededge-camera-grid")

    def show(self, cameras: Sequence[str]) -> None:
        """Show these cameras, the first 16 of them, and no others."""
        wanted = list(cameras[:MAX_CAMERAS])
        if wanted == list(self._players):
            return
        for camera in [camera for camera in self._players if camera not in wanted]:
            self._players.pop(camera).close()
        self._players = {camera: self._players.get(camera) or self._player(camera) for camera in wanted}
        self.children = list(self._players.values())

    def close(self) -> None:
        """End the players; may be called again."""
        for player in self._players.values():
            player.close()
        super().close()

    def _player(self, camera: str) -> Player:
        player = Player(self._client, camera, compact=True, interval=INTERVAL_MS)
        player.on_msg(self._on_message)
        return player

    def _on_message(self, player: Player, content: dict[str, Any], _buffers: object) -> None:
        if content.get("kind") == "open":
            self._on_select(player.camera)
