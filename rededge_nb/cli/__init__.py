"""The command line: a thin layer over the functions of the package. Do not import from here."""

from __future__ import annotations

import click

from rededge_nb._version import __version__
from rededge_nb.cli import (
    base,
    cameras,
    checks,
    clips,
    events,
    export,
    gears,
    models,
    notify,
    pages,
    pipeline,
    redis_command,
    scene,
    score,
    server,
)

__all__ = ["main"]

EPILOG = """\b
Examples:
  rededge up --detach                      start the server
  rededge init                             store the model, create the series, register the gear
  rededge capture video.mp4 --camera 0     add frames
  rededge top                              show the cameras' figures
  rededge web                              show the video with boxes in a browser
  rededge pipeline run                     run the notebooks as a pipeline
  rededge down                             stop the server
  rededge doctor                           check the installation if something does not work

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server runs, 4 the gear refused some frames,
130 interrupted.
REDEDGE_DIR names the state folder. If REDIS_URL is set, all commands use that server.
`rededge COMMAND --help` has examples; `rededge completion bash` completes commands with the Tab key."""


@click.group(cls=base.Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="rededge")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Run RedisEdge: a real Redis with time series, AI.* and RG.* commands, and a gear that counts people."""


for command in (
    *(server.up, server.down, server.repair, server.status, server.url, server.worker, server.module),
    redis_command.redis,
    *(cameras.init, cameras.capture, cameras.cameras, cameras.top, scene.scene, events.events, clips.clip, clips.clips),
    *(gears.gears, models.models, pipeline.pipeline, notify.notify),
    *(pages.web, pages.lab, pages.notebooks, pages.dashboard),
    *(export.export, score.score, checks.doctor, checks.completion),
):
    main.add_command(command)
