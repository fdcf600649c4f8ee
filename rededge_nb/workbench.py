"""The one object that a notebook holds."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import redis

from rededge_nb import assets, schema, settings
from rededge_nb.camera import Camera
from rededge_nb.capture.captures import Captures
from rededge_nb.connection import connect, without_password
from rededge_nb.control import gears, models
from rededge_nb.control import provision as provisioning
from rededge_nb.edge import server
from rededge_nb.edge.server.state import StateFolder

if TYPE_CHECKING:
    from rededge_nb.widgets.capture_panel import CapturePanel
    from rededge_nb.widgets.charts import Charts
    from rededge_nb.widgets.dashboard import Dashboard
    from rededge_nb.widgets.gear_panel import GearPanel
    from rededge_nb.widgets.model_panel import ModelPanel
    from rededge_nb.widgets.player import Player


class _Closes(Protocol):
    def close(self) -> None: ...


_W = TypeVar("_W", bound=_Closes)


class Workbench:
    """Models, gears and cameras of one RedisEdge.

    Uses REDIS_URL if it is set, else the instance that runs in the state folder; if none runs, starts one, which ends
    by itself some seconds after the last workbench that uses it was closed or its kernel ended.

    Args:
        url: address of a server, instead of all that.
        directory: state folder, instead of REDEDGE_DIR or the user's own.

    Raises:
        ServerUnavailableError: the server named does not answer.
        MissingModuleError: it lacks RedisTimeSeries or the edge module.
        ServerError: none runs and none could be started.
    """

    def __init__(self, url: str | None = None, *, directory: Path | None = None) -> None:
        self._resources = contextlib.ExitStack()
        self._widgets: list[_Closes] = []
        if url is None and (directory is not None or settings.redis_url() is None):
            folder = StateFolder(directory or settings.state_dir())
            folder.create()
            self._resources.enter_context(folder.use())
            url = server.start(folder.path, while_used=True).url
        self.client: redis.Redis = connect(url)
        """The Redis client (bytes replies), for any command."""
        self._resources.callback(self.client.close)
        self._captures = Captures(self.client)
        self._where = without_password(url or str(settings.redis_url()))
        self.models = Models(self.client)
        self.gears = Gears(self.client)

    def __repr__(self) -> str:
        return f"<Workbench on {self._where}: cameras {', '.join(self.cameras()) or 'none yet'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the widgets and captures begun here and let the server go; may be called again."""
        while self._widgets:
            self._widgets.pop().close()
        self._captures.close()
        self._resources.close()

    def provision(self, *cameras: object, model: str | None = None, gear: str | None = None) -> list[str]:
        """Load model, series, rules and gear for the cameras; returns what that changed. See `provision.provision`."""
        return provisioning.provision(self.client, cameras=cameras or ("0",), model=model, gear=gear)

    def cameras(self) -> list[str]:
        """Ids of the cameras that the people counter is registered for."""
        return provisioning.known_cameras(self.client)

    def camera(self, camera: object = "0") -> Camera:
        """One camera: its frames, detections, errors, series and captures."""
        return Camera(self.client, camera, self._captures)

    def settings(self) -> dict[str, str]:
        """What the running gear is told: model key, input size, thresholds."""
        return provisioning.read_settings(self.client)

    def player(self, camera: object = "0", *, boxes: bool = True, labels: bool = True) -> Player:
        """The camera's video with its detections drawn on it, live."""
        from rededge_nb.widgets.player import Player

        return self._keep(Player(self.client, camera, boxes=boxes, labels=labels))

    def capture_panel(self, camera: object = "0") -> CapturePanel:
        """Starts and stops a capture with the mouse."""
        from rededge_nb.widgets.capture_panel import CapturePanel

        return self._keep(CapturePanel(self.client, self._captures, camera))

    def model_panel(self) -> ModelPanel:
        """Loads models, and sets the thresholds of the running gear."""
        from rededge_nb.widgets.model_panel import ModelPanel

        return self._keep(ModelPanel(self.client))

    def gear_panel(self, camera: object = "0") -> GearPanel:
        """Shows how the gears fare; registers the people counter for the camera, pauses and unregisters gears."""
        from rededge_nb.widgets.gear_panel import GearPanel

        return self._keep(GearPanel(self.client, camera))

    def dashboard(self, camera: object = "0") -> Dashboard:
        """All of it on one page; takes the place of an earlier dashboard of the same camera."""
        from rededge_nb.widgets.dashboard import Dashboard

        for widget in self._widgets:
            if isinstance(widget, Dashboard) and widget.camera == schema.camera_id(camera):
                widget.close()
        return self._keep(Dashboard(self.client, self._captures, camera))

    def charts(self, camera: object = "0", *, minutes: float = 5.0) -> Charts:
        """Live charts of the camera's last minutes: people, frames per second, milliseconds per step."""
        from rededge_nb.widgets.charts import Charts

        return self._keep(Charts(self.client, camera, minutes=minutes))

    def _keep(self, widget: _W) -> _W:
        self._widgets.append(widget)
        return widget


class Models:
    """The models in the server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def card(self, name: str = assets.DEFAULT_MODEL) -> models.ModelCard:
        """The card of a bundled model, or the one at a path."""
        return models.load_card(assets.model_card_file(name))

    def store(self, card: models.ModelCard) -> bool:
        """Store a card's model; False if it is there already."""
        return models.store_model(self._client, card)

    def list(self) -> list[models.StoredModel]:
        """All models, by key."""
        return models.list_models(self._client)

    def remove(self, key: str) -> None:
        """Delete a model."""
        models.remove_model(self._client, key)


class Gears:
    """The gears registered in the server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def register(self, script: str | Path, *, session: str, description: str = "") -> None:
        """Register a gear, given as its text or its file, in place of the session's registrations."""
        if isinstance(script, Path):
            gears.register_gear_file(self._client, script, session=session, description=description)
        else:
            gears.register_gear(self._client, script, session=session, description=description)

    def list(self) -> list[gears.RegistrationInfo]:
        """All registrations, by stream."""
        return gears.list_registrations(self._client)

    def unregister(self, registration_id: str) -> None:
        """Forget a registration."""
        gears.unregister_gear(self._client, registration_id)

    def pause(self, registration_id: str) -> None:
        """Let a registration start nothing new."""
        gears.pause_gear(self._client, registration_id)

    def unpause(self, registration_id: str) -> None:
        """Let a paused registration go on."""
        gears.unpause_gear(self._client, registration_id)
