"""An HTML page of an executed notebook, which needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SNAPSHOT = "-snapshot"
"""Part of the class of a widget's snapshot; see widgets/snapshot.py."""


def read_executed(notebook: Path) -> Any | None:
    """An executed notebook; None if there is none, or if the run was interrupted while the file was written."""
    import nbformat

    try:
        return nbformat.read(notebook, as_version=4)
    except (FileNotFoundError, ValueError):  # nbformat's errors of files that are no notebooks are ValueErrors
        return None


def write_html(notebook: Path) -> Path | None:
    """Make an HTML page of an executed notebook. Returns None if there is none, for example without a kernel."""
    from nbconvert import HTMLExporter

    executed = read_executed(notebook)
    if executed is None:
        return None
    # without these settings the page loads scripts from other servers, for formulas and widgets that it does not have
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jupyter_widgets_base_url="")
    # the title of the page
    resources = {"metadata": {"name": notebook.stem}}
    page, _ = exporter.from_notebook_node(_without_widgets(executed), resources)
    target = notebook.with_suffix(".html")
    target.write_text(page)
    return target


def _without_widgets(notebook: Any) -> Any:
    """Replace each widget by its still image. Controls, which have none, are removed."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if not _only_a_widget(output)]
            for output in cell.outputs:
                data = output.get("data", {})
                data.pop(WIDGET_VIEW, None)
                if SNAPSHOT in data.get("text/html", ""):
                    del data["text/html"]  # it asks the reader to run the cell; an image or text is beside it
    return notebook


def _only_a_widget(output: Any) -> bool:
    data = output.get("data", {})
    return WIDGET_VIEW in data and set(data) <= {WIDGET_VIEW, "text/plain"}
