"""Imports go in one direction: from the top of this list to the bottom, type-checking imports included.

A package may import those below it. Modules of one package may import each other, without a cycle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.paths import TOP

LAYERS = (
    ("rededge_nb.cli",),
    ("rededge_nb",),  # its names are imported when they are first used
    ("rededge_nb.jupyter",),
    ("rededge_nb.workbench",),
    ("rededge_nb.widgets", "rededge_nb.web"),
    ("rededge_nb.camera", "rededge_nb.own_models"),
    ("rededge_nb.live",),
    ("rededge_nb.monitoring", "rededge_nb.pipeline"),
    ("rededge_nb.notify",),
    ("rededge_nb.clips",),
    ("rededge_nb.history",),
    ("rededge_nb.display",),
    ("rededge_nb.capture",),
    ("rededge_nb.capture.sources",),
    ("rededge_nb.capture.values",),
    ("rededge_nb.control.model_import",),
    ("rededge_nb.control",),
    ("rededge_nb.reading",),
    ("rededge_nb.connection",),
    ("rededge_nb.streams", "rededge_nb.lease"),
    ("rededge_nb.edge.server",),
    ("rededge_nb.edge.worker",),
    ("rededge_nb.edge.gears.commands",),
    ("rededge_nb.edge.gears.engine",),
    ("rededge_nb.edge.gears.script", "rededge_nb.edge.gears.runners"),
    ("rededge_nb.edge.gears.state",),
    ("rededge_nb.edge.gears.chain",),
    ("rededge_nb.edge.gears.runtime",),
    ("rededge_nb.edge.ai.commands",),
    ("rededge_nb.edge.ai.parsing",),
    ("rededge_nb.edge.ai.execution",),
    ("rededge_nb.edge.ai.storage", "rededge_nb.edge.ai.backends"),
    ("rededge_nb.edge.ai",),
    ("rededge_nb.edge.client", "rededge_nb.edge.switchboard"),
    ("rededge_nb.edge",),
    ("rededge_nb.analytics",),
    ("rededge_nb.images",),
    ("rededge_nb.image_headers",),
    ("rededge_nb.assets", "rededge_nb.schema"),
    ("rededge_nb.settings",),
    ("rededge_nb.addresses", "rededge_nb.time_zones", "rededge_nb.yaml_files"),
    ("rededge_nb.errors", "rededge_nb._version"),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
PACKAGE = TOP / "rededge_nb"
MODULES = {
    ".".join(("rededge_nb", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def unit_of(module: str) -> str:
    """The name in LAYERS that a module belongs to: itself, or the nearest package around it."""
    while module not in LAYER_OF:
        module = module.rpartition(".")[0]
    return module


def imports_of(module: str, path: Path) -> Iterator[tuple[str, int]]:
    """The modules of the package that a module imports anywhere, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((each.name, node.lineno) for each in node.names if each.name.split(".")[0] == "rededge_nb")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rededge_nb":
            assert node.level == 0, f"{path}:{node.lineno} imports by a relative name"
            for each in node.names:
                name = f"{node.module}.{each.name}"
                yield (name if name in MODULES else str(node.module)), node.lineno


IMPORTS = {module: tuple(imports_of(module, path)) for module, path in MODULES.items()}


def test_every_package_has_its_layer() -> None:
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    missing = {package for package in packages if package not in LAYER_OF} - {"rededge_nb.edge.gears"}
    assert not missing, "add the package to LAYERS, at the place that its imports need"


def test_imports_go_downwards() -> None:
    upwards = [
        f"{MODULES[module].relative_to(TOP)}:{line} imports {imported}"
        for module, imported_ones in IMPORTS.items()
        for imported, line in imported_ones
        if unit_of(imported) != unit_of(module) and LAYER_OF[unit_of(imported)] <= LAYER_OF[unit_of(module)]
    ]
    assert not upwards, "\n".join(upwards)


def test_modules_of_one_package_do_not_import_each_other_in_a_circle() -> None:
    reachable: dict[str, set[str]] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module in reachable:
            return
        for imported, _ in IMPORTS.get(module, ()):
            if imported != module and unit_of(imported) == unit_of(module):
                visit(imported, (*path, module))
        reachable[module] = set()

    for module in MODULES:
        visit(module, ())
