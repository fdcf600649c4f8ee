"""What the commands share: options, exit codes, and error messages in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rededge_nb.errors import RedEdgeError, ServerUnavailableError

if TYPE_CHECKING:
    import redis

    from rededge_nb.edge.server.state import Instance

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and those that change the direction of text."""
EXIT_FAILED = 1
"""The command failed. (Exit code 2, wrong usage, comes from click.)"""
EXIT_NOT_RUNNING = 3
"""No RedisEdge runs in the state folder, or the server does not answer."""
EXIT_INCOMPLETE = 4
"""The command is done, but the gear could not process some of the frames."""
EXIT_INTERRUPTED = 130
"""Ctrl-C ended the command."""

directory_option = click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="State folder of the server."
)
camera_option = click.option("--camera", default="0", show_default=True, help="Camera id, as in the key camera:<id>.")
device_option = click.option(
    "--device", help="Where the workers run the model: cpu, or cuda:0 for a GPU of NVIDIA; default: as until now."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def value_of(text: str) -> object:
    """The value of a parameter: JSON such as 10, true or [1, 2], and any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


parameters_option = click.option(
    "-p",
    "--parameter",
    "parameters",
    type=(str, str),
    metavar="NAME VALUE",
    multiple=True,
    callback=lambda _context, _option, given: {name: value_of(text) for name, text in given},
    help="Set a parameter of the notebooks; may be repeated.",
)


class Group(click.Group):
    """Shows an error as one line with its exit code, never as a traceback (except with --debug)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            echo("rededge: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            closed_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
            if ctx.params["debug"] or closed_pipe:
                raise
            code, message = explained(error)
            echo(f"rededge: {message}", err=True)
            ctx.exit(code)


def explained(error: Exception) -> tuple[int, str]:
    """Return exit code and message for an error that ended a command."""
    import redis

    from rededge_nb.edge.client.shard import describe_error

    if isinstance(error, ServerUnavailableError):
        return EXIT_NOT_RUNNING, str(error)
    if isinstance(error, RedEdgeError):
        return EXIT_FAILED, str(error)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return EXIT_NOT_RUNNING, f"the connection to Redis was lost ({error}): see `rededge status`"
    if isinstance(error, redis.exceptions.MovedError):
        return EXIT_FAILED, f"{describe_error(error)}: set REDIS_URL to that address"
    if isinstance(error, redis.RedisError):
        return EXIT_FAILED, f"Redis answered with an error: {error}"
    if isinstance(error, ModuleNotFoundError):
        return EXIT_FAILED, f"the package {error.name} is not installed: pip install 'rededge_nb[lab]'"
    if isinstance(error, OSError):
        return EXIT_FAILED, str(error)
    return EXIT_FAILED, f"{type(error).__name__}: {error} (`rededge --debug …` shows the traceback)"


def examples(*lines: str, note: str = "") -> str:
    """Format the epilog of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines), *(["", note] if note else [])])


@contextlib.contextmanager
def connected(directory: Path | None) -> Iterator[redis.Redis]:
    """A client of the server that the options or the environment name."""
    from rededge_nb.connection import connect

    client = connect(directory=directory)
    try:
        yield client
    finally:
        client.close()


def echo(text: object, *, err: bool = False) -> None:
    """Print a line. Control characters are shown as escapes: names and errors come from others, and could otherwise
    change what the terminal shows, or what it does.
    """
    click.echo(_CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text)), err=err)


def echo_json(value: object, *, one_line: bool = False) -> None:
    """Print indented JSON, or one line of it for commands that print several."""
    echo(json.dumps(value, indent=None if one_line else 2))


def end_like_ctrl_c() -> None:
    """Let SIGTERM end a command as Ctrl-C does, so that it cleans up. Further signals are ignored."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def server_address(directory: Path | None) -> tuple[str, Instance | None]:
    """Return the address to use, and its instance, which is None for a server that REDIS_URL names.

    Ends the command if no server runs.
    """
    from rededge_nb import settings
    from rededge_nb.edge import server

    existing = settings.redis_url()
    if directory is None and existing:
        return existing, None
    instance = server.find(directory)
    if instance is None:
        echo(server.not_running(directory), err=True)
        sys.exit(EXIT_NOT_RUNNING)
    return instance.url, instance


def echo_address(instance: Instance) -> None:
    """Print the addresses of an instance."""
    echo(f"RedisEdge is ready on 127.0.0.1:{instance.port} and {instance.socket} (password: `rededge url`)")
