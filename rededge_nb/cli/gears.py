"""Gears: list, register, unregister, pause, unpause, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rededge_nb import assets
from rededge_nb.cli.base import connected, directory_option, echo_json, examples, json_option

if TYPE_CHECKING:
    import redis

    from rededge_nb.control.gears import Registration

NAME_HELP = "NAME is a registration's id, or a session's name, which stands for all its registrations."


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
    """List the registrations, with what they did so far."""
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
        click.echo(Table(header, rows))
    else:
        click.echo("no gear is registered: `rededge init` registers the people counter", err=True)


@gears.command(
    epilog=examples(
        "rededge gears register door_alarm.py",
        "rededge gears register door_alarm.py --id alarm",
    ),
)
@click.argument("script")
@directory_option
@click.option("--id", "session", help="Session id; default: the file's name without .py.")
@click.option("--description", default="", help="What `gears list --json` says about it.")
def register(script: str, directory: Path | None, session: str | None, description: str) -> None:
    """Register a gear from a Python file, in place of what its session had registered before.

    SCRIPT is a file that ends in .py, or the name of a bundled gear.
    """
    from rededge_nb.control.gears import list_registrations, on_one_stream, register_gear_file

    path = assets.gear_file(script)
    name = session or path.stem
    with connected(directory) as client:
        register_gear_file(client, path, session=name, description=description)
        found = list_registrations(client)
    registered = [each for each in found if each.session == name]
    _warn(pair for pair in on_one_stream(found) if name in (pair[0].session, pair[1].session))
    for each in registered:
        click.echo(f"registered {name} on {each.stream}: {each.id}")
    if not registered:
        click.echo(f"{path} ran, and registered nothing: a gear ends in builder.register(…)", err=True)


@gears.command(
    epilog=examples(
        "rededge gears unregister people_counter",
        note=NAME_HELP,
    ),
)
@click.argument("name")
@directory_option
def unregister(name: str, directory: Path | None) -> None:
    """Forget a gear; the frames it has in hand are finished."""
    from rededge_nb.control.gears import unregister_gear

    _on_each(directory, name, unregister_gear, "unregistered")


@gears.command(
    epilog=examples(
        "rededge gears pause people_counter",
        note=NAME_HELP,
    ),
)
@click.argument("name")
@directory_option
def pause(name: str, directory: Path | None) -> None:
    """Let a gear finish what it has in hand and start nothing new; its stream goes on filling."""
    from rededge_nb.control.gears import pause_gear

    _on_each(directory, name, pause_gear, "paused")


@gears.command(
    epilog=examples(
        "rededge gears unpause people_counter",
        note=NAME_HELP,
    ),
)
@click.argument("name")
@directory_option
def unpause(name: str, directory: Path | None) -> None:
    """Let a paused gear go on where it stopped."""
    from rededge_nb.control.gears import unpause_gear

    _on_each(directory, name, unpause_gear, "unpaused")


@gears.command(
    epilog=examples(
        "rededge gears errors",
        "rededge gears errors --count 100 --json",
    ),
)
@directory_option
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="Frames of each camera.")
@json_option
def errors(directory: Path | None, count: int, as_json: bool) -> None:
    """Show each gear's last error, and the newest frames that could not be processed."""
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
        click.echo(f"{each.session} on {each.stream}, failed {each.failed} times, last:\n{each.last_error}")
    for failed in refused:
        click.echo(f"camera {failed.camera}, frame {failed.ref}: {failed.reason}")
    if not broken and not refused:
        click.echo("no errors", err=True)


def _warn(pairs: Iterable[tuple[Registration, Registration]]) -> None:
    """Tell which gears take entries from each other."""
    for one, other in pairs:
        first, second = (f"{each.session or each.id} on {each.stream}" for each in (one, other))
        click.echo(
            f"{first} and {second}: only one of two gears gets the entries of a stream; put what both do into one, "
            "or let the second read what the first writes",
            err=True,
        )


def _on_each(directory: Path | None, name: str, change: Callable[[redis.Redis, str], None], done: str) -> None:
    from rededge_nb.control.gears import find_registrations

    with connected(directory) as client:
        for each in find_registrations(client, name):
            change(client, each.id)
            click.echo(f"{done} {each.session} on {each.stream}: {each.id}")
