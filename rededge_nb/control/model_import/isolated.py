"""A process of its own for an import.

A damaged or hostile file can make ONNX Runtime take all memory, run for ever or crash. In a process with a limit of
memory and of time that is an error message, and the notebook goes on.

    python -m rededge_nb.control.model_import.isolated FOLDER

FOLDER has `job.json` and perhaps `image.npy`; the process writes `result.json`, and `model.onnx` if all went well.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rededge_nb.control.model_import.options import ImportOptions
from rededge_nb.errors import ModelImportError
from rededge_nb.images import Image

MEMORY_LIMIT = 4 * 1024**3
"""Bytes of address space, apart from those for the model itself."""
MEMORY_OF_MODEL = 10
"""Bytes of address space for each byte of the model: it is copied and loaded more than once."""
SECONDS = 300
"""A longer import is ended."""
INSTALL_ONNX = "importing models needs the package onnx: pip install 'rededge_nb[models]'"

JOB, IMAGE, RESULT, MODEL = "job.json", "image.npy", "result.json", "model.onnx"


def run_isolated(
    path: Path, options: ImportOptions, kept: Mapping[str, Any], folder: Path, image: Image | None = None
) -> dict[str, Any]:
    """Import a model in a process of its own.

    Args:
        path: The ONNX file.
        options: What the user said.
        kept: The fields of the model's present card.
        folder: An empty folder; it gets the model.
        image: An image to try it on.

    Returns:
        The fields of `importing.Result`, without the blob, which is in the folder's file MODEL.

    Raises:
        ModelImportError: The model cannot be imported.
    """
    write_job(path, options, kept, folder, image)
    # -P: a module in the present folder must not take the place of one of ours
    command = [sys.executable, "-P", "-m", __name__, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ModelImportError(
            f"importing {path.name} was ended after {SECONDS} seconds: the model is too slow"
        ) from None
    return read_result(path, folder, done.returncode, done.stderr)


def write_job(
    path: Path, options: ImportOptions, kept: Mapping[str, Any], folder: Path, image: Image | None = None
) -> None:
    """Write what the process needs to know."""
    job = {"path": str(path.absolute()), "options": options.to_json(), "kept": dict(kept)}
    (folder / JOB).write_text(json.dumps(job, default=str))
    if image is not None:
        np.save(folder / IMAGE, image, allow_pickle=False)


def read_result(path: Path, folder: Path, returncode: int, stderr: str = "") -> dict[str, Any]:
    """Read what the process has found.

    Raises:
        ModelImportError: It refused the model, or died.
    """
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        if returncode < 0:
            how = f"was killed by the signal {signal.Signals(-returncode).name}"
        else:
            how = f"ended with {(stderr.strip().splitlines() or ['no message'])[-1][:300]}"
        raise ModelImportError(
            f"{path.name} cannot be imported: the process that loaded it {how}; the file is damaged, or the model "
            "needs too much memory"
        ) from None
    if "error" in result:
        raise ModelImportError(str(result["error"]))
    return result


def work(folder: Path) -> None:
    """Do the work of the process, with limited memory."""
    job = json.loads((folder / JOB).read_text())
    path = Path(job["path"])
    try:
        result = _import(path, job, folder)
    except ModelImportError as error:
        result = {"error": str(error)}
    except MemoryError:
        result = {"error": f"{path.name} cannot be imported: it needs too much memory"}
    except Exception as error:  # noqa: BLE001 - whatever a damaged file leads to, it is this file's fault
        result = {"error": f"{path.name} cannot be imported: {type(error).__name__}: {str(error)[:300]}"}
    (folder / RESULT).write_text(json.dumps(result))


def limit_memory(path: Path) -> None:
    """Bound the memory of this process, by the size of what is imported."""
    try:
        size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        size = max(size, path.stat().st_size)
    except OSError:
        size = 0
    limit = MEMORY_LIMIT + MEMORY_OF_MODEL * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _import(path: Path, job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModelImportError(INSTALL_ONNX) from error
    from rededge_nb.control.model_import.importing import run_import

    limit_memory(path)
    image_file = folder / IMAGE
    image = np.load(image_file, allow_pickle=False) if image_file.exists() else None
    result = run_import(path, ImportOptions.from_json(job["options"]), job["kept"], image)
    (folder / MODEL).write_bytes(result.blob)
    return {
        "changed": result.changed,
        "fields": result.fields,
        "recognised": result.recognised,
        "warnings": result.warnings,
        "sample_objects": result.sample_objects,
        "tried": None if result.tried is None else result.tried.tolist(),
    }


if __name__ == "__main__":
    work(Path(sys.argv[1]))
