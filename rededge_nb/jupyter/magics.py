"""The magic commands that `%load_ext rededge_nb` adds to a notebook: `%%gear`, `%redis` and `%%redis`."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import redis
from IPython.core.magic import no_var_expand

from rededge_nb.connection import connect
from rededge_nb.control.gears import readable_error, trimming_warnings
from rededge_nb.display.replies import Replies, Reply
from rededge_nb.edge.client import client_like, server_errors
from rededge_nb.errors import ConfigurationError, GearError, RedEdgeError
from rededge_nb.jupyter.command_line import Argument, split_arguments
from rededge_nb.jupyter.sending import send
from rededge_nb.workbench import Workbench

CONTEXT = 2
"""Lines of a cell that are shown before and after the one with the error."""

_FRAME = re.compile(
    r'^  File "(?P<file>[^"\n]*)", line (?P<line>\d+)(?P<name>, in [^\n]*)?\n(?P<rest>(?:    [^\n]*\n)*)', re.MULTILINE
)
_GEAR_USAGE = "%%gear [--id SESSION] [--description TEXT] [--upgrade] [--with NAME ...]"
_SCRIPT = "<string>"
"""The file name that the script of RG.PYEXECUTE has in tracebacks."""
_OWN_CODE = re.compile(r"[/\\]rededge_nb[/\\]edge[/\\]")


def load(shell: Any) -> None:
    """Add the magics to an IPython shell."""

    def redis(line: str, cell: str | None = None, *, local_ns: Mapping[str, Any] | None = None) -> object:
        r"""Send a command to Redis and show the reply as redis-cli does. As a cell magic: one command per line.

            %redis LRANGE numbers 0 -1
            reply = %redis GET picture        # reply.value is the bytes
            %redis SET greeting "hello $name, you are number {count + 1}"

        `$name` and `{expression}` are replaced by their values, each of which is one argument; bytes stay bytes.
        Nothing is replaced in single quotes. The server is that of the notebook's workbench, else the one that runs.
        Each line or cell has a connection of its own: MULTI or SELECT apply until the end of the cell.
        """
        with _short_traceback():
            return run_redis(line, cell, {**shell.user_ns, **(local_ns or {})})

    def gear(line: str, cell: str, *, local_ns: Mapping[str, Any] | None = None) -> object:
        """Send the cell to RG.PYEXECUTE, which runs it as a gear or registers it; show the results.

            %%gear [--id SESSION] [--description TEXT] [--upgrade] [--with NAME ...]

        `--upgrade` replaces what the session had registered before. The gear runs in another process and has no
        variables of the notebook, except for those that `--with` names. An error is shown with the lines of the cell.
        The server is that of the notebook's workbench, else the one that runs.
        """
        with _short_traceback():
            # new versions of IPython increment `execution_count` before they run a cell; this is the cell's in all
            number = shell.displayhook.prompt_count
            return run_gear(line, cell, {**shell.user_ns, **(local_ns or {})}, place=f"Cell In[{number}]")

    for magic, kind in ((redis, "line_cell"), (gear, "cell")):
        # IPython would replace variables before the line is split: a value with spaces would become several arguments
        function: Any = no_var_expand(magic)
        function.needs_local_scope = True
        shell.register_magic_function(function, kind)


def run_redis(line: str, cell: str | None, variables: Mapping[str, Any]) -> Reply | Replies:
    """Send one command, or one for each line of a cell. An error of the server is returned as a reply.

    Raises:
        ConfigurationError: a line is malformed; then no command is sent.
        ServerUnavailableError: no server answers.
    """
    lines = [line] if cell is None else [line, *cell.splitlines()]
    commands = [
        arguments
        for each in lines
        if not each.lstrip().startswith("#") and (arguments := split_arguments(each, variables))
    ]
    if not commands:
        raise ConfigurationError("there is no command: write one, such as %redis PING")
    with _client(variables) as client:
        replies = Replies(Reply(send(client, [*command]), command) for command in commands)
    return replies[0] if cell is None else replies


def run_gear(line: str, cell: str, variables: Mapping[str, Any], *, place: str = "Cell") -> Reply:
    """Run or register a cell's code as a gear; `place` is the name of the cell in tracebacks.

    Raises:
        GearError: the code failed, or the server rejected it.
        ConfigurationError: the options are wrong.
        ServerUnavailableError: no server answers.
    """
    options = _gear_options(split_arguments(line, variables))
    given = "; ".join(f"{name} = {_literal(name, variables)}" for name in options.given)
    # this line replaces the one with the magic, so that line numbers are the same in the server and in the cell
    command: list[Argument | str] = ["RG.PYEXECUTE", f"{given}\n{cell}"]
    if options.id is not None:
        command += ["ID", options.id]
    # an error that happens later names the cell, too
    command += ["DESCRIPTION", place if options.description is None else options.description]
    if options.upgrade:
        command.append("UPGRADE")
    with _client(variables) as client:
        reply = send(client, command)
        if reply == b"OK" and options.id is not None:
            for warning in trimming_warnings(client, options.id):
                print(warning, file=sys.stderr)
    lines = [f"%%gear {line}".rstrip(), *cell.splitlines()]
    if isinstance(reply, redis.ResponseError):
        text = str(reply)
        if re.fullmatch(r"Session \S+ already exists", text):
            raise GearError(f"{text}: add --upgrade to replace it with this gear") from reply
        raise _gear_error(readable_error(text), lines, place)
    if isinstance(reply, list):
        results, errors = reply
        if errors:
            raise _gear_error(readable_error(errors[0].decode(errors="replace")), lines, place)
        return Reply(results)
    return Reply(reply)


def _literal(name: str, variables: Mapping[str, Any]) -> str:
    """Python code for the value of a variable."""
    if not name.isidentifier() or name not in variables:
        raise ConfigurationError(f"--with {name}: the notebook has no such variable")
    text = repr(variables[name])
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError):
        kind = type(variables[name]).__name__
        raise ConfigurationError(
            f"--with {name}: it is of type {kind}, but only text, bytes, numbers, None, and lists, tuples, dicts and "
            "sets of these can be passed to a gear"
        ) from None
    return text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; the usage is {_GEAR_USAGE}")


def _gear_options(arguments: list[Argument]) -> argparse.Namespace:
    parser = _Parser(prog="%%gear", add_help=False)
    parser.add_argument("--id")
    parser.add_argument("--description")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--with", dest="given", nargs="+", default=[])
    return parser.parse_args(
        [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in arguments]
    )


@contextmanager
def _client(variables: Mapping[str, Any]) -> Iterator[redis.Redis]:
    """A client for the server of the notebook's workbench, with one connection and unchanged replies."""
    named = variables.get("wb")
    workbenches = (
        [named] if isinstance(named, Workbench) else [v for v in variables.values() if isinstance(v, Workbench)]
    )
    base = workbenches[-1].client if workbenches else connect()
    own = client_like(base)
    own.response_callbacks.clear()
    try:
        with server_errors(base):
            yield own
    finally:
        own.close()
        if not workbenches:
            base.close()


