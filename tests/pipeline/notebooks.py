"""Small notebooks that a run of the pipeline takes a second for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat


def notebook(path: Path, parameters: str, *cells: str) -> Path:
    """Write a notebook with a cell of parameters, and others."""
    sources: Sequence[str] = (parameters, *cells)
    made = [nbformat.v4.new_code_cell(source) for source in sources]
    made[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), path)
    return path
