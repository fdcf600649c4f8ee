"""The one object that a notebook holds."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import redis

from rededge_nb import assets, schema, settings
from rededge_nb.addresses import shown_address
from rededge_nb.camera import Camera
from rededge_nb.capture.captures import Captures
from rededge_nb.connection import connect, shard_of
from rededge_nb.control import executions, gears, models
from rededge_nb.control import provision as provisioning
from rededge_nb.edge import server
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.history import simulation
from rededge_nb.pipeline.runs import Runs, read_runs
from rededge_nb.time_zones import find_zone, midnight_ms

if TYPE_CHECKING:
    from rededge_nb.control.model_import import ImportedModel
    from rededge_nb.notify.background import BackgroundNotifier
    from rededge_nb.pipeline.model_comparison import ModelComparison
    from rededge_nb.widgets.capture_panel import CapturePanel
    from rededge_nb.widgets.charts import Charts
    from rededge_nb.widgets.dashboard import Dashboard
    from rededge_nb.widgets.event_panel import EventPanel
    from rededge_nb.widgets.gear_panel import GearPanel
    from rededge_nb.widgets.model_panel import ModelPanel
    from rededge_nb.widgets.player import Player


class _Closable(Protocol):
    def close(self) -> None: ...


_Widget = TypeVar("_Widget", bound=_Closable)


class Workbench:
    """Models, gears and cameras of one RedisEdge.

    It connects to REDIS_URL if that is set, else to the server that runs in the state folder. If none runs, it starts
    one, which ends by itself some seconds after the last workbench that uses it was closed or its kernel ended.

    Args:
        url: Address of a server, instead of the above.
        directory: State folder, instead of REDEDGE_DIR or the user's own.

    Attributes:
        client: The Redis client (bytes replies), for any command.
        models: The models in the server.
        gears: The registered gears.
        executions: The runs of gears.

    Raises:
        ServerUnavailableError: the server at the address does not answer.
        MissingModuleError: it lacks RedisTimeSeries or the edge module.
        ServerError: no server runs, and none could be started.
    """

    def __init__(self, url: str | None = None, *, directory: Path | None = None) -> None:
        self._resources = contextlib.ExitStack()
        self._directory = directory or settings.state_dir()
        self._widgets: list[_Closable] = []
        if url is None and (directory is not None or settings.redis_url() is None):
            folder = StateFolder(directory or settings.state_dir())
            folder.create()
            self._resources.enter_context(folder.use())
            url = server.start(folder.path, while_used=True).url
        self.client: redis.Redis = connect(url)
        self._resources.callback(self.client.close)
        self._captures = Captures(self.client)
        self._address = shown_address(url or str(settings.redis_url()))
        self.models = Models(self.client)
        self.gears = Gears(self.client)
        self.executions = Executions(self.client)

    def __repr__(self) -> str:
        return f"<Workbench on {self._address}: cameras {', '.join(self.cameras()) or 'none yet'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the widgets, stop the captures, and release the server; may be called again."""
        while self._widgets:
            self._widgets.pop().close()
        self._captures.close()
        self._resources.close()

    def provision(
        self, *cameras: object, model: str | None = None, gear: str | None = None, device: str | None = None
    ) -> list[str]:
        """Prepare the server for cameras: store the model, create their time series, register the people counter.

        What is there already stays. `device` says where the workers run the model: "cpu", or "cuda:0" for a GPU of
        NVIDIA. Returns what was changed, a sentence each; see `control.provision.provision`.
        """
        return provisioning.provision(self.client, cameras=cameras or ("0",), model=model, gear=gear, device=device)

    def cameras(self) -> list[str]:
        """Ids of the cameras for which the people counter is registered."""
        return provisioning.known_cameras(self.client)

    def camera(self, camera: object = "0") -> Camera:
        """One camera: its frames, detections, errors, series and captures."""
        return Camera(self.client, camera, self._captures)

    def simulate(self, camera: object = "simulated", *, days: int = 14, seed: int = 1, step: int = 10) -> Camera:
        """Fill a camera with visitors of a shop in the last days, to try questions about a longer time.

        There are people, crossings, stays and paths, as if the people counter had run, but no frames. An earlier
        simulation of this camera is replaced. Days begin at midnight in the time zone of this computer.

        Args:
            camera: Id of a camera that has no frames.
            days: Number of whole days, the last of which was yesterday.
            seed: The same seed gives the same visitors.
            step: Seconds between two samples of how many people are in view.

        Raises:
            ConfigurationError: the camera has frames, so it is a real one.
        """
        zone = find_zone()
        first = datetime.now(zone).date() - timedelta(days=days)
        visitors = simulation.simulate(midnight_ms(first, zone), days, seed=seed, zone=zone)
        with shard_of(self.client, camera) as there:
            simulation.write_simulation(there, camera, visitors, step_s=step)
        return self.camera(camera)

    def runs(self, output: str | Path = "runs") -> Runs:
        """The runs of the pipeline in a folder, the newest first, as a table; `compare` and `plot` compare them.

        Raises:
            NoDataError: there is no such folder.
        """
        return read_runs(Path(output))

    def settings(self) -> dict[str, str]:
        """Settings of the people counter: model key, input size, thresholds."""
        return provisioning.read_settings(self.client)

    def player(self, camera: object = "0", *, boxes: bool = True, labels: bool = True, trails: bool = True) -> Player:
        """Live video of a camera, with its people drawn on it, and where they have walked."""
        from rededge_nb.widgets.player import Player

        return self._keep(Player(self.client, camera, boxes=boxes, labels=labels, trails=trails))

    def capture_panel(self, camera: object = "0") -> CapturePanel:
        """Controls that start and stop a capture."""
        from rededge_nb.widgets.capture_panel import CapturePanel

        return self._keep(CapturePanel(self.client, self._captures, camera))

    def model_panel(self) -> ModelPanel:
        """Controls that load models and set the thresholds of the people counter."""
        from rededge_nb.widgets.model_panel import ModelPanel

        return self._keep(ModelPanel(self.client))

    def gear_panel(self, camera: object = "0") -> GearPanel:
        """A table of the gears, and controls that register, pause and unregister them."""
        from rededge_nb.widgets.gear_panel import GearPanel

        return self._keep(GearPanel(self.client, camera))

    def dashboard(self, camera: object = "0") -> Dashboard:
        """Video, charts and all controls on one page. It replaces an earlier dashboard of the same camera."""
        from rededge_nb.widgets.dashboard import Dashboard

        for widget in self._widgets:
            if isinstance(widget, Dashboard) and widget.camera == schema.camera_id(camera):
                widget.close()
        return self._keep(Dashboard(self.client, self._captures, camera, directory=self._directory))

    def events(self, camera: object | None = None) -> EventPanel:
        """Events and active alarms of all cameras, or of one, as they arrive. A click shows the frame or the clip."""
        from rededge_nb.widgets.event_panel import EventPanel

        return self._keep(EventPanel(self.client, camera, self._directory))

    def notifier(self, config: str | Path | dict[str, object]) -> BackgroundNotifier:
        """Send events to webhooks, MQTT brokers and chats, until it or the workbench is closed.

        Args:
            config: Path of a YAML file, or what one contains; see the how-to "Get notified".

        Raises:
            ConfigurationError: The configuration is wrong.
        """
        from rededge_nb.notify.background import BackgroundNotifier

        return self._keep(BackgroundNotifier(self.client, config))

    def charts(self, camera: object = "0", *, minutes: float = 5.0) -> Charts:
        """Live charts of a camera's last minutes: people, frames per second, milliseconds per step."""
        from rededge_nb.widgets.charts import Charts

        return self._keep(Charts(self.client, camera, minutes=minutes))

    def _keep(self, widget: _Widget) -> _Widget:
        self._widgets.append(widget)
        return widget


