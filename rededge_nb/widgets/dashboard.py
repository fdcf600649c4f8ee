"""All views and controls of a camera on one page."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import ipywidgets
import numpy as np
import redis
from IPython.display import display, update_display

from rededge_nb import schema
from rededge_nb.capture.captures import Captures
from rededge_nb.control import provision
from rededge_nb.display.tables import Table
from rededge_nb.images import encode_jpeg
from rededge_nb.widgets.capture_panel import CapturePanel
from rededge_nb.widgets.charts import Charts
from rededge_nb.widgets.gear_panel import GearPanel
from rededge_nb.widgets.model_panel import ModelPanel
from rededge_nb.widgets.panels import Panel
from rededge_nb.widgets.player import Player

_SNAPSHOT_HEIGHT = 360
_SNAPSHOT_QUALITY = 75


class Dashboard(Panel):
    """Player, charts, and the panels for capture, model and gears. The camera can be changed.

    The layout follows the width: panels are side by side where there is space.

    Attributes:
        chooser: Selects one of the cameras that the people counter knows.
        player, charts, capture, model, gear: The parts.
    """

    _displayed = ""

    def __init__(self, client: redis.Redis, captures: Captures, camera: object = "0") -> None:
        name = schema.camera_id(camera)
        self.chooser = ipywidgets.Dropdown(options=[name], value=name, description="camera")
        self.player = Player(client, name)
        self.charts = Charts(client, name, minutes=2)
        self.capture = CapturePanel(client, captures, name)
        self.model = ModelPanel(client)
        self.gear = GearPanel(client, name)
        parts: dict[str, Any] = {
            "player": self.player,
            "charts": self.charts,
            "capture": self.capture,
            "model": self.model,
            "gear": self.gear,
        }
        for area, part in parts.items():
            part.add_class(f"rededge-area-{area}")
        self.chooser.observe(self._on_camera, "value")
        super().__init__(client, "People dashboard", [])
        head = ipywidgets.Box([self.heading, self.chooser, self.connection_error, self.message])
        head.add_class("rededge-area-head")
        grid = ipywidgets.Box([head, *parts.values()])
        grid.add_class("rededge-grid")
        self.children = [grid]
        self.remove_class("rededge-panel")
        self.add_class("rededge-dashboard")
        self.start_updates()

    @property
    def camera(self) -> str:
        """The camera that is shown."""
        return str(self.chooser.value)

    @camera.setter
    def camera(self, camera: object) -> None:
        name = schema.camera_id(camera)
        if name not in self.chooser.options:
            self.chooser.options = [*self.chooser.options, name]
        self.chooser.value = name

    def refresh(self, client: redis.Redis) -> None:
        """Offer the cameras that exist now."""
        names = sorted({*provision.known_cameras(client), self.camera})
        if names != list(self.chooser.options):
            self.chooser.options = names

    def table(self) -> Table:
        """The state of each part."""
        parts = ((part, part.table()) for part in (self.capture, self.model, self.gear))
        return Table(("part", "state"), [(type(part).__name__, repr(table)) for part, table in parts])

    def close(self) -> None:
        """End all parts. Where the dashboard was shown, its last image stays. May be called again."""
        shown, self._displayed = self._displayed, ""
        if shown and not self._ended:
            update_display(self._snapshot(), raw=True, display_id=shown)
        super().close()

    def __repr__(self) -> str:
        return f"<Dashboard camera {self.camera}>"

    def _ipython_display_(self) -> None:
        # with a display id, because `close` replaces the dashboard by its last image
        self._displayed = f"rededge-dashboard-{self.model_id}"
        bundle = {**ipywidgets.VBox._repr_mimebundle_(self), **self._snapshot()}
        display(bundle, raw=True, display_id=self._displayed)

    def _snapshot(self) -> dict[str, str]:
        """What is shown where the widget is not: the last frame beside the charts."""
        images = [
            image
            for part in (self.player, self.charts)
            for kind, data in part._repr_mimebundle_()[0].items()
            if kind.startswith("image/") and (image := _scaled(base64.b64decode(data))) is not None
        ]
        if not images:
            return {"text/plain": f"{self!r}: nothing to show yet"}
        jpeg = encode_jpeg(np.hstack(images), quality=_SNAPSHOT_QUALITY)
        return {"text/plain": repr(self), "image/jpeg": base64.b64encode(jpeg).decode()}

    def _on_camera(self, change: Any) -> None:
        for part in (self.player, self.charts, self.capture, self.gear):
            part.camera = change["new"]


def _scaled(data: bytes) -> Any:
    """An encoded image, scaled to the common height."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    height, width = image.shape[:2]
    size_wh = (round(width * _SNAPSHOT_HEIGHT / height), _SNAPSHOT_HEIGHT)
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
