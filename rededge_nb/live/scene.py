"""The scene of a camera for the player: what is drawn, whether it may be changed, and how a page saves it."""

from __future__ import annotations

import time
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import parse_scene
from rededge_nb.control.scenes import may_change, save_scene
from rededge_nb.errors import RedEdgeError, SceneError
from rededge_nb.reading.scenes import scene_of

INTERVAL = 0.5
"""Seconds between two looks at the scene."""


class SceneReader:
    """Notices when the scene of a camera changes. It has no thread: it reads with the client that is passed.

    Attributes:
        problem: Why the scene cannot be shown; empty if it can.
    """

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.problem = ""
        self._read_at = float("-inf")
        self._text: Any = ""
        self._editable: bool | None = None

    def read(self, client: redis.Redis) -> dict[str, Any] | None:
        """The state of the player's model, `scene` and `editable`, if it is new; looks twice a second at most."""
        now = time.monotonic()
        if now - self._read_at < INTERVAL:
            return None
        self._read_at = now
        key = schema.scene_key(self.camera)
        text: Any = client.get(key)
        if self._editable is None:
            self._editable = may_change(client, self.camera)
        if text == self._text:
            return None
        self._text, self.problem = text, ""
        try:
            return {"scene": scene_of(key, text).to_dict(), "editable": self._editable}
        except SceneError as error:
            self.problem = f"the scene cannot be read: {error}"
            return {"scene": None, "editable": False}

    def restart(self) -> None:
        """Return the scene once more, for a page that was just opened."""
        self._read_at, self._text = float("-inf"), ""


def save_from_page(client: redis.Redis, camera: str, content: dict[str, Any]) -> dict[str, Any]:
    """Save the scene that a page sends.

    Args:
        client: Connected to the server.
        camera: Camera id.
        content: `scene` as JSON has it, and `version`, which is that of the scene that was edited.

    Returns:
        The answer to the page: `kind` is `saved`, with the new `version`, or `refused`, with the `reason`.
    """
    try:
        stored = save_scene(client, camera, parse_scene(content.get("scene", {})), version=int(content["version"]))
    except redis.exceptions.NoPermissionError:
        return {"kind": "refused", "reason": "you may look, but not change anything"}
    except (RedEdgeError, redis.RedisError) as error:
        return {"kind": "refused", "reason": str(error)}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {"kind": "refused", "reason": "the version of the scene is missing"}
    return {"kind": "saved", "version": stored.version}
