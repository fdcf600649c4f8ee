"""The scene of a camera as notebooks edit it: `wb.camera("0").scene`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.fields import at, shown
from rededge_nb.analytics.geometry import Point
from rededge_nb.analytics.rules import Rule, parse_rule
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.scenes import change_scene, save_scene, set_still
from rededge_nb.errors import SourceError
from rededge_nb.images import ImageOrJpeg
from rededge_nb.reading.scenes import read_scene


class CameraScene:
    """Lines, zones, masks and rules of a camera. Each change is stored at once, and in force from the next frame on.

    Coordinates are from 0 to 1 of the frame's width and height; y grows downwards. Names have 1 to 32 letters, digits,
    `_`, `-` or `.`. All methods raise `SceneError` if something is wrong with a name or a point.
    """

    def __init__(self, client: redis.Redis, camera: object) -> None:
        self._client = client
        self._camera = schema.camera_id(camera)

    def __repr__(self) -> str:
        scene = self.load()
        parts = (("lines", scene.lines), ("zones", scene.zones), ("masks", scene.masks))
        listed = [f"{what} {', '.join(each.name for each in items)}" for what, items in parts if items]
        listed += [f"rules {', '.join(rule.name for rule in scene.rules)}"] if scene.rules else []
        only = "; boxes only" if scene.boxes_only else ""
        shown_parts = "; ".join(listed) or "nothing drawn"
        return f"<Scene of camera {self._camera}, version {scene.version}: {shown_parts}{only}>"

    def load(self) -> Scene:
        """The scene as it is stored."""
        return read_scene(self._client, self._camera)

    def save(self, scene: Scene) -> Scene:
        """Replace the scene by a changed copy of what `load` returned.

        Raises:
            SceneConflictError: somebody else has saved it since.
        """
        return save_scene(self._client, self._camera, scene, version=scene.version)

    def line(
        self, name: str, a: Point, b: Point, *, forward: str | None = None, backward: str | None = None
    ) -> CameraScene:
        """Draw a line, or move the one of that name.

        Args:
            name: Its name.
            a: Where it begins, `(x, y)`.
            b: Where it ends. Forward is from the left to the right of somebody who walks from `a` to `b` over the
                image: downwards for a line from left to right.
            forward: Name of that direction, such as "in".
            backward: Name of the other direction.
        """
        return self._change(lambda scene: scene.with_line(name, a, b, forward=forward, backward=backward))

    def zone(self, name: str, points: Sequence[Point]) -> CameraScene:
        """Draw a zone, or replace the one of that name, by its corners in order."""
        return self._change(lambda scene: scene.with_zone(name, points))

    def mask(self, points: Sequence[Point], *, style: str = "black", name: str | None = None) -> CameraScene:
        """Hide a part of the frame, before frames are stored.

        Args:
            points: Its corners in order.
            style: "black", "blur" or "pixelate".
            name: Its name; default: `mask-<n>`.
        """
        return self._change(lambda scene: scene.with_mask(points, style=style, name=name))

    def rule(self, name: str, kind: str | None = None, **fields: Any) -> CameraScene:
        """Add a rule that raises alarms, or replace the one of that name.

        Args:
            name: Its name.
            kind: "occupancy", "dwell", "crossings" or "silence"; default: that of the rule of this name.
            fields: Fields of the rule, such as `zone`, `at_least`, `lasting`, `severity`, `schedule`, `clip`; see the
                reference of rules. Those that are left out have their default.

        Raises:
            SceneError: A field is wrong, missing or unknown; its `field` names it.
        """

        def change(scene: Scene) -> Scene:
            known = next((rule.kind for rule in scene.rules if rule.name == name), None)
            with at(f"rule {shown(name)}"):
                rule: Rule = parse_rule({"name": name, **({"kind": kind or known} if kind or known else {}), **fields})
            return scene.with_rule(rule)

        return self._change(change)

    def remove_rule(self, name: str) -> CameraScene:
        """Remove a rule; its alarm, if there is one, is cleared with the next frame."""
        return self._change(lambda scene: scene.without_rule(name))

    def remove(self, name: str) -> CameraScene:
        """Remove a line, zone or mask. What was counted stays until its retention ends."""
        return self._change(lambda scene: scene.without(name))

    def rename(self, old: str, new: str) -> CameraScene:
        """Give a line, zone or mask another name; what was counted follows."""
        return self._change(lambda scene: scene.renamed(old, new))

    def reverse(self, name: str) -> CameraScene:
        """Exchange the two sides of a line."""
        return self._change(lambda scene: scene.reversed_line(name))

    def boxes_only(self, on: bool = True) -> CameraScene:
        """Store no image of the camera, only boxes: the capture finds the people, and no pixel leaves its process.

        Frames that are in the stream already leave it. See docs/how-to/count-who-goes-in.md.

        Args:
            on: Whether no image may be stored.
        """
        return self._change(lambda scene: replace(scene, boxes_only=on))

    def still(self, image: ImageOrJpeg | str | Path | None) -> CameraScene:
        """Choose the image on which live views draw the boxes of a camera without images; None: a grey plane.

        Args:
            image: An image file, its content, or pixels: uint8 of shape (height, width, 3), BGR. It should show the
                view of the camera without people.

        Raises:
            SourceError: it cannot be read.
        """
        if isinstance(image, str | Path):
            path = Path(image)
            try:
                image = path.read_bytes()
            except OSError as error:
                raise SourceError(f"the image {path} cannot be read: {error}") from error
        set_still(self._client, self._camera, image)
        return self

    def _change(self, change: Callable[[Scene], Scene]) -> CameraScene:
        change_scene(self._client, self._camera, change)
        return self
