"""A copy of the notebooks that a learner may change.

JupyterLab saves a notebook every two minutes. If it opened the notebooks of the installation, an exercise would change
what the pipeline, the dashboard page and schedules run, and the next upgrade would delete it. So people work on a copy.

A newer version of the package updates the files of the copy, but only those whose cells are as they were copied: what
somebody has written is never overwritten. Outputs do not count, because running a cell is no change of the notebook. A
file in the copy, `.rededge-notebooks.json`, remembers what was copied.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rededge_nb import assets
from rededge_nb.errors import ConfigurationError

DEFAULT_FOLDER = Path("rededge-notebooks")
FIRST = "00_start_here.ipynb"
"""The notebook to begin with."""

_RECORD = ".rededge-notebooks.json"


@dataclass(frozen=True)
class WorkingCopy:
    """A working copy, and what was done to bring it up to date.

    Attributes:
        created: Files that were copied.
        updated: Files that were replaced by a newer original.
        kept: Files with a newer original that were not replaced, because somebody has changed them.
    """

    folder: Path
    created: tuple[str, ...]
    updated: tuple[str, ...]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"the notebooks are in {self.folder}"]
        if self.updated:
            parts.append(f"updated: {', '.join(self.updated)}")
        if self.kept:
            parts.append(
                f"there are newer versions of notebooks that you have changed: {', '.join(self.kept)} "
                "(`rededge notebooks --restore NAME` takes the new one and keeps yours beside it)"
            )
        return "; ".join(parts)


def prepare(folder: Path = DEFAULT_FOLDER) -> WorkingCopy:
    """Create a working copy of the notebooks, or bring it up to date.

    Raises:
        ConfigurationError: the folder cannot be written, or is the folder of the originals.
    """
    originals = assets.folder("notebooks")
    if folder.resolve() == originals.resolve():
        raise ConfigurationError(f"{folder} has the original notebooks: choose another folder for the working copy")
    try:
        return _prepare(folder, originals)
    except OSError as error:
        raise ConfigurationError(
            f"the working copy of the notebooks cannot be written to {folder}: {error}; choose another folder"
        ) from error


def restore(name: str, folder: Path = DEFAULT_FOLDER) -> Path | None:
    """Put the original of a notebook into the working copy.

    Args:
        name: Name of the notebook, with or without `.ipynb`.
        folder: The working copy.

    Returns:
        Where the notebook that was there is now; None if there was none.

    Raises:
        ConfigurationError: there is no notebook of this name, or the folder cannot be written.
    """
    file = f"{name.removesuffix('.ipynb')}.ipynb"
    originals = assets.folder("notebooks")
    if not (originals / file).is_file():
        known = ", ".join(path.stem for path in sorted(originals.glob("*.ipynb")))
        raise ConfigurationError(f"there is no notebook {name!r}; the notebooks are {known}")
    try:
        mine = folder / file
        saved = _free_name(mine) if mine.exists() else None
        if saved is not None:
            mine.rename(saved)
        _prepare(folder, originals)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be restored in {folder}: {error}") from error
    return saved


def _prepare(folder: Path, originals: Path) -> WorkingCopy:
    record = _read_record(folder)
    created, updated, kept = [], [], []
    for original in sorted(path for path in originals.rglob("*") if _is_part(path, originals)):
        name = str(original.relative_to(originals))
        copy, digest = folder / name, _digest(original)
        if not copy.exists():
            created.append(name)
        elif record.get(name) == digest or _digest(copy) == digest:
            record[name] = digest
            continue
        elif _digest(copy) == record.get(name):
            updated.append(name)
        else:
            kept.append(name)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(original, copy)
        record[name] = digest
    _write(folder / _RECORD, json.dumps(record, indent=1).encode())
    return WorkingCopy(folder, tuple(created), tuple(updated), tuple(kept))


def _is_part(path: Path, originals: Path) -> bool:
    """Whether a file belongs to the notebooks; JupyterLab keeps checkpoints beside them."""
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(originals).parts)


def _digest(path: Path) -> str:
    """Of a notebook the cells without outputs; of any other file its bytes."""
    data = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            cells = [[cell["cell_type"], "".join(cell["source"])] for cell in json.loads(data)["cells"]]
        except (ValueError, LookupError, TypeError):
            pass  # it was damaged, so it is not the original
        else:
            data = json.dumps(cells).encode()
    return hashlib.sha256(data).hexdigest()


def _read_record(folder: Path) -> dict[str, str]:
    try:
        found: Any = json.loads((folder / _RECORD).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _copy(original: Path, copy: Path) -> None:
    # without the mode of the original, which may be read-only in a system-wide installation
    temporary = copy.with_name(f".{copy.name}.new")
    shutil.copyfile(original, temporary)
    temporary.replace(copy)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(data)
    temporary.replace(path)


def _free_name(path: Path) -> Path:
    """A name for a file beside this one that does not exist yet."""
    number = 1
    while (candidate := path.with_name(f"{path.stem}.mine-{number}{path.suffix}")).exists():
        number += 1
    return candidate
