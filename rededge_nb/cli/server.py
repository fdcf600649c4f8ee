"""Commands of the server: up, down, status, url, worker, module."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rededge_nb import settings
from rededge_nb.cli.base import (
    EXIT_FAILED,
    directory_option,
    echo,
    echo_address,
    echo_json,
    examples,
    json_option,
    server_address,
)
from rededge_nb.edge.processes import on_signals
from rededge_nb.edge.server.state import OTHER_USERS, OWNER
from rededge_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from rededge_nb.edge.server.state import Instance


@click.command(
    epilog=examples(
        "rededge up --detach",
        "rededge up --port 6379 --workers 2 --dir ./edge",
        "rededge up --detach --notify notify.yaml",
    ),
)
@directory_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port on 127.0.0.1; 0 means any free port.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Number of worker processes.")
@click.option(
    "--no-password",
    is_flag=True,
    help="Let every program on this computer in, for programs that cannot send a password.",
)
@click.option(
    "--notify",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also send events as this file says; see `rededge notify`.",
)
@click.option("--detach", is_flag=True, help="Return when the server is ready, and let it run in the background.")
@json_option
def up(
    directory: Path | None,
    port: int,
    workers: int,
    no_password: bool,
    notify: Path | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Start the embedded RedisEdge, until Ctrl-C; with --detach, until `rededge down`."""
    from rededge_nb.edge import server

    if directory is None and settings.redis_url():
        raise ConfigurationError(
            "REDIS_URL is set, so all commands use that server: unset it to start one here, or name a folder with --dir"
        )

    if notify is not None:
        from rededge_nb.notify.configuration import read_config

        read_config(notify)  # a mistake is shown here, and not only in a log

    if no_password:
        click.echo("warning: every program and user on this computer can read and change all data", err=True)

    def ready(instance: Instance) -> None:
        if as_json:
            echo_json(
                asdict(instance) | {"dir": str(instance.dir), "socket": str(instance.socket)}, one_line=not detach
            )
        else:
            echo_address(instance)

    if detach:
        from rededge_nb.monitoring.status import wait_for_worker

        instance = server.start(directory, port=port, workers=workers, no_password=no_password, notify=notify)
        ready(instance)
        if not wait_for_worker(instance.url):
            echo(f"no worker answers yet: see {instance.dir / 'logs' / 'worker.log'}", err=True)
        return
    supervisor = server.run(directory, port=port, workers=workers, no_password=no_password, notify=notify)
    on_signals(supervisor.stop)
    supervisor.run(ready)


@click.command(
    epilog=examples(
        "rededge down",
        "rededge down --dir ./edge",
    ),
)
@directory_option
def down(directory: Path | None) -> None:
    """Stop the embedded RedisEdge and keep its data."""
    from rededge_nb.edge import server

    echo("stopped" if server.stop(directory) else "not running")


@click.command(
    epilog=examples(
        "rededge repair",
        "rededge repair --dir ./edge && rededge up --dir ./edge",
    ),
)
@directory_option
def repair(directory: Path | None) -> None:
    """Make damaged data loadable: copy it, then leave out what cannot be read."""
    from rededge_nb.edge.server.repair import repair

    done = repair(directory)
    echo(f"the data as it was is in {done.copy}")
    for step in done.steps or ["nothing had to be left out"]:
        echo(step)
    echo(f"the server can load {done.keys} keys: start it with `rededge up`")


@click.command(
    epilog=examples(
        "rededge status",
        "rededge status --json | jq .memory_mb",
    ),
)
@directory_option
@json_option
def status(directory: Path | None, as_json: bool) -> None:
    """Show the state of the server. Exit code 1: there is a problem; 3: it does not run, or does not answer."""
    from rededge_nb.monitoring.status import OK, server_status, status_lines

    facts = server_status(*server_address(directory))
    if as_json:
        echo_json(facts)
    else:
        echo("\n".join(status_lines(facts)))
    if facts["state"] != OK:
        sys.exit(EXIT_FAILED)


@click.command(
    epilog=examples(
        'REDIS_URL="$(rededge url)" python my_script.py',
        'REDIS_URL="$(rededge url --user viewer)" rededge top',
    ),
)
@directory_option
@click.option("--tcp", is_flag=True, help="Print the address on 127.0.0.1, not that of the unix socket.")
@click.option("--user", type=click.Choice(OTHER_USERS), help="Print it for a user with fewer rights.")
def url(directory: Path | None, tcp: bool, user: str | None) -> None:
    """Print the address of the server, with the password, for REDIS_URL."""
    address, instance = server_address(directory)
    if instance is None and user:
        raise ConfigurationError(
            "--user works only with the embedded server, but REDIS_URL names another one: omit --user"
        )
    echo(instance.url_of(user or OWNER, tcp=tcp) if instance else address)


@click.command(
    epilog=examples(
        "REDIS_URL=redis://:secret@edge.local:6379 rededge worker",
        "rededge worker",
    ),
)
@directory_option
@click.option("--url", "address", help="Address of the server. Prefer REDIS_URL: other users can see command lines.")
def worker(directory: Path | None, address: str | None) -> None:
    """Run a worker: it answers AI.* and RG.* commands and runs gears, until Ctrl-C or SIGTERM.

    The embedded server starts its own workers. Your own server with the edge module (`rededge module`) needs at least
    one. More workers, also on other machines, share the work. A worker that dies or hangs is started again.
    """
    from rededge_nb.edge.client import client_from_url
    from rededge_nb.edge.server.worker_process import run_worker

    chosen = address or server_address(directory)[0]
    client_from_url(chosen).close()
    if address:
        # start this command again with the address in the environment: other users can see command lines
        command = [sys.executable, "-P", "-m", "rededge_nb.cli", "worker"]
        os.execve(sys.executable, command, os.environ | {settings.REDIS_URL: chosen})  # noqa: S606
    stop = threading.Event()
    on_signals(stop.set)
    run_worker(chosen, stop)


@click.command(
    epilog=examples(
        "rededge module >> redis.conf",
        "rededge module --users",
    ),
)
@click.option("--users", is_flag=True, help="Print the commands that create the users of the embedded server, instead.")
def module(users: bool) -> None:
    """Print the redis.conf lines that load the edge module into your own server."""
    from rededge_nb.edge.server.binaries import built_switchboard
    from rededge_nb.edge.server.redis_server import switchboard_lines
    from rededge_nb.edge.server.users import RULES
    from rededge_nb.edge.worker.command_table import module_arguments

    if users:
        for user, rules in RULES.items():
            echo(f"ACL SETUSER {user} on >PASSWORD resetkeys resetchannels -@all {rules}")
        return
    echo("\n".join(switchboard_lines(built_switchboard(), module_arguments())))
