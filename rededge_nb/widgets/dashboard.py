"""All views and controls of a camera on one page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import ipywidgets
import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.capture.captures import Captures
from rededge_nb.control import provision
from rededge_nb.display.tables import Table
from rededge_nb.errors import MissingModuleError
from rededge_nb.images import encode_jpeg
from rededge_nb.live.tiles import TileReader
from rededge_nb.reading.events import silent_cameras
from rededge_nb.widgets.camera_grid import CameraGrid
from rededge_nb.widgets.capture_panel import CapturePanel
from rededge_nb.widgets.charts import Charts
from rededge_nb.widgets.drawer import DrawerButton
from rededge_nb.widgets.event_panel import EventPanel
from rededge_nb.widgets.gear_panel import GearPanel
from rededge_nb.widgets.model_panel import ModelPanel
from rededge_nb.widgets.panels import Panel
from rededge_nb.widgets.player import Player
from rededge_nb.widgets.snapshot import Bundle
from rededge_nb.widgets.tiles import Tiles

ALL = "all cameras"
"""The entry of the chooser that shows a grid of all cameras."""

_SNAPSHOT_HEIGHT = 360
_SNAPSHOT_QUALITY = 75


class Dashboard(Panel):
    """Figures, player and charts of a camera; the controls are in a drawer. The camera can be changed.

    The layout follows the width: the charts are beside the player where there is space, and so is the drawer.

    Attributes:
        chooser: Selects one of the cameras that the people counter knows, or a grid of all of them; it marks those that
            are silent.
        drawer_button: Opens and closes the drawer with the controls.
        tiles, player, charts, events, grid: The views.
        capture, model, gear: The controls.
    """

    _offering = False

    def __init__(self, client: redis.Redis, captures: Captures, camera: object = "0", *, directory: Path) -> None:
        name = schema.camera_id(camera)
        self._tile_reader = TileReader(name)
        self.chooser = ipywidgets.Dropdown(options=[(name, name)], value=name, description="Camera")
        self.drawer_button = DrawerButton("Controls")
        self.tiles = Tiles()
        self.player = Player(client, name)
        self.charts = Charts(client, name, minutes=2)
        self.events = EventPanel(client, name, directory)
        self.grid = CameraGrid(client, self._show_camera)
        self.capture = CapturePanel(client, captures, name)
        self.model = ModelPanel(client)
        self.gear = GearPanel(client, name)
        self.chooser.observe(self._on_choice, "value")
        super().__init__(client, "People dashboard", [])
        head = _box("head", self.heading, self.chooser, self.drawer_button, self.connection_error, self.message)
        drawer = _box("drawer", self.capture, self.model, self.gear)
        drawer.add_class("rededge-drawer")
        for area, part in (("capture", self.capture), ("model", self.model), ("gear", self.gear)):
            part.add_class(f"rededge-area-{area}")
        for part in self._panels:
            # the dashboard itself says it when the kernel is silent, and hears from pages
            part.connection_error.heartbeat = 0
            part.presence = self.presence
        self._events_box = _box("events", self.events)
        self._single = [_box("player", self.player), _box("charts", self.charts), self._events_box]
        self._views = _box("views", *self._single)
        self._views.add_class("rededge-beside")
        self._body = _box("body", self._views, drawer)
        self.children = [head, self.tiles, self._body]
        self.remove_class("rededge-panel")
        self.add_class("rededge-dashboard")
        self.start_updates()

    @property
    def _panels(self) -> tuple[Panel, ...]:
        return (self.capture, self.model, self.gear, self.events)

    def resume(self) -> None:
        """Show the present state at once to a page that is back."""
        super().resume()
        for part in self._panels:
            part.resume()

    @property
    def camera(self) -> str:
        """The camera that is shown, or was shown before all of them."""
        return self.player.camera

    @camera.setter
    def camera(self, camera: object) -> None:
        self._show_camera(schema.camera_id(camera))

    @property
    def shows_all(self) -> bool:
        """Whether all cameras are shown."""
        return bool(self.chooser.value == ALL)

    def refresh(self, client: redis.Redis) -> None:
        """Offer the cameras that exist now, and show the present figures."""
        names = sorted({*provision.known_cameras(client), self.camera})
        silent = silent_cameras(client, names)
        options = [(f"{name} (silent)" if name in silent else name, name) for name in names]
        if len(names) > 1:
            options.append((ALL, ALL))
        if options != list(self.chooser.options) and not (self.shows_all and (ALL, ALL) not in options):
            self._offer(options)
        if self.shows_all:
            self.grid.show(names)
            # again, because the choice may have come while the figures of one camera were read
            self.tiles.show([])
            return
        reader = self._tile_reader
        try:
            self.tiles.show(reader.read(client))
        except MissingModuleError:
            self.tiles.show([])

    def table(self) -> Table:
        """The state of each part."""
        parts = ((part, part.table()) for part in (self.capture, self.model, self.gear))
        return Table(("part", "state"), [(type(part).__name__, repr(table)) for part, table in parts])

    def close(self) -> None:
        """End all parts. Where the dashboard was shown, its last image stays. May be called again."""
        self.leave_snapshot()
        for part in (self.player, self.charts, self.grid, self.events):
            part.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Dashboard camera {self.camera}>"

    def snapshot(self) -> Bundle:
        """What is shown where the widget is not: the last frame beside the charts."""
        images = [
            image
            for part in (self.player, self.charts)
            for kind, data in part.snapshot().items()
            if kind.startswith("image/") and (image := _scaled(base64.b64decode(data))) is not None
        ]
        if not images:
            return {"text/plain": f"{self!r}: nothing to show yet"}
        jpeg = encode_jpeg(np.hstack(images), quality=_SNAPSHOT_QUALITY)
        return {"text/plain": repr(self), "image/jpeg": base64.b64encode(jpeg).decode()}

    def _show_camera(self, camera: str) -> None:
        if camera not in self._offered():
            self._offer([*self.chooser.options, (camera, camera)])
        self.chooser.value = camera

    def _offered(self) -> list[str]:
        """The cameras that can be chosen, and ALL."""
        return [value for _, value in self.chooser.options]

    def _offer(self, options: list[tuple[str, str]]) -> None:
        """Change the options of the chooser, but not its value, which ipywidgets would set to the first of them."""
        self._offering = True
        try:
            with self.chooser.hold_sync():
                chosen = self.chooser.value
                self.chooser.options = options
                self.chooser.value = chosen
        finally:
            self._offering = False

    def _on_choice(self, change: Any) -> None:
        if self._offering:
            return
        if change["new"] == ALL:
            self.grid.show([name for name in self._offered() if name != ALL])
            self._views.children = [self.grid, self._events_box]
            self.events.camera = None
            self.tiles.show([])
            return
        if change["old"] == ALL:
            self._views.children = self._single
            self.grid.show([])
        self._tile_reader = TileReader(change["new"])
        for part in (self.player, self.charts, self.events, self.capture, self.gear):
            part.camera = change["new"]


def _box(area: str, *parts: ipywidgets.Widget) -> ipywidgets.Box:
    box = ipywidgets.Box(parts)
    box.add_class(f"rededge-area-{area}")
    return box


def _scaled(data: bytes) -> Any:
    """An encoded image, scaled to the common height."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    height, width = image.shape[:2]
    size_wh = (round(width * _SNAPSHOT_HEIGHT / height), _SNAPSHOT_HEIGHT)
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
