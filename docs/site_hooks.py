"""What mkdocs does with the pages before it renders them; see mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import rededge_nb

TOP = Path(__file__).parents[1]
REPOSITORY = "https://github.com/rededge-nb/rededge_nb/blob/HEAD"
API_PAGE = "reference/api.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text that mkdocs renders."""
    if page.file.src_uri == API_PAGE:
        markdown += "\n".join(f"\n::: {path_of(name)}\n" for name in rededge_nb.__all__ if not name.startswith("__"))
    return with_links_to_the_repository(markdown, (TOP / "docs" / page.file.src_uri).parent)


def path_of(name: str) -> str:
    """Where a public name is defined, for mkdocstrings, which reads the source and does not follow lazy imports."""
    value = getattr(rededge_nb, name)
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}.{name}"


def with_links_to_the_repository(markdown: str, folder: Path) -> str:
    """Let links that leave docs/, such as those to notebooks, lead to the repository, since the site has no such page.

    Raises:
        FileNotFoundError: such a file does not exist.
    """

    def target(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve(strict=True)
        if path.is_relative_to(TOP / "docs"):
            return match[0]
        return f"]({REPOSITORY}/{path.relative_to(TOP)}"

    return re.sub(r"\]\((\.\./[^)#\s]+)", target, markdown)
