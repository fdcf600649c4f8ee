"""Cameras: init, capture, cameras, top."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from rededge_nb import assets
from rededge_nb.capture.options import OPTIONS, CaptureOptions, Option, settings_of
from rededge_nb.cli.base import (
    EXIT_INCOMPLETE,
    connected,
    device_option,
    directory_option,
    echo,
    echo_json,
    end_like_ctrl_c,
    examples,
    json_option,
)
from rededge_nb.edge.processes import on_signals
from rededge_nb.errors import ConfigurationError

if TYPE_CHECKING:
    import redis

    from rededge_nb.capture.report import CaptureReport


@click.command(
    epilog=examples(
        "rededge init",
        "rededge init --camera door --camera yard",
        "rededge init --gear my/counter.py --model my/model.yaml",
        f"rededge init --gear {assets.PEOPLE_COUNTER} --model {assets.DEFAULT_MODEL}",
        "rededge init --device cuda:0",
    ),
)
@directory_option
@click.option("--camera", "cameras", multiple=True, default=("0",), show_default=True, help="May be repeated.")
@click.option("--model", help=f"Bundled model, or a card's path; default: your own, or {assets.DEFAULT_MODEL}.")
@click.option("--gear", help=f"Bundled gear, or a script's path; default: your own, or {assets.PEOPLE_COUNTER}.")
@device_option
@json_option
def init(
    directory: Path | None,
    cameras: tuple[str, ...],
    model: str | None,
    gear: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Load model, series, compaction rules and gear. Again: changes nothing, or upgrades what was edited.

    A model or gear that you gave stays, for cameras that come later too, until another is given.
    """
    from rededge_nb.control.provision import provision

    with connected(directory) as client:
        changes = provision(client, cameras=cameras, model=model, gear=gear, device=device)
    if as_json:
        echo_json({"changes": changes})
    else:
        echo("\n".join(changes) if changes else "everything is there already")


def capture_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of a capture, as `Settings` declares them."""
    for option in reversed(OPTIONS):
        flag = f"--{option.name.replace('_', '-')}"
        if option.kind == "switch":
            add = click.option(flag, is_flag=True, help=option.help)
        else:
            shown = option.default is not None
            add = click.option(
                flag, type=_click_type(option), default=option.default, show_default=shown, help=option.help
            )
        command = add(command)
    return command


def _click_type(option: Option) -> click.ParamType[Any]:
    match option.kind:
        case "number":
            return click.FloatRange(0, option.highest, min_open=True)
        case "whole number":
            return click.IntRange(1, option.highest)
        case "choice":
            return click.Choice(option.choices)
        case _:
            return click.STRING


@click.command(
    epilog=examples(
        "rededge capture walking.mp4 --pace asap",
        "rededge capture 0 --fps 10 --seconds 60 --camera desk --flip",
        "rededge capture rtsp://192.168.1.20/stream1 --camera door --size 1280x720",
        "rededge capture synthetic:people=5,fps=25",
        "rededge capture cameras.yaml",
        "rededge capture --stop door",
    )
)
@click.argument("source", required=False)
@directory_option
@capture_options
@click.option(
    "--stop", "stop_camera", metavar="CAMERA", help="End the capture that feeds this camera, and nothing else."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and no progress.")
@click.pass_context
def capture(
    context: click.Context,
    /,
    source: str | None,
    directory: Path | None,
    stop_camera: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Add the frames of SOURCE to a camera's stream, until it ends or Ctrl-C.

    SOURCE is a video file; the number of a webcam; an address (rtsp:, http:); an image, a folder of images or a quoted
    pattern; a drawn scene (synthetic:); or a YAML file with several cameras, each with options of its own.

    `--pace asap` waits for the gear, so that every frame is processed; `realtime` plays at the source's speed, and the
    gear drops what it has no time for. One capture feeds a camera at a time: a second one is refused, or takes its
    place with --replace.
    """
    if (source is None) == (stop_camera is None):
        raise click.UsageError("give a SOURCE, or --stop CAMERA")
    stop = threading.Event()
    on_signals(stop.set)
    with connected(directory) as client:
        if source is None:
            echo(_stop(client, str(stop_camera)))
            return
        several = source.lower().endswith((".yaml", ".yml"))
        if several:
            _only_seconds_given(context)
            reports = _capture_file(client, source, seconds=options["seconds"], stop=stop)
        else:
            reports = [_capture_one(client, source, stop=stop, quiet=as_json, **options)]
    as_dicts = [asdict(report) | {"fps": report.fps} for report in reports]
    if as_json:
        echo_json(as_dicts if several else as_dicts[0])
    else:
        echo("\n".join(map(str, reports)))
    for report in reports:
        for problem in report.problems:
            echo(f"rededge: camera {report.camera}: {problem}", err=True)
    if any(report.refused for report in reports):
        context.exit(EXIT_INCOMPLETE)


