"""CUDA for ONNX models: whether ONNX Runtime can use a GPU of NVIDIA here, and if not, why.

The packages onnxruntime and onnxruntime-gpu install the same files, and only those of the second one contain CUDA.
RedisEdge requires the first. So where both are installed, CUDA is there only if the files of the second were written
last.
"""

from __future__ import annotations

import contextlib
import functools
import io
from importlib.metadata import PackageNotFoundError, version

from rededge_nb import settings

settings.disable_telemetry()
import onnxruntime  # noqa: E402 - it reads the setting of the line above when it is imported

PROVIDER = "CUDAExecutionProvider"
GPU_PACKAGE = "onnxruntime-gpu"
REPLACE = f"pip install --force-reinstall --no-deps {GPU_PACKAGE}"
"""The command after which the files are those of the package with CUDA."""
INSTALL = f"pip install 'rededge_nb[cuda]', then {REPLACE}"


def installed() -> str | None:
    """The version of the package with CUDA, or None."""
    try:
        return version(GPU_PACKAGE)
    except PackageNotFoundError:
        return None


def why_not_built_in() -> str | None:
    """Why the ONNX Runtime of this process has no CUDA, and what to do; None if it has."""
    if PROVIDER in onnxruntime.get_available_providers():
        return None
    if installed() is None:
        return f"{GPU_PACKAGE} is not installed: {INSTALL}"
    return f"{GPU_PACKAGE} is installed, but the files of onnxruntime have replaced its own: {REPLACE}"


@functools.cache
def load_libraries() -> str | None:
    """Loads the libraries of CUDA, those in Python packages too; returns what is wrong if one cannot be loaded."""
    said = io.StringIO()
    # it only prints what it cannot load, and standard output may be JSON
    with contextlib.redirect_stdout(said):
        onnxruntime.preload_dlls()
    missing = [line for line in said.getvalue().splitlines() if line.startswith("Failed to load ")]
    return f"{missing[0]}; pip install 'rededge_nb[cuda]' installs the libraries of CUDA" if missing else None
