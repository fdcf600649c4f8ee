"""What a user may say about a model that is imported; everything else is found out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rededge_nb.control.model_import.preparation import COLOURS, RESIZES, SCALES
from rededge_nb.errors import ModelImportError

NAME_FILES = (".txt", ".names")
"""Endings of files with names of classes."""
_NAMES, _NUMBERS = ("classes", "count"), ("confidence", "iou")


@dataclass(frozen=True)
class ImportOptions:
    """What is not to be found out. None and empty: find it out.

    Attributes:
        name: The name of the model; default: that of the file.
        layout: The name of a layout, see `layouts.LAYOUTS`.
        classes: The names of all classes, in the order of the model; `("coco",)` for those of COCO.
        count: The names of the classes that are counted, together; default: person, or the only class.
        plural: What several of the counted objects are called; default: by the rules of English.
        size_wh: Width and height of the model's input, for a model that leaves them open.
        colour: One of COLOURS: the order of the channels that the model was trained with.
        scale: One of SCALES: the range of values that the model was trained with.
        resize: One of RESIZES: how images were fitted into the input when the model was trained.
        confidence: Least confidence of a box that is counted, 0 to 1.
        iou: Of two boxes with a higher IoU the less confident one is removed.
        summary: One line for lists.
        licence: The licence of the weights.
        origin: Where the weights come from.
    """

    name: str | None = None
    layout: str | None = None
    classes: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    plural: str | None = None
    size_wh: tuple[int, int] | None = None
    colour: str | None = None
    scale: str | None = None
    resize: str | None = None
    confidence: float | None = None
    iou: float | None = None
    summary: str | None = None
    licence: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        """Check what does not need the model.

        Raises:
            ModelImportError: A value is not allowed.
        """
        types = dict.fromkeys(_NAMES, tuple) | dict.fromkeys(_NUMBERS, (int, float)) | {"size_wh": tuple}
        for name, value in vars(self).items():
            if value is not None and not isinstance(value, types.get(name, str)):
                raise ModelImportError(f"{name} is {value!r}, which has the wrong type")
        for name, allowed in (("colour", COLOURS), ("scale", tuple(SCALES)), ("resize", RESIZES)):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ModelImportError(f"{name} is {value!r}: write {', '.join(allowed)}")
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ModelImportError(f"{name} is {value}: a number from 0 to 1 is needed")
        if self.size_wh is not None and (len(self.size_wh) != 2 or min(self.size_wh) < 1):
            raise ModelImportError(f"size is {self.size_wh}: width and height are needed, 1 or more each")

    def to_json(self) -> str:
        """The options as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ImportOptions:
        """The options from `to_json`."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ImportOptions:
        """Options by their names; a list or one text may stand for a tuple.

        Raises:
            ModelImportError: There is no option of that name, or its value has another type.
        """
        known = [each.name for each in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ModelImportError(f"there is no option {', '.join(unknown)}: write {', '.join(known)}")
        given: dict[str, Any] = dict(values)
        for name, value in values.items():
            if isinstance(value, list):
                given[name] = tuple(value)
            elif isinstance(value, str) and name in _NAMES:
                given[name] = (value,)
        return cls(**given)


def names_from(text: str | None) -> tuple[str, ...]:
    """Names of classes that a user wrote: separated by commas, or the name of a text file with one in each line."""
    if not text:
        return ()
    file = Path(text)
    try:
        lines = file.read_text().splitlines() if file.suffix in NAME_FILES and file.is_file() else text.split(",")
    except (OSError, ValueError) as error:
        raise ModelImportError(f"the names of classes in {text} cannot be read: {error}") from error
    return tuple(name.strip() for name in lines if name.strip())


def size_from(text: str | None) -> tuple[int, int] | None:
    """Width and height that a user wrote: 640x480, or one number for both."""
    if text is None:
        return None
    sides = text.lower().split("x")
    try:
        numbers = [int(side) for side in sides]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2:
        raise ModelImportError(f"size is {text!r}: write width and height, such as 640x480")
    return numbers[0], numbers[-1]
