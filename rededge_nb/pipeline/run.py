"""The notebooks as a pipeline: papermill runs them in order against one server, and a report is made of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis

from rededge_nb import assets, settings
from rededge_nb._version import __version__
from rededge_nb.assets import LINES_NOTEBOOK, NOTEBOOKS
from rededge_nb.connection import connect, shard_of
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision, read_settings, settings_key
from rededge_nb.edge import server
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ConfigurationError, GearError, NoDataError, PipelineError, SceneError
from rededge_nb.lease import hold_lease
from rededge_nb.pipeline.figures import recorded_in
from rededge_nb.pipeline.findings import Findings, read_findings
from rededge_nb.pipeline.notebook_pages import write_html
from rededge_nb.pipeline.report import as_table, write_index
from rededge_nb.pipeline.reserved import Reserved, reserved, say_wait
from rededge_nb.pipeline.run_end import TRIES, EndMessage, announce_end
from rededge_nb.pipeline.runs import RUN_FOLDER, SUMMARY, marked_as_running
from rededge_nb.reading.captures import find_captures
from rededge_nb.reading.summary import summarize
from rededge_nb.time_zones import find_zone, zone_name

logger = logging.getLogger(__name__)

CELL_TIMEOUT = 3600
"""Seconds that one cell may take."""
GEAR_SETTINGS = ("confidence", "iou")
"""Thresholds of the people counter that can be set for a run."""
SCHEMA_VERSION = 1
"""Of summary.json, as docs/reference/summary.md describes it. It increases when a name or a meaning changes."""
VERSIONS_OF = ("redis", "numpy", "opencv-python-headless", "onnxruntime", "papermill")


@dataclass(frozen=True)
class PipelineReport:
    """What a run left behind."""

    folder: Path
    index: Path
    summary: dict[str, Any]

    def table(self) -> str:
        """The figures as text."""
        return as_table(self.summary)


_Ended = tuple[PipelineReport, PipelineError | KeyboardInterrupt | None]
"""What an attempt left behind, and why it failed."""


def run_pipeline(
    *,
    directory: Path | None = None,
    video: Path | None = None,
    camera: str = "0",
    seconds: float | None = None,
    output: Path = Path("runs"),
    notebooks: Sequence[str | Path] = NOTEBOOKS,
    parameters: Mapping[str, object] | None = None,
    gear_settings: Mapping[str, object] | None = None,
    keep: int | None = None,
    timeout: float | None = None,
    retry: int = 0,
    notify: str | None = None,
    on: str = "failure",
    progress: bool = True,
) -> PipelineReport:
    """Run the notebooks in order; uses the running RedisEdge, or starts one and stops it afterwards.

    A run waits until other runs of the same camera have ended, and no other capture can feed the camera meanwhile.

    The notebook about lines and zones counts at those of the camera. For the sample video, two lines and a zone are
    drawn if the camera has none. With another video and without lines or zones, this notebook is left out.

    Args:
        directory: state folder of the instance; default: REDIS_URL, or the usual folder.
        video: video to count in; default: the bundled sample.
        camera: camera id.
        seconds: use only so many seconds of the video.
        output: folder in which a folder for this run is made.
        notebooks: names of our notebooks, or paths of others; each runs alone too.
        parameters: values for parameters of the notebooks, besides those above.
        gear_settings: thresholds of the people counter (`GEAR_SETTINGS`) during the run; they are set back afterwards.
        keep: remove all but so many of the newest runs from `output` afterwards.
        timeout: seconds after which a run fails; each attempt has so many, and so has the waiting for another run that
            uses the camera.
        retry: how often a run that fails is made again, each time with a folder of its own.
        notify: address that gets one message at the end, after the last attempt; see `rededge_nb.notify.one_address`.
            A message that cannot be sent is logged, and does not change the result.
        on: when it gets one: on `failure`, or `always`.
        progress: show progress bars.

    Returns:
        The run's folder, its index.html, and the content of its summary.json.

    Raises:
        PipelineError: a notebook failed, or somebody has ended a capture of the run; what was made so far, with a
            report that says so, is kept, as it is when the run is interrupted.
        WaitTimeoutError: another run has used the camera for longer than `timeout`.
        ServerError: no server could be started.
        ConfigurationError: the notebook tools are not installed, a notebook does not exist, none has a parameter, or
            the address cannot be used.
    """
    message = EndMessage(notify, on)
    with message.of_errors():
        files = [_notebook_file(each) for each in notebooks]
        check_parameters(files, parameters or {})
        thresholds = _checked_settings(gear_settings or {})
        shared: dict[str, Any] = {
            "camera": camera,
            "source": str((video or assets.sample_video()).resolve()),
            "seconds": seconds,
        }
        # nobody looks on, so that nothing need be played for the player and the charts
        shared |= {"pace": "asap", "live_minutes": 0, **(parameters or {})}
        with _server(directory):
            client = connect()
            try:
                with (
                    reserved(client, camera, timeout=timeout) as mine,
                    _gear_settings(client, camera, thresholds, timeout=timeout),
                ):
                    chosen = _with_something_to_count(client, camera, files, sample=video is None)
                    given = {**(parameters or {}), **thresholds}
                    report, failure = _run_with_retries(
                        client, output, shared, chosen, given, retry, mine, timeout=timeout, progress=progress
                    )
            finally:
                client.close()
                if keep is not None:
                    remove_old_runs(output.resolve(), keep=keep)
        message.send(report.summary, report.folder.name, tries=1 if isinstance(failure, KeyboardInterrupt) else TRIES)
        if isinstance(failure, PipelineError):
            # only here with the folder: the reason is also in the summary and in an event, which others may read
            raise PipelineError(f"{failure}; the folder of the run is {report.folder}") from failure
        if failure:
            raise failure
        return report


def _checked_settings(given: Mapping[str, object]) -> dict[str, float]:
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name not in GEAR_SETTINGS or not number or not 0 <= float(str(value)) <= 1:
            raise ConfigurationError(
                f"{name}={value} cannot be set for a run: the thresholds are {' and '.join(GEAR_SETTINGS)}, from 0 to 1"
            )
    return {name: float(str(value)) for name, value in given.items()}


@contextlib.contextmanager
def _gear_settings(
    client: redis.Redis, camera: str, thresholds: Mapping[str, float], *, timeout: float | None
) -> Iterator[None]:
    """Let the people counter use these thresholds; afterwards it has those of before.

    Runs of other cameras that set them, too, wait: the second one would keep those of the first as those of before.
    """
    if not thresholds:
        yield
        return
    wait = math.inf if timeout is None else timeout
    on_wait = partial(say_wait, "the thresholds of the people counter are set")
    with (
        shard_of(client, camera) as there,
        hold_lease(there, f"{settings_key(there)}:run", timeout=wait, on_wait=on_wait),
    ):
        provision(there, cameras=(camera,))  # or the notebooks would do it, and set the thresholds of the model's card
        key = settings_key(there)
        before = read_settings(there)
        with server_errors(there):
            there.hset(key, mapping={name: str(value) for name, value in thresholds.items()})
        try:
            yield
        finally:
            with server_errors(there):
                there.hset(key, mapping={name: before[name] for name in thresholds})


def _new_folder(output: Path) -> Path:
    folder = output.resolve() / time.strftime("%Y%m%d-%H%M%SZ", time.gmtime())
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True)  # it will contain pictures of people
        except FileExistsError:
            folder = folder.with_name(folder.name + "+")
        except OSError as error:
            raise ConfigurationError(f"the folder {folder} for the run cannot be made: {error}") from error
        else:
            return folder


def remove_old_runs(output: Path, *, keep: int) -> list[Path]:
    """Remove all but the newest runs from the folder that they were made in; returns those removed."""
    runs = sorted(path for path in output.iterdir() if RUN_FOLDER.fullmatch(path.name) and path.is_dir())
    old = runs[: max(0, len(runs) - keep)]
    for run in old:
        shutil.rmtree(run)
        logger.info("removed the old run %s", run)
    return old


def _run_with_retries(
    client: redis.Redis,
    output: Path,
    shared: dict[str, Any],
    notebooks: Sequence[Path],
    parameters: dict[str, object],
    retry: int,
    mine: Reserved,
    *,
    timeout: float | None,
    progress: bool,
) -> _Ended:
    """Attempts until one succeeds or was interrupted, or none is left; returns the last one."""
    for attempt in itertools.count(1):
        folder = _new_folder(output)
        with marked_as_running(folder):
            ended = _run(
                client, folder, shared, notebooks, parameters, attempt, mine, timeout=timeout, progress=progress
            )
        _, failure = ended
        if not isinstance(failure, PipelineError) or attempt > retry:
            return ended
        logger.warning("attempt %d of %d failed: %s", attempt, retry + 1, failure)
    raise AssertionError("there is always another number")


def _run(
    client: redis.Redis,
    folder: Path,
    shared: dict[str, Any],
    notebooks: Sequence[Path],
    parameters: dict[str, object],
    attempt: int,
    mine: Reserved,
    *,
    timeout: float | None,
    progress: bool,
) -> _Ended:
    """Make one attempt."""
    run = f"{folder.name}-{mine.token}"
    started, deadline = time.time(), None if timeout is None else time.monotonic() + timeout
    failure: PipelineError | KeyboardInterrupt | None = None
    steps: list[dict[str, Any]] = []
    for source in notebooks:
        name, began = source.stem, time.monotonic()
        try:
            with settings.run_set_to(run):
                _run_notebook(source, folder, shared, deadline, progress=progress)
        except PipelineError as error:
            failure = error
        except KeyboardInterrupt as interrupt:
            failure = interrupt
        outcome = "failed" if failure else "done"
        steps.append({"notebook": name, "outcome": outcome, "seconds": round(time.monotonic() - began, 1)})
        write_html(folder / f"{name}.ipynb")
        if failure:
            break
    figures, findings = _figures(client, shared["camera"], run, Path(shared["source"]))
    if failure is None and (problem := mine.problem(run)):
        failure = PipelineError(problem)
    summary = {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "time_zone": zone_name(find_zone()),
        "seconds": round(time.time() - started, 1),
        "outcome": "failed" if failure else "done",
        "error": (str(failure) or "interrupted") if failure else None,
        "attempt": attempt,
        "camera": shared["camera"],
        "source": Path(shared["source"]).name,
        "parameters": parameters,
        "notebooks": steps,
        **figures,
        "recorded": recorded_in(folder / f"{each.stem}.ipynb" for each in notebooks),
        "versions": _versions(client),
    }
    index = write_index(folder, summary, findings)
    # the summary comes last, because it says that the run has ended
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    announce_end(client, folder, summary)
    return PipelineReport(folder, index, summary), failure


def _with_something_to_count(
    client: redis.Redis, camera: str, notebooks: Sequence[Path], *, sample: bool
) -> Sequence[Path]:
    """The notebooks; that about lines and zones, unless it runs alone, only if the camera has some for the capture."""
    others = [each for each in notebooks if each.stem != LINES_NOTEBOOK]
    if not others or len(others) == len(notebooks):
        return notebooks
    scene = CameraScene(client, camera)
    drawn = scene.load()
    if drawn.lines or drawn.zones:
        return notebooks
    if not sample:
        logger.info("%s is left out: camera %s has no lines or zones", LINES_NOTEBOOK, camera)
        return others
    # those of the notebook, which would draw them after the video was counted
    scene.line("middle", (0.45, 0), (0.45, 1), forward="left", backward="right")
    scene.line("right", (0.73, 0), (0.73, 1), forward="left", backward="right")
    scene.zone("lawn", [(0.2, 0.45), (0.7, 0.45), (0.7, 1), (0.2, 1)])
    return notebooks


def _figures(client: redis.Redis, camera: str, run: str, source: Path) -> tuple[dict[str, Any], Findings | None]:
    """The figures of the captures that the run has made, and what they found out; nothing if it has made none."""
    try:
        with shard_of(client, camera) as there:
            captures = find_captures(there, camera, run=run)
            if not captures:
                return {}, None
            figures = summarize(there, camera, [each.capture for each in captures]).as_dict()
            try:
                findings = read_findings(there, camera, captures, source)
            except (GearError, SceneError) as error:
                # a gear or client of the user's may have written what cannot be read; the other figures are still right
                logger.warning("the report has no chart, peak and paths: %s", error)
                return figures, None
    except NoDataError:
        return {}, None  # there are no series
    return figures | (findings.as_dict() if findings else {}), findings


def _notebook_file(notebook: str | Path) -> Path:
    """The file of one of our notebooks, which nobody changes by working on a copy, or of a user's own."""
    path = Path(notebook)
    if path.suffix != ".ipynb":
        path = assets.folder("notebooks") / f"{notebook}.ipynb"
    if not path.is_file():
        known = ", ".join(each.stem for each in sorted(assets.folder("notebooks").glob("*.ipynb")))
        raise ConfigurationError(
            f"there is no notebook {notebook}: give the path of one (.ipynb), or one of the names {known}"
        )
    return path.resolve()