class Models:
    """The models in the server: see `Workbench.models`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def card(self, name: str = assets.DEFAULT_MODEL) -> models.ModelCard:
        """The card of a model: a bundled one by its name, any other by the path of its card."""
        return models.load_card(assets.model_card_file(name))

    def cards(self) -> list[models.ModelCard]:
        """The cards of all bundled models; the default one is the first."""
        names = sorted(assets.bundled_models(), key=lambda name: (name != assets.DEFAULT_MODEL, name))
        return [self.card(name) for name in names]

    def import_file(
        self,
        file: str | Path,
        *,
        use: bool = False,
        image: str | Path | None = None,
        output: str | Path | None = None,
        device: str | None = None,
        **options: Any,
    ) -> ImportedModel:
        """Import a detector from an ONNX file as an exporter wrote it; print the result to see what was recognised.

        Args:
            file: The ONNX file. The model and its card are written beside it: NAME.rededge.onnx and NAME.yaml.
            use: Store the model and let the people counter use it.
            image: An image file to try it on; it is written with boxes to NAME.try.jpg.
            output: Another folder to write to.
            device: With `use`, where the workers run it: "cpu", or "cuda:0" for a GPU of NVIDIA.
            options: What is not to be found out, the fields of `ImportOptions`: `name`, `layout`, `classes`, `count`,
                `plural`, `size_wh`, `colour`, `scale`, `resize`, `confidence`, `iou`, `summary`, `licence`, `origin`.

        Raises:
            ModelImportError: The file is damaged, its layout is not known, or what the model finds is not plausible.
            ModelError: The server refuses the model; the people counter keeps the one that it has.
        """
        from rededge_nb.control.model_import import ImportOptions
        from rededge_nb.own_models import import_file

        return import_file(
            Path(file),
            ImportOptions.of(options),
            output=None if output is None else Path(output),
            image=None if image is None else Path(image),
            use_in=self._client if use else None,
            device=device,
        )

    def compare(
        self,
        first: str | Path,
        second: str | Path,
        video: str | Path,
        *,
        truth: str | Path | None = None,
        frames: int | None = None,
    ) -> ModelComparison:
        """Run two models on the same frames, in this process; the result has a table, a chart and images.

        Args:
            first: A bundled model by its name, any other by the path of its card.
            second: The same.
            video: A video, an image or a folder of images.
            truth: A file with labels, as `rededge score` reads it.
            frames: Use this many frames; default: all.
        """
        from rededge_nb.pipeline.model_comparison import compare_models

        labels = None if truth is None else Path(truth)
        return compare_models(self.card(str(first)), self.card(str(second)), video, truth=labels, frames=frames)

    def store(self, card: models.ModelCard, device: str | None = None) -> bool:
        """Store a card's model, for the device "cpu" or "cuda:0"; False if it is there already."""
        return models.store_model(self._client, card, device)

    def list(self) -> list[models.StoredModel]:
        """All models, by key."""
        return models.list_models(self._client)

    def remove(self, key: str) -> None:
        """Delete a model."""
        models.remove_model(self._client, key)


