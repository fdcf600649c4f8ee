"""The commands of `rededge models`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from rededge_nb import assets
from rededge_nb.cli.base import connected, directory_option, echo, echo_json, examples, json_option


@click.group()
def models() -> None:
    """Models in the server."""


@models.command(
    "list",
    epilog=examples(
        "rededge models list",
        "rededge models list --json | jq -r '.[].key'",
    ),
)
@directory_option
@json_option
def list_(directory: Path | None, as_json: bool) -> None:
    """List the models, and mark the one that the people counter uses."""
    from rededge_nb.control.models import list_models
    from rededge_nb.control.provision import read_settings
    from rededge_nb.display.tables import Table

    with connected(directory) as client:
        found = list_models(client)
        used = read_settings(client).get("model")
    if as_json:
        echo_json([asdict(each) | {"used": each.key == used} for each in found])
    elif found:
        header = ("key", "backend", "device", "tag", "inputs", "outputs", "used")
        rows = [
            (
                each.key,
                each.backend,
                each.device,
                each.tag,
                each.inputs,
                each.outputs,
                "yes" if each.key == used else "",
            )
            for each in found
        ]
        echo(Table(header, rows))
    else:
        echo("no model is stored; `rededge init` stores the people counter's model", err=True)


@models.command(
    epilog=examples(
        "rededge models load",
        "rededge models load fast --use",
        "rededge models load my/model.yaml --use",
    ),
)
@click.argument("card", default=assets.DEFAULT_MODEL)
@directory_option
@click.option("--use", is_flag=True, help="Let the people counter use it.")
def load(card: str, directory: Path | None, use: bool) -> None:
    """Store a model.

    CARD is the name of a bundled model, or the path of a YAML card; the model file is in the same folder. Without
    `--use` the model is only stored, and the people counter keeps its present one.
    """
    from rededge_nb.control.models import key_of, load_card, store_model
    from rededge_nb.control.provision import use_model

    described = load_card(assets.model_card_file(card))
    with connected(directory) as client:
        key = key_of(client, described)
        if use:
            changes = use_model(client, card)
        else:
            changes = [f"stored model {described.name} as {key}"] if store_model(client, described) else []
    echo("\n".join(changes) if changes else f"{key} is stored already")


@models.command(
    epilog=examples(
        "rededge models remove model:nanodet-g-two-sizes",
    ),
)
@click.argument("key")
@directory_option
def remove(key: str, directory: Path | None) -> None:
    """Delete a model; a gear that uses it waits until it is stored again."""
    from rededge_nb.control.models import remove_model

    with connected(directory) as client:
        remove_model(client, key)
    echo(f"removed {key}")
