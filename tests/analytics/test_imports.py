"""What the tracker may import: it runs inside gears, and starts with each of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import rededge_nb.analytics as package

FOLDER = Path(package.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))
PREFIX = "rededge_nb.analytics"


def imports(module: str) -> set[str]:
    """Full names of the modules that it names, those for type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found.update({f"{base}.{alias.name}" for alias in node.names} if base == PREFIX else {base})
    return found


def everything_behind(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for name in imports(waiting.pop()) - found:
            found.add(name)
            if name.startswith(f"{PREFIX}."):
                waiting.append(name.removeprefix(f"{PREFIX}."))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_analytics_needs_nothing_of_the_package_but_the_errors(module: str) -> None:
    own = {name for name in imports(module) if name.startswith("rededge_nb")}
    assert {name for name in own if not name.startswith(PREFIX)} <= {"rededge_nb.errors"}
    assert not imports(module) & {"redis", "time", "pathlib", "os", "io"}


def test_nothing_reads_a_clock() -> None:
    """Schedules convert times with datetime; whoever calls them brings the time."""
    for module in MODULES:
        assert not re.search(r"\.(now|today|utcnow)\(", (FOLDER / f"{module}.py").read_text()), module


def test_the_tracker_needs_no_numpy() -> None:
    names = everything_behind("tracking")
    assert "rededge_nb.analytics.pairing" in names
    assert not {name for name in names if name.split(".")[0] in ("numpy", "cv2")}
