"""The report of a pipeline run: a table of its figures, an HTML page for each notebook, and an index of both."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SNAPSHOT = "-snapshot"
"""Part of the class of a widget's snapshot; see widgets/snapshot.py."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #222 }}
  h1 {{ font-size: 1.5rem; margin-bottom: .2rem }}
  p {{ color: #555; margin-top: 0 }}
  table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0 }}
  td, th {{ padding: .35rem .6rem; border-bottom: 1px solid #ddd; text-align: left }}
  td + td {{ font-variant-numeric: tabular-nums }}
  .failed {{ color: #b00020; white-space: pre-wrap }}
  footer {{ color: #777; font-size: .85rem }}
</style>
<h1>{title}</h1>
<p>{subtitle}</p>
{failure}
<table>{figures}</table>
{meaning}
<h2>Notebooks</h2>
<table>{notebooks}</table>
<footer>{versions}. All figures: <a href="summary.json">summary.json</a></footer>
</html>
"""

MEANING = """<p><b>People seen</b> are the people whom the tracker followed in these frames, each counted once, however
long they stayed. The number counts visits, not different persons. Somebody who leaves the view and comes back counts
again, and so does somebody who was hidden for more than three seconds. Somebody whom the model never finds, because
they are small or hidden most of the time, is missing. Nobody is recognised. <b>People in view</b> is the number of
people in a single frame.</p>"""


def rows_of(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of the report, each as name and text."""
    if "frames" not in summary:
        return [("frames", "none: the run has captured nothing")]
    frames, people = summary["frames"], summary["people"]
    rows = [
        ("frames in", str(frames["in"])),
        ("processed", str(frames["processed"])),
        ("dropped", str(frames["dropped"])),
        ("failed", str(frames["failed"])),
        ("people seen", "-" if people["seen"] is None else str(people["seen"])),
        ("people in view, mean", _number(people["mean"], 2)),
        ("people in view, min to max", f"{_number(people['min'], 0)} to {_number(people['max'], 0)}"),
        ("frames per second", _number(summary["frames_per_second"], 1)),
    ]
    for line, counts in summary.get("lines", {}).items():
        rows.append((f"line {line}", ", ".join(f"{count} {direction}" for direction, count in counts.items())))
    for zone, figures in summary.get("zones", {}).items():
        most, stay = _number(figures["people_max"], 0), _number(figures["stay_median_s"], 1)
        rows.append((f"zone {zone}, most people / median stay", f"{most} / {stay} s"))
    for step, figures in summary["ms_per_step"].items():
        rows.append((f"ms {step}, median / p95", f"{_number(figures['median'], 1)} / {_number(figures['p95'], 1)}"))
    rows.append(("duration", f"{summary['seconds']} s"))
    return rows


def as_table(summary: dict[str, Any]) -> str:
    """Format the figures as aligned text."""
    rows = rows_of(summary)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>14}" for name, value in rows)


def write_html(notebook: Path) -> Path | None:
    """Make an HTML page of an executed notebook. Returns None if there is none, for example without a kernel."""
    import nbformat
    from nbconvert import HTMLExporter

    if not notebook.exists():
        return None
    # without these settings the page loads scripts from other servers, for formulas and widgets that it does not have
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jupyter_widgets_base_url="")
    # the title of the page
    resources = {"metadata": {"name": notebook.stem}}
    page, _ = exporter.from_notebook_node(_without_widgets(nbformat.read(notebook, as_version=4)), resources)
    target = notebook.with_suffix(".html")
    target.write_text(page)
    return target


def write_index(folder: Path, summary: dict[str, Any]) -> Path:
    """Write index.html, which links all files in the folder of a run."""
    figures = "".join(f"<tr><td>{html.escape(name)}<td>{html.escape(value)}" for name, value in rows_of(summary))
    notebooks = "".join(
        f'<tr><td><a href="{step["notebook"]}.html">{step["notebook"]}</a><td>{step["outcome"]}'
        f'<td>{step["seconds"]} s<td><a href="{step["notebook"]}.ipynb">.ipynb</a>'
        for step in summary["notebooks"]
    )
    failure = f'<p class="failed">{html.escape(summary["error"])}</p>' if summary["error"] else ""
    index = folder / "index.html"
    index.write_text(
        PAGE.format(
            title=f"People counted in {html.escape(summary['source'])}",
            subtitle=f"Camera {html.escape(summary['camera'])}, {summary['started']}, {summary['outcome']}",
            failure=failure,
            figures=figures,
            notebooks=notebooks,
            meaning=MEANING if summary.get("people", {}).get("seen") is not None else "",
            versions=html.escape(", ".join(f"{name} {value}" for name, value in summary["versions"].items())),
        )
    )
    return index


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


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