def _stop(client: redis.Redis, camera: str) -> str:
    """End the capture of a camera; says what became of it."""
    from rededge_nb.capture.feeding import end_capture
    from rededge_nb.connection import shard_of

    with shard_of(client, camera) as there:
        ended = end_capture(there, camera, "ended by `rededge capture --stop`")
    return f"the capture of {ended} has ended, after {ended.frames} frames"


def _provision(client: redis.Redis, cameras: list[str]) -> None:
    """Provision the cameras; a user who may only capture can do without that if somebody else has done it.

    Raises:
        ConfigurationError: a camera is new, and the user of Redis may not provision it.
    """
    import redis

    from rededge_nb.control.provision import known_cameras, provision

    try:
        for change in provision(client, cameras=cameras):
            echo(change, err=True)
    except redis.exceptions.NoPermissionError as error:
        new = sorted({*cameras} - {*known_cameras(client)})
        if new:
            options = " ".join(f"--camera {camera}" for camera in new)
            raise ConfigurationError(
                f"there is no camera {', '.join(new)} yet, and this user of Redis may not add one ({error}): run "
                f"`rededge init {options}` as a user who may"
            ) from error


def _capture_one(
    client: redis.Redis, source: str, *, stop: threading.Event, quiet: bool, **options: Unpack[CaptureOptions]
) -> CaptureReport:
    from tqdm import tqdm

    from rededge_nb.capture.capturing import open_for_capture
    from rededge_nb.capture.run import capture as run_capture

    settings = settings_of(options)
    with (
        open_for_capture(client, source, settings, stop) as opened,
        tqdm(unit=" frames", disable=quiet or not sys.stderr.isatty()) as bar,
    ):
        _provision(client, [settings.camera])

        def advance(done: int, expected: int | None) -> None:
            bar.total = expected
            bar.update(done - bar.n)

        options["progress"] = advance
        return run_capture(client, opened, stop=stop, **options)


def _capture_file(
    client: redis.Redis, path: str, *, seconds: float | None, stop: threading.Event
) -> list[CaptureReport]:
    from rededge_nb.capture.cameras import CameraState, capture_cameras, read_cameras

    def tell(state: CameraState) -> None:
        echo(f"camera {state.camera}: {state.state}{f', {state.problem}' if state.problem else ''}", err=True)

    _provision(client, [each.camera for each in read_cameras(path)])
    return capture_cameras(client, path, seconds=seconds, stop=stop, on_change=tell)


def _only_seconds_given(context: click.Context) -> None:
    """Refuse options that each camera has for itself."""
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        # --wait has no effect: the cameras of a file are always waited for
        if given and name not in ("source", "directory", "seconds", "wait", "as_json"):
            raise click.UsageError(
                f"{parameter.opts[0]} is an option of each camera: write it into the file, as `{name}:`"
            )


@click.command(epilog=examples("rededge cameras", "rededge cameras --json | jq '.cameras[].capture.source'"))
@directory_option
@json_option
def cameras(directory: Path | None, as_json: bool) -> None:
    """List the cameras: what feeds each of them, since when, and their rates.

    fps are the frames per second that the capture adds; in/s and out/s are those that the gear reads, and in which it
    counts people.
    """
    from rededge_nb.monitoring.cameras import as_table, list_cameras

    with connected(directory) as client:
        found = list_cameras(client)
    if as_json:
        echo_json({"cameras": [each.as_dict() for each in found]})
    else:
        echo(as_table(found))


@click.command(
    epilog=examples(
        "rededge top",
        "rededge top --camera door --window 60",
        "rededge top --once --json | jq '.cameras[] | {camera, out_fps}'",
    ),
)
@directory_option
@click.option("--camera", "cameras", multiple=True, help="Show only this camera; may be repeated.")
@click.option(
    "--window",
    type=click.IntRange(1, 3600),
    default=5,
    show_default=True,
    help="Seconds to average over.",
)
@click.option(
    "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between two tables."
)
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line each time.")
def top(
    directory: Path | None, cameras: tuple[str, ...], window: int, interval: float, once: bool, as_json: bool
) -> None:
    """Show a live table of the cameras: frames in and out, drops, people, milliseconds per step, latency.

    in/s are the frames that the gear reads, out/s the frames in which it counts people. It drops frames when newer
    ones wait, and fails on images that it cannot decode. "seen" are those who were seen for the first time today.
    For a video that is counted with --pace asap the figures are those at the position that is shown, and "seen" those
    of the whole video; when it has ended, the last ones. Ctrl-C ends the command. In a pipe each table is appended.
    """
    from rededge_nb.monitoring.top import watch

    end_like_ctrl_c()
    with connected(directory) as client:
        watch(
            client,
            cameras=list(cameras) or None,
            window=window,
            interval=interval,
            count=1 if once else None,
            as_json=as_json,
            stream=sys.stdout,
        )
