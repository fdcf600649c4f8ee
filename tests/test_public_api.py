"""The public names of the package: what `rededge_nb.__all__` promises, and that notebooks use nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import rededge_nb
from rededge_nb import assets, errors
from tests.paths import TOP

NOTEBOOKS = sorted(assets.folder("notebooks").glob("*.ipynb"))


def test_the_names_are_sorted_and_complete() -> None:
    assert rededge_nb.__all__ == sorted(rededge_nb.__all__)
    assert len(set(rededge_nb.__all__)) == len(rededge_nb.__all__)
    named = {name for name in vars(errors) if name.endswith("Error")}
    assert named <= set(rededge_nb.__all__), "every error can be caught by a public name"


@pytest.mark.parametrize("name", rededge_nb.__all__)
def test_each_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(rededge_nb, name)
    assert name in dir(rededge_nb)
    if name != "__version__":
        assert value.__name__ == name
        assert len(value.__doc__.strip()) > 15
        assert not value.__doc__.startswith(f"{name}("), "a dataclass's generated docstring"


@pytest.mark.parametrize("name", [name for name in rededge_nb.__all__ if name[0].isupper()])
def test_public_methods_are_documented(name: str) -> None:
    members = {**vars(getattr(rededge_nb, name))}
    missing = [
        member
        for member, value in members.items()
        if not member.startswith("_") and (callable(value) or isinstance(value, property)) and not value.__doc__
    ]
    assert missing == []


def test_type_checkers_and_the_interpreter_import_from_the_same_modules() -> None:
    tree = ast.parse(Path(rededge_nb.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert declared == rededge_nb._MODULE_OF


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'WorkBench'"):
        rededge_nb.WorkBench  # noqa: B018


def test_the_package_is_imported_lazily() -> None:
    code = "import sys, rededge_nb; print(*sorted(name for name in sys.modules if name.startswith('rededge_nb')))"
    command = [sys.executable, "-c", f"{code}; assert not {{'redis', 'numpy', 'cv2'}} & set(sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=TOP).stdout.split()
    assert loaded == ["rededge_nb", "rededge_nb._version", "rededge_nb.errors"]


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import from the package in a cell."""
    python = "\n".join(line for line in source.splitlines() if not re.match(r"\s*(%|.*= %)", line))
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rededge_nb":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "rededge_nb")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_public_names_only(path: Path) -> None:
    found = [
        each
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and not cell.source.startswith("%%")
        for each in imports(cell.source)
    ]
    assert ("rededge_nb", "Workbench") in found
    assert [each for each in found if each[0] != "rededge_nb" or each[1] not in rededge_nb.__all__] == []
