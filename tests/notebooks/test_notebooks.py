"""The notebooks as they are committed; nbval and the pipeline run them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from rededge_nb import assets
from rededge_nb.pipeline.run import NOTEBOOKS

FOLDER = assets.folder("notebooks")
SHARED = {"camera": "str", "source": "str", "seconds": "float", "pace": "str", "live_minutes": "float"}
"""Parameters that the pipeline passes, and the type each must have."""
MAX_LINES = 25
MAX_BYTES = 150_000
MAX_IMAGE_BYTES = 100_000
WITH_A_STILL = {"03_produce_frames", "04_watch_streams", "05_time_series", "06_dashboard", "07_lines_and_zones"}
"""Notebooks that show a player or charts."""
LINK = re.compile(r"\]\(([^)#]+)\)")
PRIVATE = re.compile(
    r"/home/|/root/|/tmp/|/Users/|/work/|redis://|unix://|127\.0\.0\.1|localhost|password\W*[:=]|site-packages",
    re.IGNORECASE,
)


@pytest.fixture(params=sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def notebook(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def test_every_notebook_of_the_pipeline_is_there() -> None:
    assert set(NOTEBOOKS) <= {path.stem for path in FOLDER.glob("*.ipynb")}


def test_the_first_notebook_leads_to_all_others() -> None:
    start = nbformat.read(FOLDER / "00_start_here.ipynb", as_version=4)
    linked = {link for cell in start.cells for link in LINK.findall(cell.source) if link.endswith(".ipynb")}
    assert linked == {path.name for path in FOLDER.glob("*.ipynb")} - {"00_start_here.ipynb"}


def test_its_links_lead_to_files(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for link in LINK.findall(cell.source):
                assert (FOLDER / link).is_file(), link


def test_it_is_valid_and_asks_for_the_usual_kernel(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def test_its_code_fits_a_small_window(notebook: Any) -> None:
    """A longer line would have a scrollbar beside the file browser in a window of 1200 pixels."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    # a command of Redis is one line
    lines = [line for source in cells if not source.startswith("%%redis") for line in source.splitlines()]
    assert [line for line in lines if len(line) > 98] == []


def test_it_starts_with_its_goal_and_what_must_run(notebook: Any) -> None:
    title = notebook.cells[0]
    assert title.cell_type == "markdown"
    assert title.source.startswith("# ")
    assert "**At the end**" in title.source
    assert "**Must be running:**" in title.source


def test_its_second_cell_has_the_parameters_each_with_type_and_comment(notebook: Any) -> None:
    assert ["parameters" in tags(cell) for cell in notebook.cells[:3]] == [False, True, False]
    source = notebook.cells[1].source
    for line, statement in zip(source.splitlines(), ast.parse(source).body, strict=True):
        assert isinstance(statement, ast.AnnAssign), line
        assert isinstance(statement.target, ast.Name), line
        assert "  # " in line
        kind = ast.unparse(statement.annotation)
        assert kind.removesuffix(" | None") == SHARED.get(statement.target.id, kind.removesuffix(" | None"))


def test_its_cells_are_short_and_prose_comes_before_code(notebook: Any) -> None:
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source
    kinds = [cell.cell_type for cell in notebook.cells[3:]]
    assert kinds.count("markdown") * 2 >= kinds.count("code")


def test_it_ends_with_exercises_and_a_summary_and_says_how_to_close(notebook: Any) -> None:
    exercises, *after = next(
        notebook.cells[index:] for index, cell in enumerate(notebook.cells) if cell.source.startswith("## Exercises")
    )
    assert exercises.cell_type == "markdown"
    assert 2 <= len(re.findall(r"^\d\. ", exercises.source, re.MULTILINE)) <= 5
    assert [cell.cell_type for cell in after] in (["code"], ["markdown", "code"])
    assert "wb.close()" in "".join(cell.source for cell in (exercises, *after))
    last = after[-1]
    assert [output.output_type for output in last.outputs] == ["stream"]
    assert len(last.outputs[0].text.splitlines()) == 1


def test_it_was_run_from_top_to_bottom_without_errors(notebook: Any) -> None:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]


def test_it_is_small(path: Path, notebook: Any) -> None:
    assert path.stat().st_size <= MAX_BYTES
    images = [
        data
        for output in outputs(notebook)
        for kind, data in output.get("data", {}).items()
        if kind.startswith("image/")
    ]
    assert sum(len(data) * 3 // 4 for data in images) <= MAX_IMAGE_BYTES


def test_it_carries_no_state_of_widgets_or_papermill(notebook: Any) -> None:
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}
    assert not {kind for kind in kinds if "widget" in kind}


def test_live_views_have_an_image(path: Path, notebook: Any) -> None:
    pictured = [
        any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
        for cell in code_cells(notebook)
        if re.search(r"\bwb\.(player|charts|dashboard)\(", cell.source)
    ]
    assert all(pictured)
    assert bool(pictured) == (path.stem in WITH_A_STILL)


def test_it_has_nothing_about_the_computer_it_ran_on(notebook: Any) -> None:
    texts = [cell.source for cell in notebook.cells]
    for output in outputs(notebook):
        texts.append(output.get("text", ""))
        texts += [data for kind, data in output.get("data", {}).items() if not kind.startswith("image/")]
    assert [found[0] for text in texts if (found := PRIVATE.search(text))] == []


def test_papermill_sees_every_parameter(path: Path, notebook: Any) -> None:
    (cell,) = [cell for cell in code_cells(notebook) if "parameters" in tags(cell)]
    named = [node.target.id for node in ast.parse(cell.source).body if isinstance(node, ast.AnnAssign)]
    seen = papermill.inspect_notebook(str(path))
    assert list(seen) == named
    assert all(parameter["inferred_type_name"] != "None" for parameter in seen.values())
