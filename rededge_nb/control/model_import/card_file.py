"""Writing the card of a model: a YAML file that people read and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_ORDER = (
    ("name", "file", "sha256", "key", "backend", "summary"),
    ("input",),
    ("outputs",),
    ("counting",),
    ("tracking",),
    ("measured",),
    ("licence", "origin"),
    ("classes",),
)
"""The fields, in paragraphs."""
_RESIZES = {
    "stretch": "the whole frame; its aspect ratio is not kept",
    "aspect": "the input has the aspect ratio of the frame",
    "letterbox": "the largest size of the frame's aspect ratio that fits into width x height",
}
_COMMENTS = {
    ("input", "multiple"): "width and height are multiples of this",
    ("counting", "class"): "what is counted; people if this is missing",
    ("counting", "plural"): "what several of them are called",
    ("counting", "confidence"): "least, of a box that is counted",
    ("counting", "iou"): "of two boxes that overlap more the less confident one is removed",
    ("tracking", "low"): "least confidence that continues a track",
    ("tracking", "high"): "least confidence in the first pass",
    ("tracking", "new"): "least confidence that begins a track",
    ("measured", "time"): "of one run, relative to nanodet-g-416",
    ("measured", "ap"): "average precision at IoU 0.5, people",
}


def card_text(fields: Mapping[str, Any]) -> str:
    """The text of a card.

    Args:
        fields: Those of the card, as models/README.md describes them; others are left out.
    """
    paragraphs = []
    for names in _ORDER:
        lines = [line for name in names if name in fields for line in _field(name, fields[name])]
        if lines:
            paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs) + "\n"


def _field(name: str, value: Any) -> list[str]:
    """The lines of a field."""
    text = yaml.safe_dump(
        {name: value},
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=None if name == "classes" else False,
    )
    lines = text.rstrip("\n").split("\n")
    if not isinstance(value, Mapping):
        return lines
    comments = {inner: _COMMENTS[name, inner] for inner in value if (name, inner) in _COMMENTS}
    if name == "input" and value.get("resize") in _RESIZES:
        comments["resize"] = _RESIZES[value["resize"]]
    if name == "input" and value.get("resize") == "aspect":
        comments["width"] = "for a 4:3 frame; others get the same number of pixels"
    return [_commented(line, comments) for line in lines]


def _commented(line: str, comments: Mapping[str, str]) -> str:
    inner = line.strip().partition(":")[0]
    is_field = line.startswith("  ") and not line.startswith("   ")
    return f"{line} # {comments[inner]}" if is_field and inner in comments else line
