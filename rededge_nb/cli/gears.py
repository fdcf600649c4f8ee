"""The commands of `rededge gears`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rededge_nb import assets
from rededge_nb.cli.base import connected, directory_option, echo, echo_json, examples, json_option

if TYPE_CHECKING:
    from rededge_nb.control.gears import RegistrationInfo

NAME_HELP = "NAME is the id of a registration, or of a session, which stands for all its registrations."


@click.group()
def gears() -> None:
    """Gears: the functions that run on every frame."""


@gears.command(
    "list",
    epilog=examples(
        "rededge gears list",
        "rededge gears list --json | jq -r '.[] | select(.status != \"OK\") | .id'",
    ),
)
@directory_option
@json_option
def list_(directory: Path | None, as_json: bool) -> None:
    """List the registered gears and their counters."""
    from rededge_nb.control.gears import list_registrations, on_one_stream
    from rededge_nb.display.tables import Table

    with connected(directory) as client:
        found = list_registrations(client)
    _warn(on_one_stream(found))
    if as_json:
        echo_json([asdict(each) for each in found])
    elif found:
        header = ("session", "stream", "status", "runs", "failed", "ms", "lag ms", "id")
        rows = [
            (
                each.session,
                each.stream,
                each.status,
                each.triggered,
                each.failed,
                each.average_ms,
                each.lag_ms,
                each.id,
            )
            for each in found
        ]
        echo(Table(header, rows))
        for each in found:
            if each.last_error and (each.cannot_run or each.status == "PAUSED"):
                echo(f"{each.session} {each.id}: {each.last_error}", err=True)
    else:
        echo("no gear is registered; `rededge init` registers the people counter", err=True)


@gears.command(
    epilog=examples(
        "rededge gears register door_alarm.py",
        "rededge gears register door_alarm.py --id alarm",
    ),
)
@click.argument("script")
@directory_option
@click.option("--id", "session", help="Session id; default: the file name without .py.")
@click.option("--description", default="", help="Text for `gears list --json`.")
def register(script: str, directory: Path | None, session: str | None, description: str) -> None:
    """Register a gear from a Python file; it replaces the registrations that its session has.

    SCRIPT is a file whose name ends in .py, or the name of a bundled gear.
    """
    from rededge_nb.control.gears import list_registrations, on_one_stream, register_gear_file, trimming_warnings

    path = assets.gear_file(script)
    name = session or path.stem
    with connected(directory) as client:
        register_gear_file(client, path, session=name, description=description)
        found = list_registrations(client)
        trimming = trimming_warnings(client, name)
    registered = [each for each in found if each.session == name]
    _warn(pair for pair in on_one_stream(found) if name in (pair[0].session, pair[1].session))
    for warning in trimming:
        echo(warning, err=True)
    for each in registered:
        echo(f"registered {name} on {each.stream}: {each.id}")
    if not registered:
        echo(f"{path} ran without registering anything: a gear ends with builder.register(…)", err=True)


def _add_change(verb: str, done: str, text: str) -> None:
    """Add a command that changes the registrations that its argument names."""

    @gears.command(verb, help=text, epilog=examples(f"rededge gears {verb} people_counter", note=NAME_HELP))
    @click.argument("name")
    @directory_option
    def change(name: str, directory: Path | None) -> None:
        from rededge_nb.control import gears as control

        apply = {"pause": control.pause_gear, "unpause": control.unpause_gear, "unregister": control.unregister_gear}
        with connected(directory) as client:
            for each in control.find_registrations(client, name):
                apply[verb](client, each.id)
                echo(f"{done} {each.session} on {each.stream}: {each.id}")


_add_change("unregister", "unregistered", "Remove a gear; the frames in progress are completed.")
_add_change("pause", "paused", "Pause a gear; the frames in progress are completed, new ones wait in the stream.")
_add_change("unpause", "unpaused", "Let a paused gear continue where it stopped.")


@gears.command(
    epilog=examples(
        "rededge gears errors",
        "rededge gears errors --count 100 --json",
    ),
)
@directory_option
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="Number of frames of each camera.")
@json_option
def errors(directory: Path | None, count: int, as_json: bool) -> None:
    """Show the last error of each gear, and the newest frames that could not be processed."""
    from rededge_nb.control.gears import list_registrations
    from rededge_nb.control.provision import known_cameras
    from rededge_nb.reading.frames import read_errors

    with connected(directory) as client:
        broken = [each for each in list_registrations(client) if each.last_error]
        refused = [failed for camera in known_cameras(client) for failed in read_errors(client, camera)[-count:]]
    if as_json:
        gear_errors = [{"id": each.id, "session": each.session, "error": each.last_error} for each in broken]
        echo_json({"gears": gear_errors, "frames": [asdict(each) for each in refused]})
        return
    for each in broken:
        echo(f"{each.session} on {each.stream}, failed {each.failed} times; last error:\n{each.last_error}")
    for failed in refused:
        echo(f"camera {failed.camera}, frame {failed.ref}: {failed.reason}")
    if not broken and not refused:
        echo("no errors", err=True)


@gears.command(
    epilog=examples(
        "rededge gears executions",
        "rededge gears executions --all --json",
    ),
)
@directory_option
@click.option("--all", "ended", is_flag=True, help="Also those that have ended and are remembered.")
@json_option
def executions(directory: Path | None, ended: bool, as_json: bool) -> None:
    """List the runs of gears that have not ended: batches of registrations, and what RG.PYEXECUTE runs."""
    from rededge_nb.control.executions import list_executions
    from rededge_nb.display.tables import Table

    with connected(directory) as client:
        found = [each for each in list_executions(client) if ended or not each.ended]
    if as_json:
        echo_json([asdict(each) for each in found])
    elif found:
        rows = [(each.id, each.status, "a registration" if each.registered else "RG.PYEXECUTE") for each in found]
        echo(Table(("id", "status", "started by"), rows))
    else:
        echo("no gear runs now" if not ended else "no execution is remembered", err=True)


@gears.command(epilog=examples("rededge gears abort 0000000000000000000000000000000000000000-17"))
@click.argument("execution")
@directory_option
def abort(execution: str, directory: Path | None) -> None:
    """Interrupt a run of a gear, and wait until it has ended; EXECUTION is an id of `rededge gears executions`."""
    from rededge_nb.control.executions import abort_execution

    with connected(directory) as client:
        abort_execution(client, execution)
    echo(f"aborted {execution}")


def _warn(pairs: Iterable[tuple[RegistrationInfo, RegistrationInfo]]) -> None:
    """Print a warning for gears that take entries away from each other."""
    for one, other in pairs:
        first, second = (f"{each.session or each.id} on {each.stream}" for each in (one, other))
        echo(
            f"{first} and {second}: only one of two gears gets an entry of a stream; put both into one gear, "
            "or let the second one read what the first one writes",
            err=True,
        )
