"""The commands of `rededge models`."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rededge_nb import assets
from rededge_nb.cli.base import connected, device_option, directory_option, echo, echo_json, examples, json_option

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


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
        "rededge models load --use --device cuda:0",
    ),
)
@click.argument("card", default=assets.DEFAULT_MODEL)
@directory_option
@click.option("--use", is_flag=True, help="Let the people counter use it.")
@device_option
def load(card: str, directory: Path | None, use: bool, device: str | None) -> None:
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
            changes = use_model(client, card, device)
        else:
            changes = [f"stored model {described.name} as {key}"] if store_model(client, described, device) else []
    echo("\n".join(changes) if changes else f"{key} is stored already")


@models.command(
    "import",
    epilog=examples(
        "rededge models import my.onnx --use",
        "rededge models import my.onnx --classes coco --try street.jpg",
        "rededge models import my.onnx --classes coco --class car --use",
        "rededge models import my.onnx --layout yolox --size 416x416 --classes helmet,person --class person",
        note="docs/how-to/own-model.md lists the layouts that are recognised, and explains how to add one.",
    ),
)
@click.argument("file", type=_FILE)
@directory_option
@click.option("--use", is_flag=True, help="Store it, and let the people counter use it.")
@click.option("--name", help="Its name; default: that of the file.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option(
    "--try", "image", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Try it on an image."
)
@click.option("--layout", help="The layout of its outputs; default: it is recognised.")
@click.option("--classes", help="Names of all classes, separated by commas; a text file with them; or coco.")
@click.option("--class", "--count", "count", help="Names of the counted classes, with commas. Default: person.")
@click.option("--plural", help="What several of the counted objects are called; default: by the rules of English.")
@click.option("--size", help="Width and height of its input, such as 640x640, if the file leaves them open.")
@click.option("--colour", help="Colours of its input: rgb or bgr.")
@click.option("--scale", help="Values of its input: 0-1, 0-255, -1-1 or imagenet.")
@click.option("--resize", help="How an image fits into its input: letterbox, corner or stretch.")
@click.option("--confidence", type=float, help="Least confidence of a box that is counted, 0 to 1.")
@click.option("--iou", type=float, help="Of two boxes that overlap more than this one is removed, 0 to 1.")
@click.option("--licence", help="The licence of the weights.")
@click.option("--origin", help="Where the weights come from.")
@device_option
@json_option
def import_(
    file: Path,
    directory: Path | None,
    use: bool,
    output: Path | None,
    image: Path | None,
    classes: str | None,
    count: str | None,
    size: str | None,
    device: str | None,
    as_json: bool,
    **texts: Any,
) -> None:
    """Make a model and its card of an ONNX file as an exporter wrote it.

    The layout of its outputs is recognised, nodes for the image and the boxes are added, and the result is run on a
    sample image. The result is beside FILE: NAME.rededge.onnx and NAME.yaml. Nothing is written if a check fails.
    """
    from rededge_nb.control.model_import import ImportOptions, names_from, size_from
    from rededge_nb.own_models import import_file

    if device is not None and not use:
        raise click.UsageError("--device says where the people counter's model runs: it needs --use")
    options = ImportOptions(classes=names_from(classes), count=names_from(count), size_wh=size_from(size), **texts)
    ask = _ask if sys.stdin.isatty() and not as_json else None
    with connected(directory) if use else contextlib.nullcontext() as client:
        result = import_file(file, options, output=output, image=image, ask=ask, use_in=client, device=device)
    if as_json:
        found = None if result.tried is None else len(result.tried)
        shown = {"card": str(result.card_file), "model": str(result.card.file), "key": result.card.key}
        lists = {name: list(getattr(result, name)) for name in ("recognised", "warnings", "changes")}
        echo_json(shown | lists | {"found_in_sample": result.sample_objects, "found_in_image": found})
    else:
        echo(result)


def _ask(what: str) -> str:
    answer: str = click.prompt(
        f"What is {what}? Press Enter if you do not know", default="", show_default=False, err=True
    )
    return answer


@models.command(
    epilog=examples(
        "rededge models compare nanodet-g-two-sizes my.yaml --video clip.mp4",
        "rededge models compare fast my.yaml --video clip.mp4 --truth labels.csv --output comparison",
        note="The truth is in MOT format or CSV, as `rededge score` reads it. No server is needed.",
    ),
)
@click.argument("first")
@click.argument("second")
@click.option("--video", required=True, help="The frames: a video, an image or a folder of images.")
@click.option("--truth", type=_FILE, help="Labels, for recall, precision and error.")
@click.option("--frames", type=click.IntRange(min=1), help="Use this many frames; default: all.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the chart and the images.")
@json_option
def compare(
    first: str, second: str, video: str, truth: Path | None, frames: int | None, output: Path | None, as_json: bool
) -> None:
    """Run two models on the same frames: time, numbers of people, agreement, and with labels what is right.

    FIRST and SECOND are names of bundled models or paths of cards. With `--output`, a chart of the numbers of people
    and images of the frames that differ most are written into a folder.
    """
    from rededge_nb.control.models import load_card
    from rededge_nb.pipeline.model_comparison import compare_models

    cards = load_card(assets.model_card_file(first)), load_card(assets.model_card_file(second))
    result = compare_models(*cards, video, truth=truth, frames=frames)
    if as_json:
        echo_json(result.as_dict())
    else:
        echo(result.table())
    for path in result.write(output) if output is not None else ():
        echo(f"wrote {path}", err=as_json)


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
