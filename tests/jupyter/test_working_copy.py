"""The working copy of the notebooks: created once, updated where nobody has written, never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from rededge_nb import assets
from rededge_nb.errors import ConfigurationError
from rededge_nb.jupyter import working_copy

NAME = "02_register_gear.ipynb"


@pytest.fixture
def originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The originals of an installation, which a test may change as a new version would."""
    folder = tmp_path / "originals"
    shutil.copytree(assets.folder("notebooks"), folder)
    monkeypatch.setattr(assets, "folder", lambda name: folder)
    return folder


@pytest.fixture
def copy(originals: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "copy"
    working_copy.prepare(folder)
    return folder


def change(path: Path, source: str) -> None:
    """Change the last cell of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source = source
    nbformat.write(notebook, path)


def run(path: Path) -> None:
    """Change outputs and counts, as running a notebook does."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 99, [nbformat.v4.new_output("stream", text="other")]
    nbformat.write(notebook, path)


def source(path: Path) -> str:
    return str(nbformat.read(path, as_version=4).cells[-1].source)


def test_it_has_everything_that_the_notebooks_need(originals: Path, copy: Path) -> None:
    names = {path.relative_to(originals) for path in originals.rglob("*") if path.is_file()}
    copied = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    assert copied == names | {Path(".rededge-notebooks.json")}
    assert (copy / NAME).read_bytes() == (originals / NAME).read_bytes()
    again = working_copy.prepare(copy)
    assert (again.created, again.updated, again.kept) == ((), (), ())


def test_a_new_version_updates_what_nobody_has_changed(originals: Path, copy: Path) -> None:
    run(copy / NAME)
    change(copy / "03_produce_frames.ipynb", "mine")
    for name in (NAME, "03_produce_frames.ipynb"):
        change(originals / name, "new")
    (originals / "data" / "README.md").write_text("new")
    done = working_copy.prepare(copy)
    assert done.updated == (NAME, "data/README.md")
    assert done.kept == ("03_produce_frames.ipynb",)
    assert "03_produce_frames.ipynb (`rededge notebooks --restore" in str(done)
    assert (source(copy / NAME), source(copy / "03_produce_frames.ipynb")) == ("new", "mine")
    assert working_copy.prepare(copy).kept == ("03_produce_frames.ipynb",)


def test_what_was_changed_or_added_stays(copy: Path) -> None:
    change(copy / NAME, "mine")
    (copy / "own.ipynb").write_text("own")
    working_copy.prepare(copy)
    assert source(copy / NAME) == "mine"
    assert (copy / "own.ipynb").read_text() == "own"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 3}'])
def test_a_damaged_notebook_or_record_is_not_lost(originals: Path, copy: Path, damage: str) -> None:
    (copy / NAME).write_text(damage)
    (copy / ".rededge-notebooks.json").write_text(damage)
    change(originals / NAME, "new")
    assert working_copy.prepare(copy).kept == (NAME,)
    assert (copy / NAME).read_text() == damage


def test_the_original_is_restored_and_the_own_one_kept(originals: Path, copy: Path) -> None:
    for number, text in enumerate(("first", "second"), 1):
        change(copy / NAME, text)
        mine = working_copy.restore("02_register_gear", copy)
        assert mine == copy / f"02_register_gear.mine-{number}.ipynb"
        assert source(mine) == text
        assert source(copy / NAME) == source(originals / NAME)
    (copy / NAME).unlink()
    assert working_copy.restore(NAME, copy) is None
    assert source(copy / NAME) == source(originals / NAME)


def test_wrong_names_and_folders_are_refused(originals: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no notebook 'nosuch'; the notebooks are 00_start_here, "):
        working_copy.restore("nosuch", tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="has the original notebooks"):
        working_copy.prepare(originals)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        working_copy.prepare(tmp_path / "file")


def test_originals_that_cannot_be_written_give_a_copy_that_can(originals: Path, tmp_path: Path) -> None:
    (originals / NAME).chmod(0o444)
    working_copy.prepare(tmp_path / "copy")
    assert (tmp_path / "copy" / NAME).stat().st_mode & 0o200
