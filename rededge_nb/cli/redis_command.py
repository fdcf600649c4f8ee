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
        "rededge redis -x AI.MODELSTORE model ONNX CPU BLOB < model.onnx",
    ),
)
@directory_option
@click.option("-x", "from_stdin", is_flag=True, help="Take the last word from standard input, byte for byte.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def redis(directory: Path | None, from_stdin: bool, words: tuple[str, ...]) -> None:
    """Send one command to the server and print the reply as redis-cli does. Exit code 1: the reply is an error.

    It needs no redis-cli, and the password does not appear on a command line.
    """
    from redis import ResponseError

    from rededge_nb.display.replies import Reply

    with connected(directory) as client:
        client.response_callbacks.clear()
        try:
            # arguments that are not UTF-8 contain surrogates, which redis-py cannot encode
            last = [sys.stdin.buffer.read()] if from_stdin else []
            value = client.execute_command(*map(os.fsencode, words), *last)
        except ResponseError as error:
            value = error
    echo(repr(Reply(value, words)))
    if isinstance(value, ResponseError):
        sys.exit(EXIT_FAILED)
