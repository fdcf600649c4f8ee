"""The command line: a thin skin over the package's functions. Nothing here is meant to be imported."""

from __future__ import annotations

import click

from rededge_nb._version import __version__
from rededge_nb.cli import base, cameras, checks, gears, models, pages, pipeline, redis_command, server

__all__ = ["main"]

EPILOG = """\b
Examples:
  rededge up --detach                      start the server
  rededge init                             load the model, make the series, register the gear
  rededge capture video.mp4 --camera 0     add frames
  rededge top                              watch the cameras' figures
  rededge web                              the video with its boxes in a browser
  rededge pipeline run                     run the notebooks as a pipeline
  rededge down                             stop the server
  rededge doctor                           check the installation, when something does not work

\b
Exit codes: 0 done, 1 could not be done, 2 wrong use, 3 no server runs there, 130 interrupted.
REDEDGE_DIR names the state folder; REDIS_URL makes everything use an existing server instead.
`rededge COMMAND --help` has examples; `rededge completion bash` makes the Tab key know it all."""


@click.group(cls=base.Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="rededge")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """RedisEdge on your machine: a real Redis with time series, AI.* and RG.*, and a gear that counts people."""


for command in (
    *(server.up, server.down, server.status, server.url, server.worker, server.module),
    redis_command.redis,
    *(cameras.init, cameras.capture, cameras.top),
    *(gears.gears, models.models, pipeline.pipeline),
    *(pages.web, pages.lab, pages.dashboard),
    *(checks.doctor, checks.completion),
):
    main.add_command(command)
