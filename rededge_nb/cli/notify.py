"""The command `rededge notify`."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import click

from rededge_nb.cli.base import EXIT_FAILED, directory_option, echo, examples
from rededge_nb.edge.processes import on_signals


@click.command(
    epilog=examples(
        "rededge notify notify.yaml --test",
        "MQTT_PASSWORD=secret rededge notify notify.yaml",
        "rededge up --notify notify.yaml",
        note="docs/how-to/get-notified.md has complete files for Home Assistant, ntfy and e-mail.",
    )
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@directory_option
@click.option("--test", is_flag=True, help="Send one message to each target, and end. Exit code 1: one has not got it.")
def notify(file: Path, directory: Path | None, test: bool) -> None:
    """Send events to the webhooks, MQTT brokers and services in FILE, until Ctrl-C."""
    from rededge_nb.connection import resolve_url
    from rededge_nb.edge.client import client_from_url, server_errors
    from rededge_nb.notify.configuration import read_config
    from rededge_nb.notify.notifier import run_notifier, send_test

    config = read_config(file)
    if test:
        results = send_test(config)
        for name, problem in results.items():
            echo(f"{name}: {problem or 'sent'}")
        if any(results.values()):
            sys.exit(EXIT_FAILED)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    on_signals(stop.set)
    client = client_from_url(resolve_url(directory=directory))
    try:
        with server_errors(client):
            client.ping()
        echo(f"notifying {', '.join(one.name for one in config.targets)}", err=True)
        run_notifier(client, config, stop)
    finally:
        client.close()
