"""What `%load_ext rededge_nb` adds to a notebook: `%%gear`, `%redis` and `%%redis`."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import redis
from IPython.core.magic import no_var_expand

from rededge_nb.connection import connect
from rededge_nb.control.gears import readable_error
from rededge_nb.display.replies import Replies, Reply
from rededge_nb.edge.client import client_like, server_errors
from rededge_nb.errors import ConfigurationError, GearError, RedEdgeError
from rededge_nb.jupyter.command_line import Word, split_words
from rededge_nb.workbench import Workbench

CONTEXT = 2
"""Lines of a cell that are shown above and below the one to blame."""

_FRAME = re.compile(
    r'^  File "(?P<file>[^"\n]*)", line (?P<line>\d+)(?P<name>, in [^\n]*)?\n(?P<rest>(?:    [^\n]*\n)*)', re.MULTILINE
)
_GEAR_USAGE = "%%gear [--id SESSION] [--description TEXT] [--upgrade] [--with NAME ...]"
_SCRIPT = "<string>"
"""What RedisGears calls the script of RG.PYEXECUTE in tracebacks."""
_OURS = re.compile(r"[/\\]rededge_nb[/\\]edge[/\\]")


def load(shell: Any) -> None:
    """Add the magics to an IPython shell."""

    def redis(line: str, cell: str | None = None, *, local_ns: Mapping[str, Any] | None = None) -> object:
        r"""Send a command to Redis and show the reply as redis-cli does; as a cell magic, one command a line.

            %redis LRANGE numbers 0 -1
            reply = %redis GET picture        # reply.value is the bytes
            %redis SET greeting "hello $name, you are number {count + 1}"

        `$name` and `{expression}` stand for their values, each within one word, bytes as bytes; single quotes keep
        text as it is. The server is that of the notebook's workbench, else the one that runs. Each line or cell has
        a connection of its own, so that MULTI or SELECT reach to the end of the cell.
        """
        with _in_words():
            return run_redis(line, cell, {**shell.user_ns, **(local_ns or {})})

    def gear(line: str, cell: str, *, local_ns: Mapping[str, Any] | None = None) -> object:
        """Hand the cell to RG.PYEXECUTE: run it and show its results, or register it.

            %%gear [--id SESSION] [--description TEXT] [--upgrade] [--with NAME ...]

        `--upgrade` puts it in place of what the session registered before; `--with` gives it variables of the
        notebook, which it otherwise knows nothing of. An error is shown with the lines of the cell. The server is
        that of the notebook's workbench, else the one that runs.
        """
        with _in_words():
            return run_gear(
                line, cell, {**shell.user_ns, **(local_ns or {})}, place=f"Cell In[{shell.execution_count}]"
            )

    for magic, kind in ((redis, "line_cell"), (gear, "cell")):
        # IPython would put values in before words are told apart, and see no difference between them afterwards
        function: Any = no_var_expand(magic)
        function.needs_local_scope = True
        shell.register_magic_function(function, kind)


def run_redis(line: str, cell: str | None, variables: Mapping[str, Any]) -> Reply | Replies:
    """Send one command, or one for each line of a cell; an error reply is a reply.

    Raises:
        ConfigurationError: a line cannot be understood; then none is sent.
        ServerUnavailableError: no server answers.
    """
    lines = [line] if cell is None else [line, *cell.splitlines()]
    commands = [
        words for each in lines if not each.lstrip().startswith("#") and (words := split_words(each, variables))
    ]
    if not commands:
        raise ConfigurationError("there is no command: write one, such as %redis PING")
    with _client(variables) as client:
        replies = Replies(Reply(_reply(client, words), words) for words in commands)
    return replies[0] if cell is None else replies


def run_gear(line: str, cell: str, variables: Mapping[str, Any], *, place: str = "Cell") -> Reply:
    """Run or register a cell's code as a gear; `place` is what tracebacks call the cell.

    Raises:
        GearError: the code failed, or the server refused it.
        ConfigurationError: the options cannot be understood.
        ServerUnavailableError: no server answers.
    """
    options = _gear_options(split_words(line, variables))
    given = "; ".join(f"{name} = {_literal(name, variables)}" for name in options.given)
    # instead of the line with the magic, so that the server counts lines as the notebook does
    words: list[Word | str] = ["RG.PYEXECUTE", f"{given}\n{cell}"]
    if options.id is not None:
        words += ["ID", options.id]
    if options.description is not None:
        words += ["DESCRIPTION", options.description]
    if options.upgrade:
        words.append("UPGRADE")
    with _client(variables) as client:
        reply = _reply(client, words)
    lines = [f"%%gear {line}".rstrip(), *cell.splitlines()]
    if isinstance(reply, redis.ResponseError):
        text = str(reply)
        if re.fullmatch(r"Session \S+ already exists", text):
            raise GearError(f"{text}: add --upgrade to put this gear in its place") from reply
        raise _gear_error(readable_error(text), lines, place)
    if isinstance(reply, list):
        results, errors = reply
        if errors:
            raise _gear_error(readable_error(errors[0].decode(errors="replace")), lines, place)
        return Reply(results)
    return Reply(reply)


def _literal(name: str, variables: Mapping[str, Any]) -> str:
    """A variable as Python code that gives its value."""
    if not name.isidentifier() or name not in variables:
        raise ConfigurationError(f"--with {name}: the notebook has no variable of that name")
    text = repr(variables[name])
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError):
        kind = type(variables[name]).__name__
        raise ConfigurationError(
            f"--with {name}: it is of type {kind}, but only text, bytes, numbers, None, and lists, tuples, dicts and "
            "sets of these can be given to a gear"
        ) from None
    return text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; it is {_GEAR_USAGE}")


def _gear_options(words: list[Word]) -> argparse.Namespace:
    parser = _Parser(prog="%%gear", add_help=False)
    parser.add_argument("--id")
    parser.add_argument("--description")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--with", dest="given", nargs="+", default=[])
    return parser.parse_args(
        [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]
    )


@contextmanager
def _client(variables: Mapping[str, Any]) -> Iterator[redis.Redis]:
    """A client with one connection, and replies as they come, for the server of the notebook's workbench."""
    named = variables.get("wb")
    benches = [named] if isinstance(named, Workbench) else [v for v in variables.values() if isinstance(v, Workbench)]
    base = benches[-1].client if benches else connect()
    own = client_like(base)
    own.response_callbacks.clear()
    try:
        with server_errors(base):
            yield own
    finally:
        own.close()
        if not benches:
            base.close()