def _gear_error(text: str, lines: list[str], place: str) -> GearError:
    """An error whose traceback shows the lines of the cell."""
    frames = list(_FRAME.finditer(f"{text}\n"))
    own = [int(frame["line"]) for frame in frames if frame["file"] == _SCRIPT]
    summary = text[frames[-1].end() :].strip() if frames else text
    error = GearError(f"{summary} (line {own[-1]} of the cell)" if own else summary)
    _show(error, _FRAME.sub(_frame_formatter(lines, place), f"{text}\n").rstrip() if own else f"GearError: {text}")
    return error


def _frame_formatter(lines: list[str], place: str) -> Callable[[re.Match[str]], str]:
    def format_frame(frame: re.Match[str]) -> str:
        if _OWN_CODE.search(frame["file"]):
            return ""
        if frame["file"] != _SCRIPT:
            return frame[0]
        number = int(frame["line"])
        header = f"  {place}, line {number}{frame['name'] or ''}\n"
        # the traceback of a syntax error has the line itself, with a mark below
        return header + (frame["rest"] or _excerpt(lines, number))

    return format_frame


def _excerpt(lines: list[str], wrong: int) -> str:
    first, last = max(1, wrong - CONTEXT), min(len(lines), wrong + CONTEXT)
    marks = {wrong: f"{'-' * (5 - len(str(wrong)))}> {wrong}"}
    return "".join(
        f"{marks.get(number, str(number)):>7} {lines[number - 1]}".rstrip() + "\n" for number in range(first, last + 1)
    )


@contextmanager
def _short_traceback() -> Iterator[None]:
    """Let IPython show only the message of an error: a traceback through this package would not help the reader."""
    try:
        yield
    except RedEdgeError as error:
        if "_render_traceback_" not in vars(error):
            _show(error, f"{type(error).__name__}: {error}")
        raise
    except KeyboardInterrupt as interrupt:
        _show(interrupt, f"interrupted: {interrupt}" if str(interrupt) else "interrupted")
        raise


def _show(error: BaseException, text: str) -> None:
    """Set the text that IPython shows for an error. (IPython's UsageError cannot be used: papermill ignores it.)"""
    vars(error)["_render_traceback_"] = text.splitlines
