"""The one object that a notebook holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, Unpack

import redis

from rededge_nb import assets, schema, settings, streams
from rededge_nb.capture import run as captures
from rededge_nb.connection import connect, without_password
from rededge_nb.control import gears, models
from rededge_nb.control import provision as provisioning
from rededge_nb.edge import server
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import NoDataError
from rededge_nb.reading import detections as found
from rededge_nb.reading import frames
from rededge_nb.reading import series as time_series
from rededge_nb.reading import summary as summaries

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
        self._captures: list[captures.Capture] = []
        self._widgets: list[_Closes] = []
        if url is None and (directory is not None or settings.redis_url() is None):
            folder = StateFolder(directory or settings.state_dir())
            folder.create()
            self._resources.enter_context(folder.use())
            url = server.start(folder.path, while_used=True).url
        self.client: redis.Redis = connect(url)
        """The Redis client (bytes replies), for any command."""
        self._resources.callback(self.client.close)
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
        while self._captures:
            self._captures.pop().close()
        self._resources.close()

    def provision(self, *cameras: object, model: str | None = None, gear: str | None = None) -> list[str]:
        """Load model, series, rules and gear for the cameras; returns what that changed. See `provision.provision`."""
        return provisioning.provision(self.client, cameras=cameras or ("0",), model=model, gear=gear)

    def cameras(self) -> list[str]:
        """Ids of the cameras that the people counter is registered for."""
        return provisioning.known_cameras(self.client)

    def camera(self, camera: object = "0") -> Camera:
        """One camera: its frames, detections, errors, series and captures."""
        return Camera(self.client, schema.camera_id(camera), self._captures)

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

        return self._keep(CapturePanel(self, camera))

    def model_panel(self) -> ModelPanel:
        """Loads models, and sets the thresholds of the running gear."""
        from rededge_nb.widgets.model_panel import ModelPanel

        return self._keep(ModelPanel(self))

    def gear_panel(self, camera: object = "0") -> GearPanel:
        """Shows how the gears fare; registers the people counter for the camera, pauses and unregisters gears."""
        from rededge_nb.widgets.gear_panel import GearPanel

        return self._keep(GearPanel(self, camera))

    def dashboard(self, camera: object = "0") -> Dashboard:
        """All of it on one page; takes the place of an earlier dashboard of the same camera."""
        from rededge_nb.widgets.dashboard import Dashboard

        for widget in self._widgets:
            if isinstance(widget, Dashboard) and widget.camera == schema.camera_id(camera):
                widget.close()
        return self._keep(Dashboard(self, camera))

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

    def list(self) -> list[gears.Registration]:
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


class Camera:
    """One camera."""

    def __init__(self, client: redis.Redis, camera: str, running: list[captures.Capture]) -> None:
        self.id = camera
        self._client = client
        self._running = running

    def __repr__(self) -> str:
        return f"<Camera {self.id}: {self._client.xlen(schema.frames_key(self.id))} frames in its stream>"

    def capture(self, source: Any, **options: Unpack[captures.CaptureOptions]) -> captures.CaptureReport:
        """Add the frames of a source, and return when that has ended; options as of `capture.capture`."""
        options["camera"] = self.id
        return captures.capture(self._client, source, **options)

    def start_capture(self, source: Any, **options: Unpack[captures.CaptureOptions]) -> captures.Capture:
        """Add the frames of a source in the background; `close()` of the workbench stops it."""
        options["camera"] = self.id
        capture = captures.start_capture(self._client, source, **options)
        self._running.append(capture)
        return capture

    def own_captures(self) -> list[captures.Capture]:
        """The captures that this workbench began for the camera, oldest first; those that have ended as well."""
        return [capture for capture in list(self._running) if capture.report.camera == self.id]

    def ensure_detections(self, source: Any, *, seconds: float) -> str:
        """Capture some of a source unless a frame with detections is in the stream, so that there is something to see.

        Returns:
            A sentence that says which was the case.
        """
        try:
            latest = found.latest_detected_frame(self._client, self.id)[1]
        except NoDataError:
            return str(self.capture(source, seconds=seconds, pace="asap"))
        return f"camera {self.id} has detections already, the newest of {latest.time}"

    def latest(self) -> tuple[frames.Frame, found.Detections]:
        """The newest frame that has its detections, with these."""
        return found.latest_detected_frame(self._client, self.id)

    def frame(self, entry_id: str) -> frames.Frame:
        """The frame with this entry id; a detection's is its `ref`."""
        return frames.read_frame(self._client, self.id, entry_id)

    def recent(self) -> list[found.Detections]:
        """Detections of the frames that are still in the stream, oldest first."""
        oldest = streams.entries(self._client, schema.frames_key(self.id), count=1)
        if not oldest:
            return []
        first = oldest[0][0]
        # detections are younger than their frame, but some that are younger than this one belong to older frames
        later = found.read_detections(self._client, self.id, start=first)
        return [each for each in later if streams.id_order(each.ref) >= streams.id_order(first)]

    def recent_frames(self, count: int = 100) -> list[tuple[frames.Frame, found.Detections]]:
        """The newest frames that have detections, with these, oldest first: to keep, as frames leave their stream."""
        pairs = []
        for each in self.recent()[-count:]:
            with contextlib.suppress(NoDataError):  # it has left meanwhile
                pairs.append((self.frame(each.ref), each))
        return pairs

    def marker(self) -> summaries.Marker:
        """Now, to give to `summary` later."""
        return summaries.start_marker(self._client, self.id)

    def summary(self, since: summaries.Marker) -> summaries.Summary:
        """What became of the frames since a marker: how many, with how many people, in how much time."""
        return summaries.summarize(self._client, self.id, since)

    def detections(self, *, start: str = "-", end: str = "+", count: int | None = None) -> list[found.Detections]:
        """Detections whose own entry ids (not those of their frames) are in a range, oldest first."""
        return found.read_detections(self._client, self.id, start=start, end=end, count=count)

    def follow(self, *, seconds: float | None = None, frames: int | None = None) -> Iterator[found.Detections]:
        """Detections as they come, from this call on, for so many seconds or frames, whichever ends first."""
        return found.follow_detections(self._client, self.id, seconds=seconds, frames=frames)

    def errors(self) -> list[frames.FailedFrame]:
        """The frames that could not be processed, with the reasons."""
        return frames.read_errors(self._client, self.id)

    def series(self, name: str, **options: Any) -> time_series.Series:
        """One series, such as `people`, `in_fps`, `prf_model`; options as of `series.read_series`."""
        return time_series.read_series(self._client, self.id, name, **options)

    def many_series(self, names: Iterable[str], **options: Any) -> dict[str, time_series.Series]:
        """Several series at once, by name; options as of `series.read_many`."""
        return time_series.read_many(self._client, self.id, list(names), **options)
