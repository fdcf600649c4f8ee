"""A model of your own, in one step: import its file, try it on an image, and let the people counter use it.

`rededge models import`, `wb.models.import_file` and the model panel of the dashboard use this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import redis

from rededge_nb.control.model_import import ImportedModel, ImportOptions, import_model
from rededge_nb.control.models import key_of, list_models, load_card
from rededge_nb.control.provision import use_model
from rededge_nb.display.drawing import draw_boxes
from rededge_nb.errors import ModelImportError
from rededge_nb.images import MAX_IMAGE_FILE_BYTES, Image, decode_image, encode_jpeg

TRIED = ".try.jpg"
"""Ending of the file of an image with what the model has found in it."""


def import_file(
    file: Path,
    options: ImportOptions | None = None,
    *,
    output: Path | None = None,
    image: Path | None = None,
    ask: Callable[[str], str] | None = None,
    use_in: redis.Redis | None = None,
    device: str | None = None,
) -> ImportedModel:
    """Import a detector from an ONNX file.

    Args:
        file: The ONNX file, as an exporter wrote it.
        options: What is not to be found out.
        output: The folder of the model and its card; default: that of the file.
        image: An image file to try it on. It is written with boxes to NAME.try.jpg, beside the card.
        ask: Asks the user for the licence and the origin, if they are not known.
        use_in: A connection to the server whose people counter is to use the model.
        device: Where that server's workers run it, as in `control.provision.provision`.

    Raises:
        ModelImportError: The file is damaged, its layout is not known, or what the model finds is not plausible.
            Nothing was written.
        SourceError: The image cannot be read.
        ModelError: The server refuses the model. The people counter keeps the one that it has.
    """
    pixels = None if image is None else _read_image(image)
    result = import_model(file, options, output=output, image=pixels, ask=ask)
    changes = []
    if pixels is not None and result.tried is not None:
        drawn = result.card_file.with_suffix(TRIED)
        boxes = draw_boxes(pixels, result.tried[:, :4], result.tried[:, 4])
        drawn.write_bytes(encode_jpeg(boxes, quality=90))
        changes.append(f"wrote {drawn}, your image with the boxes")
    if use_in is not None:
        changes += use_imported(use_in, result.card_file, device)
    return replace(result, changes=tuple(changes))


def use_imported(client: redis.Redis, card_file: Path, device: str | None = None) -> list[str]:
    """Let the people counter use an imported model. Returns one sentence for each change."""
    changes = use_model(client, str(card_file), device)
    card = load_card(card_file)
    key = key_of(client, card)
    # each version has a key of its own, so that a frame never gets a new model with old settings
    older = [each.key for each in list_models(client) if each.tag.startswith(f"{card.name}@") and each.key != key]
    return changes + [f"an older version is stored too: `rededge models remove {each}` removes it" for each in older]


def _read_image(path: Path) -> Image:
    try:
        if path.stat().st_size > MAX_IMAGE_FILE_BYTES:
            raise ModelImportError(f"{path} is larger than {MAX_IMAGE_FILE_BYTES:,} bytes: take a smaller image")
        return decode_image(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelImportError(f"the image {path} cannot be read: {error.strerror}") from error
