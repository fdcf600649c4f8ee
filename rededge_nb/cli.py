"""The command line: a thin skin over the package's functions. Nothing here is meant to be imported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rededge_nb import assets, settings
from rededge_nb._version import __version__
from rededge_nb.edge import server
from rededge_nb.edge.state import Instance, StateFolder
from rededge_nb.errors import ConfigurationError, RedEdgeError

EXIT_FAILED = 1
"""What was asked for could not be done."""
EXIT_NOT_RUNNING = 3
"""No RedisEdge runs in the state folder."""

EPILOG = """\b
Exit codes: 0 done, 1 could not be done, 2 wrong use, 3 no RedisEdge runs there.
REDEDGE_DIR names the state folder; REDIS_URL makes everything use an existing server instead."""


class Group(click.Group):
    """Shows the package's own errors in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RedEdgeError as error:
            click.echo(f"rededge: {error}", err=True)
            ctx.exit(EXIT_FAILED)


directory_option = click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="State folder of the instance."
)
camera_option = click.option("--camera", default="0", show_default=True, help="Camera id, as in the key camera:<id>.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="rededge")
def main() -> None:
    r"""RedisEdge on your machine: a real Redis with time series, AI.* and RG.*, and a gear that counts people.

    \b
    rededge up --detach                      start the server
    rededge init                             load the model, make the series, register the gear
    rededge capture video.mp4 --camera 0     add frames
    rededge pipeline run                     run the notebooks as a pipeline
    rededge down                             stop the server
    """


@main.command()
@directory_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port on 127.0.0.1; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--detach", is_flag=True, help="Return when it is ready, and leave it running.")
def up(directory: Path | None, port: int, workers: int, detach: bool) -> None:
    """Start the embedded RedisEdge; Ctrl-C ends it, or `rededge down` when detached."""
    if directory is None and settings.redis_url():
        raise ConfigurationError(
            "REDIS_URL is set, so everything uses that server: unset it to start one here, or name a folder with --dir"
        )
    if detach:
        _say_where(server.start(directory, port=port, workers=workers))
        return
    supervisor = server.run(directory, port=port, workers=workers)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.run(_say_where)


@main.command()
@directory_option
def down(directory: Path | None) -> None:
    """Stop the embedded RedisEdge; its data stays."""
    click.echo("stopped" if server.stop(directory) else "not running")


@main.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: Path | None, as_json: bool) -> None:
    """Tell what runs, and how it fares."""
    from rededge_nb.status import server_status

    facts = server_status(*_server(directory))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {value}")


@main.command()
@directory_option
@click.option("--tcp", is_flag=True, help="The address on 127.0.0.1 instead of the unix socket's.")
def url(directory: Path | None, tcp: bool) -> None:
    """Print the server's address, password included, for REDIS_URL or `redis-cli -u`."""
    address, instance = _server(directory)
    click.echo(instance.tcp_url if tcp and instance else address)


@main.command()
@directory_option
@click.option("--camera", "cameras", multiple=True, default=("0",), show_default=True, help="May be given again.")
@click.option("--model", default=assets.DEFAULT_MODEL, show_default=True, help="Bundled model, or a card's path.")
@click.option("--gear", default=assets.PEOPLE_COUNTER, show_default=True, help="Bundled gear, or a script's path.")
def init(directory: Path | None, cameras: tuple[str, ...], model: str, gear: str) -> None:
    """Load model, series, compaction rules and gear. Again: changes nothing, or upgrades what was edited."""
    from rededge_nb.connection import connect
    from rededge_nb.provision import provision

    changes = provision(connect(directory=directory), cameras=cameras, model=model, gear=gear)
    click.echo("\n".join(changes) if changes else "everything is there already")


