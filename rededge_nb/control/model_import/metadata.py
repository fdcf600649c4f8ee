"""What exporters write into an ONNX file about the model: class names, input size, licence."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

_MAX_LENGTH = 200_000
"""Characters of a value that is read as a list or dictionary."""


@dataclass(frozen=True)
class Metadata:
    """What a file says about its model.

    Attributes:
        names: Class names in the order of the model; empty if the file has none.
        size_wh: Width and height that the model was trained with.
        task: Such as `detect` or `segment`.
        licence: Licence of the weights.
        description: What the model is.
        exporter: The program that wrote the file.
    """

    names: tuple[str, ...] = ()
    size_wh: tuple[int, int] | None = None
    task: str = ""
    licence: str = ""
    description: str = ""
    exporter: str = ""


def read_metadata(model: ModelProto) -> Metadata:
    """Read what is known of the metadata; what cannot be understood is left out.

    Ultralytics, YOLOv5 and YOLOv9 write `names` (a dictionary), `imgsz` (height, width), `task`, `license` and
    `description`. Models of this package have `classes`, `licence` and `origin`.
    """
    values = {entry.key: entry.value for entry in model.metadata_props}
    exporter = f"{model.producer_name} {model.producer_version}".strip()
    return Metadata(
        names=_names(values.get("names") or values.get("classes") or ""),
        size_wh=_size_wh(values.get("imgsz", "")),
        task=_line(values.get("task", "")),
        licence=_line(values.get("licence") or values.get("license") or ""),
        description=_line(values.get("origin") or values.get("description") or model.doc_string),
        exporter=_line(exporter),
    )


def clean_name(name: object) -> str:
    """A class name as it can be shown: one line of printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())[:64]


def _names(text: str) -> tuple[str, ...]:
    value = _value(text)
    if isinstance(value, dict):
        try:
            numbers = {int(number): name for number, name in value.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(numbers) != list(range(len(numbers))):
            return ()
        value = [numbers[number] for number in range(len(numbers))]
    elif not isinstance(value, list | tuple):
        value = text.split(",") if text and not text.startswith("COCO") else []
    names = tuple(clean_name(name) for name in value)
    return names if all(names) else ()


def _size_wh(text: str) -> tuple[int, int] | None:
    value = _value(text)
    if isinstance(value, int):
        value = [value, value]
    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(each, int) and each > 0 for each in value)
    ):
        return value[1], value[0]
    return None


def _value(text: str) -> Any:
    """A Python or JSON value, or None."""
    if len(text) > _MAX_LENGTH:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return None


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
