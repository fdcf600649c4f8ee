"""Notebooks with values for their parameters, to be shown by another program than papermill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rededge_nb.pipeline.run import check_parameters


def with_parameters(notebook: Path, parameters: Mapping[str, object], folder: Path) -> Path:
    """A copy of a notebook in a folder, with a cell that sets the parameters; it runs where the notebook is.

    Raises:
        ConfigurationError: the notebook has no such parameter, or cannot be run.
    """
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = notebook.resolve()
    check_parameters([notebook], parameters)
    # papermill logs that the report mode is off, and the like
    copy = parameterize_notebook(load_notebook_node(str(notebook)), dict(parameters))
    there = nbformat.v4.new_code_cell(f"import os\n\nos.chdir({str(notebook.parent)!r})")
    copy.cells.insert(0, there)
    target = folder / notebook.name
    nbformat.write(copy, target)
    return target