@main.command()
@click.argument("source")
@directory_option
@camera_option
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frames per second; default: the source's own.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop after this long.")
@click.option("--loop", is_flag=True, help="Begin again at the end of a file or folder.")
@click.option("--pace", type=click.Choice(["realtime", "asap"]), default="realtime", show_default=True)
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="JPEG quality.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and no progress.")
def capture(source: str, directory: Path | None, camera: str, as_json: bool, **options: Any) -> None:
    r"""Add the frames of SOURCE to a camera's stream.

    SOURCE is a video file, the number of a webcam, or a folder of pictures. `--pace asap` waits for the gear, so that
    every frame is processed; `realtime` plays at the source's speed, and the gear drops what it has no time for.

    \b
    rededge capture walking.mp4 --pace asap
    rededge capture 0 --fps 10 --seconds 60 --camera desk
    """
    from tqdm import tqdm

    from rededge_nb.capture import capture as run_capture
    from rededge_nb.connection import connect
    from rededge_nb.provision import provision
    from rededge_nb.sources import open_source

    client = connect(directory=directory)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    opened = open_source(source, fps=options.pop("fps"), loop=options.pop("loop"))
    quiet = as_json or not sys.stderr.isatty()
    with opened, tqdm(unit=" frames", disable=quiet) as bar:
        for change in provision(client, cameras=[camera]):
            click.echo(change, err=True)

        def advance(done: int, expected: int | None) -> None:
            bar.total = expected
            bar.update(done - bar.n)

        report = run_capture(client, opened, camera=camera, stop=stop, progress=advance, **options)
    click.echo(json.dumps(asdict(report) | {"fps": report.fps}) if as_json else str(report))


@main.group()
def pipeline() -> None:
    """The notebooks as a pipeline."""


@pipeline.command("run")
@directory_option
@click.option("--video", type=click.Path(exists=True, path_type=Path), help="Video to count in; default: the sample.")
@camera_option
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Use only this much of the video.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"), show_default=True
)
def pipeline_run(directory: Path | None, video: Path | None, camera: str, seconds: float | None, output: Path) -> None:
    """Run the notebooks in order, each saved as .ipynb and HTML, with summary.json and index.html."""
    from rededge_nb.pipeline import run_pipeline

    report = run_pipeline(directory=directory, video=video, camera=camera, seconds=seconds, output=output)
    click.echo(report.table())
    click.echo(f"\nreport: {report.index}")


@main.command(context_settings={"ignore_unknown_options": True})
@directory_option
@click.argument("jupyter_options", nargs=-1, type=click.UNPROCESSED)
def lab(directory: Path | None, jupyter_options: tuple[str, ...]) -> None:
    """Start JupyterLab on the notebooks, with RedisEdge running for as long as it does.

    Options after `--` go to JupyterLab: `rededge lab -- --no-browser`.
    """
    folder = StateFolder(directory or settings.state_dir())
    folder.create()
    with folder.use():
        _say_where(server.start(directory, while_used=True))
        command = [sys.executable, "-m", "jupyterlab", str(assets.folder("notebooks")), *jupyter_options]
        sys.exit(subprocess.call(command))


@main.command()
def module() -> None:
    """Print the redis.conf line that loads the edge module into a server of your own."""
    from rededge_nb.edge.binaries import built_switchboard
    from rededge_nb.edge.redis_process import quoted
    from rededge_nb.edge.switchboard import module_arguments

    click.echo(" ".join(["loadmodule", *(quoted(word) for word in (built_switchboard(), *module_arguments()))]))


def _server(directory: Path | None) -> tuple[str, Instance | None]:
    """The address to use, and the instance behind it unless it is a server that REDIS_URL names."""
    existing = settings.redis_url()
    if directory is None and existing:
        return existing, None
    instance = server.find(directory)
    if instance is None:
        click.echo("not running: start it with `rededge up --detach`", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    return instance.url, instance


def _say_where(instance: Instance) -> None:
    click.echo(
        f"RedisEdge is ready on 127.0.0.1:{instance.port} and {instance.socket} (`rededge url` has the password)"
    )


if __name__ == "__main__":
    main()
