"""Reading YAML that somebody else may have written: small, and without references from one place to another.

A reference (`*name`) makes a file of 400 bytes stand for a billion values; see
https://en.wikipedia.org/wiki/Billion_laughs_attack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 100_000
"""Larger files are refused."""


class Loader(yaml.SafeLoader):
    """Reads one document and refuses references."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; called by PyYAML for each of them."""
        if self.check_event(yaml.AliasEvent):
            text = "references (`*name`) are not allowed: repeat the value"
            raise yaml.composer.ComposerError(None, None, text, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


def loader_of(path: Path) -> Loader:
    """A loader of the document in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is too large, or not UTF-8.
        yaml.YAMLError: It has characters that YAML does not allow.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return Loader(content.decode())


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is too large, or not UTF-8.
        yaml.YAMLError: It is not YAML, or has references.
        RecursionError: It is nested too deeply.
    """
    return loader_of(path).get_single_data()