def check_parameters(notebooks: Sequence[Path], parameters: Mapping[str, object]) -> None:
    """Refuse parameters that none of the notebooks has.

    Raises:
        ConfigurationError: there is one, or a notebook cannot be run.
    """
    if not parameters:
        return
    known = {name for notebook in notebooks for name in _parameters_of(notebook)}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ConfigurationError(
            f"no notebook of this run has the parameter {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )


def _parameters_of(notebook: Path) -> Collection[str]:
    """Names of the parameters that a notebook has in its cell tagged `parameters`."""
    try:
        return list(_papermill().inspect_notebook(str(notebook)))
    except ValueError as error:
        raise ConfigurationError(
            f"{notebook} cannot be run ({error}): open it in JupyterLab, choose the kernel Python 3, and save it"
        ) from error


def _papermill() -> Any:
    try:
        import papermill
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"running notebooks needs {error.name}: pip install 'rededge_nb[notebooks]'"
        ) from error
    return papermill


def _run_notebook(
    source: Path, folder: Path, shared: dict[str, Any], deadline: float | None, *, progress: bool
) -> None:
    papermill = _papermill()
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    name = source.stem
    target = folder / f"{name}.ipynb"
    known = _parameters_of(source)
    parameters = {key: value for key, value in shared.items() if key in known and value is not None}
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=parameters,
            cwd=str(source.parent),
            progress_bar={"desc": name} if progress else False,
            execution_timeout=CELL_TIMEOUT if deadline is None else _seconds_left(deadline, name),
            kernel_name="python3",
            # ipykernel warns at each start that its messages to this process, over loopback, are not encrypted, and
            # shows tracebacks of its own when a run is interrupted; what goes wrong in a cell comes another way
            extra_arguments=["--log-level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as error:
        raise PipelineError(
            f"{name}, cell {error.exec_count}: {error.ename}: {error.evalue} (all of it in {target.name})"
        ) from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise PipelineError(f"{name}: {error} (what there is of it is in {target.name})") from error


def _seconds_left(deadline: float, name: str) -> int:
    """Whole seconds that a cell may take: the rest of the time of the run."""
    left = deadline - time.monotonic()
    if left < 1:
        raise PipelineError(f"{name} was not run: the time of the run (--timeout) was over")
    return min(CELL_TIMEOUT, math.ceil(left))


@contextlib.contextmanager
def _server(directory: Path | None) -> Iterator[None]:
    """A server that the kernels find as this process does, through the environment."""
    if directory is None and settings.redis_url():
        yield
        return
    folder = StateFolder(directory or settings.state_dir())
    folder.create()
    started = False
    try:
        with folder.use(), settings.state_dir_set_to(folder.path):
            started = server.find(folder.path) is None
            # even if this process is killed, what it started ends
            server.start(folder.path, while_used=True)
            yield
    finally:
        if started and not folder.used():
            server.stop(folder.path)


def _versions(client: redis.Redis) -> dict[str, str]:
    info: Any = client.info("server")
    versions = {"rededge_nb": __version__, "python": platform.python_version()}
    versions |= {"redis-server": str(info["redis_version"])}
    return versions | {name: version(name) for name in VERSIONS_OF}
