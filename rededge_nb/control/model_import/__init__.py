"""Importing detectors: an ONNX file as an exporter wrote it becomes a model and a card that the people counter can use.

The steps: `reading` the file, collecting `facts`, recognising one of the `layouts`, `building` the nodes before and
after the network, and `checks` of what the finished model finds. They run in a process of their own (`isolated`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rededge_nb.control.model_import import isolated
from rededge_nb.control.model_import.card_file import card_text
from rededge_nb.control.model_import.options import ImportOptions, names_from, size_from
from rededge_nb.control.models import ModelCard, load_card
from rededge_nb.errors import ConfigurationError, ModelImportError
from rededge_nb.images import Image

__all__ = ["ImportOptions", "ImportedModel", "import_model", "names_from", "size_from"]

ENDING = ".rededge.onnx"
"""Ending of the file of an imported model."""
UNKNOWN = "unknown"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class ImportedModel:
    """An imported model; as text it says what was recognised.

    Attributes:
        card: Its card.
        card_file: The file of the card.
        recognised: What was recognised and why, one sentence each.
        warnings: What the user should look at.
        sample_objects: How many objects it finds in the sample image.
        tried: Objects in the user's image: float32 (n, 5), x1 y1 x2 y2 in pixels and confidence; None without an image.
        changes: What was changed in the server, one sentence each.
    """

    card: ModelCard
    card_file: Path
    recognised: tuple[str, ...]
    warnings: tuple[str, ...]
    sample_objects: int
    tried: NDArray[np.float32] | None = None
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What was recognised, and what to look at, one sentence a line."""
        warnings = [f"warning: {text}" for text in self.warnings]
        found = [] if self.tried is None else [f"found {len(self.tried)} in your image"]
        return "\n".join([*self.recognised, *found, *warnings, f"wrote {self.card_file}", *self.changes])


def import_model(
    path: Path,
    options: ImportOptions | None = None,
    *,
    output: Path | None = None,
    image: Image | None = None,
    ask: Callable[[str], str] | None = None,
) -> ImportedModel:
    """Import a detector: write `<name>.rededge.onnx` and its card `<name>.yaml`.

    What a present card of the same name says of thresholds, licence and origin is kept. Nothing is written unless all
    checks pass.

    Args:
        path: The ONNX file.
        options: What is not to be found out.
        output: The folder to write to; default: that of the ONNX file.
        image: An image to try the model on: uint8 of shape (height, width, 3), blue first.
        ask: Asks the user for the licence and the origin, if they are not known: from a question to the answer.

    Raises:
        ModelImportError: The file is damaged, its layout is not known, what the model finds is not plausible, or the
            package onnx is not installed.
    """
    options = options or ImportOptions()
    name = _usable_name(path) if options.name is None else options.name
    if not _NAME.fullmatch(name):
        raise ModelImportError(f"the name {name!r} cannot be used: give one of 1 to 64 letters, digits, '_', '-', '.'")
    folder = path.parent if output is None else output
    card_file = folder / f"{name}.yaml"
    kept = _present_card(card_file) or (_present_card(path.with_suffix(".yaml")) if output is not None else {})
    with tempfile.TemporaryDirectory(prefix="rededge-import-") as temporary:
        result = isolated.run_isolated(path, replace(options, name=name), kept, Path(temporary), image)
        model = Path(temporary) / isolated.MODEL
        file = path.name if not result["changed"] else f"{name}{ENDING}"
        fields = _all_fields(name, file, result["fields"], kept, options)
        if ask is not None:
            fields |= {field: ask(text).strip() or UNKNOWN for field, text in _unknown(fields).items()}
        try:
            _write(folder, model, file, card_file, card_text(fields))
        except OSError as error:
            raise ModelImportError(f"the model cannot be written to {folder}: {error.strerror or error}") from error
    warnings = [*result["warnings"], *_missing(fields)]
    tried = None if result["tried"] is None else np.array(result["tried"], np.float32).reshape(-1, 5)
    return ImportedModel(
        load_card(card_file),
        card_file,
        tuple(result["recognised"]),
        tuple(warnings),
        int(result["sample_objects"]),
        tried,
    )


def _usable_name(path: Path) -> str:
    """The name of a model by that of its file, which may have other characters than a name."""
    stem = path.name.removesuffix(".onnx").removesuffix(".rededge")
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.")[:64] or "model"


def _present_card(path: Path) -> dict[str, Any]:
    """The fields of the card in a file; empty if there is no file.

    Raises:
        ModelImportError: The file is something else, which must not be replaced.
    """
    if not path.exists():
        return {}
    fields: Any = None
    with contextlib.suppress(ConfigurationError, OSError, ValueError, yaml.YAMLError):
        load_card(path)
        fields = yaml.safe_load(path.read_text())
    if not isinstance(fields, dict):
        raise ModelImportError(f"{path} is there already, and is no model card: give another name, or another folder")
    return fields


def _all_fields(
    name: str, file: str, found: Mapping[str, Any], kept: Mapping[str, Any], options: ImportOptions
) -> dict[str, Any]:
    """All fields of the card: as the user says, else as the present card says, else as was found out."""
    same_weights = kept.get("sha256") == found["sha256"]
    texts = {
        field: getattr(options, field)
        or (kept.get(field) if field != "summary" or same_weights else "")
        or found[field]
        for field in ("summary", "licence", "origin")
    }
    return {
        "name": name,
        "file": file,
        "sha256": found["sha256"],
        # a key for each version: the gear must never run a new model with the settings of the one before
        "key": kept["key"] if same_weights else f"model:{name}:{found['sha256'][:8]}",
        "backend": "ONNX",
        "summary": texts["summary"],
        "input": found["input"],
        "outputs": kept["outputs"] if same_weights and "outputs" in kept else found["outputs"],
        "counting": found["counting"],
        **({"tracking": kept["tracking"]} if "tracking" in kept else {}),
        # what was measured with other weights does not hold for these
        **({"measured": kept["measured"]} if "measured" in kept and same_weights else {}),
        "licence": texts["licence"] or UNKNOWN,
        "origin": str(texts["origin"]).strip() or UNKNOWN,
        "classes": found["classes"],
    }


def _unknown(fields: Mapping[str, Any]) -> dict[str, str]:
    """What is not known, in words, by its field."""
    texts = {"licence": "the licence of the weights", "origin": "where the weights come from"}
    return {name: text for name, text in texts.items() if fields[name] == UNKNOWN}


def _missing(fields: Mapping[str, Any]) -> list[str]:
    return [f"{text} is not known: give --{name}, or write it into the card" for name, text in _unknown(fields).items()]


def _write(folder: Path, model: Path, file: str, card_file: Path, text: str) -> None:
    """Write the model, then its card: a card never names a file that is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file
    if not target.exists() or target.read_bytes() != model.read_bytes():
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(model, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    part = card_file.with_name(f".{card_file.name}.part")
    try:
        part.write_text(text)
        part.replace(card_file)
    finally:
        part.unlink(missing_ok=True)