def _reply(client: redis.Redis, words: list[Any]) -> Any:
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        return error


def _gear_error(text: str, lines: list[str], place: str) -> GearError:
    """The server's traceback with the lines of the cell."""
    frames = list(_FRAME.finditer(f"{text}\n"))
    own = [int(frame["line"]) for frame in frames if frame["file"] == _SCRIPT]
    what = text[frames[-1].end() :].strip() if frames else text
    error = GearError(f"{what} (line {own[-1]} of the cell)" if own else what)
    _show(error, _FRAME.sub(_framer(lines, place), f"{text}\n").rstrip() if own else f"GearError: {text}")
    return error


def _framer(lines: list[str], place: str) -> Callable[[re.Match[str]], str]:
    def shown(frame: re.Match[str]) -> str:
        if _OURS.search(frame["file"]):
            return ""
        if frame["file"] != _SCRIPT:
            return frame[0]
        number = int(frame["line"])
        header = f"  {place}, line {number}{frame['name'] or ''}\n"
        # a syntax error comes with its line and a mark below
        return header + (frame["rest"] or _excerpt(lines, number))

    return shown


def _excerpt(lines: list[str], blamed: int) -> str:
    first, last = max(1, blamed - CONTEXT), min(len(lines), blamed + CONTEXT)
    marks = {blamed: f"{'-' * (5 - len(str(blamed)))}> {blamed}"}
    return "".join(
        f"{marks.get(number, str(number)):>7} {lines[number - 1]}".rstrip() + "\n" for number in range(first, last + 1)
    )


@contextmanager
def _in_words() -> Iterator[None]:
    """Have IPython show an error by what it says: the frames of this package tell its reader nothing."""
    try:
        yield
    except RedEdgeError as error:
        if "_render_traceback_" not in vars(error):
            _show(error, f"{type(error).__name__}: {error}")
        raise


def _show(error: RedEdgeError, text: str) -> None:
    """Set what IPython shows of an error. Its own UsageError would not do: papermill takes no notice of that."""
    vars(error)["_render_traceback_"] = text.splitlines