class Gears:
    """The registered gears: see `Workbench.gears`.

    Where a name is asked for, it is the id of a registration, or of a session, which stands for all its registrations.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def script(self, name: str = assets.PEOPLE_COUNTER) -> str:
        """The text of a bundled gear."""
        return gears.read_script(assets.gear_file(name))

    def register(self, script: str | Path, *, session: str, description: str = "") -> None:
        """Register a gear, given as text or file. It replaces what the session had registered before.

        A gear that deletes the frames or detections of a camera causes a warning.
        """
        if isinstance(script, Path):
            gears.register_gear_file(self._client, script, session=session, description=description)
        else:
            gears.register_gear(self._client, script, session=session, description=description)
        for warning in gears.trimming_warnings(self._client, session):
            warnings.warn(warning.removeprefix("warning: "), stacklevel=2)

    def list(self, name: str | None = None) -> list[gears.RegistrationInfo]:
        """All registrations by stream, or those of this name."""
        found = gears.list_registrations(self._client)
        return found if name is None else [each for each in found if name in (each.id, each.session)]

    def unregister(self, name: str) -> None:
        """Remove registrations; the batch in progress is finished."""
        self._for_each(name, gears.unregister_gear)

    def pause(self, name: str) -> None:
        """Pause registrations: they finish the batch in progress, then their streams fill."""
        self._for_each(name, gears.pause_gear)

    def unpause(self, name: str) -> None:
        """Let paused registrations continue where they stopped."""
        self._for_each(name, gears.unpause_gear)

    def _for_each(self, name: str, action: Callable[[redis.Redis, str], None]) -> None:
        for registration in gears.find_registrations(self._client, name):
            action(self._client, registration.id)


class Executions:
    """The runs of gears: see `Workbench.executions`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def start(self, script: str) -> str:
        """Start a gear script that ends in `run()`, without waiting for its end; returns the id of its execution."""
        return executions.start_script(self._client, script)

    def list(self) -> list[executions.Execution]:
        """The executions that run or are remembered."""
        return executions.list_executions(self._client)

    def get(self, execution_id: str) -> executions.ExecutionDetails:
        """How an execution went, or goes."""
        return executions.read_execution(self._client, execution_id)

    def results(self, execution_id: str) -> executions.ExecutionResults:
        """Results of an execution; waits for its end."""
        return executions.read_results(self._client, execution_id)

    def abort(self, execution_id: str) -> None:
        """Interrupt an execution, and wait until it has ended."""
        executions.abort_execution(self._client, execution_id)

    def drop(self, execution_id: str) -> None:
        """Forget an execution that has ended."""
        executions.drop_execution(self._client, execution_id)
