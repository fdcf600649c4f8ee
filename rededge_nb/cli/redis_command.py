"""`rededge redis`: send one Redis command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from rededge_nb.cli.base import EXIT_FAILED, connected, directory_option, echo, examples


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "rededge redis XREVRANGE camera:0:yolo + - COUNT 1",
        "rededge redis TS.RANGE camera:0:people - + AGGREGATION avg 60000",
        "rededge redis AI._MODELSCAN",
    ),
)
@directory_option
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def redis(directory: Path | None, words: tuple[str, ...]) -> None:
    """Send one command to the server and print the reply as redis-cli does. Exit code 1: the reply is an error.

    It needs no redis-cli, and the password does not appear on a command line.
    """
    from redis import ResponseError

    from rededge_nb.display.replies import Reply

    with connected(directory) as client:
        client.response_callbacks.clear()
        try:
            # arguments that are not UTF-8 contain surrogates, which redis-py cannot encode
            value = client.execute_command(*map(os.fsencode, words))
        except ResponseError as error:
            value = error
    echo(repr(Reply(value, words)))
    if isinstance(value, ResponseError):
        sys.exit(EXIT_FAILED)
