"""Files that `torch.onnx` writes, for three kinds of heads: static and dynamic, float32 and float16."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rededge_nb.control.model_import.importing import run_import
from rededge_nb.control.model_import.options import ImportOptions
from tests.control.model_import.test_layouts import Case, check
from tests.control.model_import.toys import yolov8
from tests.paths import TOP

for package in ("torch", "onnxscript"):
    pytest.importorskip(package, reason="pip install 'rededge_nb[torch]' onnxscript")
HEADS = {"v5": "yolov5", "v8": "yolov8", "nms_free": "yolov10"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files, exported by a process of its own: PyTorch takes much memory."""
    folder = tmp_path_factory.mktemp("exported")
    script = Path(__file__).with_name("torch_exports.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TOP), *sys.path))}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("axes", ["static", "dynamic"])
@pytest.mark.parametrize("head", HEADS)
def test_an_export_is_imported(exported: Path, head: str, axes: str, dtype: str) -> None:
    result = run_import(exported / f"{head}-{axes}-{dtype}.onnx", ImportOptions(classes=("person", "dog")), {})
    assert result.recognised[0].startswith(f"layout {HEADS[head]} (")
    assert f" {dtype}, from " in result.recognised[1]
    check(result, Case(HEADS[head], yolov8))
