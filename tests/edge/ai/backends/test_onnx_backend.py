from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rededge_nb import assets
from rededge_nb.control.models import load_card
from rededge_nb.edge.ai.backends import cuda, onnx
from rededge_nb.edge.ai.backends.onnx_external import has_external_data
from rededge_nb.edge.switchboard.calls import CommandError
from tests.edge.ai import onnx_files
from tests.edge.ai.onnx_files import field


def _loaded_on(device: str) -> str:
    """Where a model for a device runs, or why it is refused."""
    try:
        return str(onnx.load(onnx_files.binary("Add"), device=device, threads=1)._session.get_providers()[0])
    except CommandError as error:
        return str(error)


GPU = _loaded_on("GPU:0")
OUTSIDE = onnx_files.external_tensor("w", "weights.bin")


@pytest.mark.parametrize(
    "model",
    [
        onnx_files.external(),
        field(7, field(5, OUTSIDE)) + field(7, field(2, "merged with another graph")),
        field(7, field(1, field(5, field(5, OUTSIDE)))),  # a constant
        field(7, field(1, field(5, field(6, field(5, OUTSIDE))))),  # in the branch of an if
        field(7, field(15, field(1, OUTSIDE))),  # sparse
        field(25, field(7, field(5, field(10, OUTSIDE)))),  # in a function
        field(20, field(1, field(5, OUTSIDE))),  # for training
        field(7, field(5, OUTSIDE.replace(field(14, 1), b"\x70\x81\x80\x00"))),  # a longer way to write 1
        field(7, field(5, OUTSIDE.replace(field(14, 1), b"\xf0\x80\x80\x80\x10\x01"))),  # more bits than a tag has
    ],
)
def test_external_data_is_found_in_every_part_of_a_model(model: bytes) -> None:
    assert has_external_data(model)


def test_data_in_the_file_itself_is_accepted() -> None:
    assert not has_external_data(onnx_files.huge(1000))
    assert not has_external_data(b"")


@pytest.mark.parametrize(
    "blob",
    [
        onnx_files.external()[:-1],
        b"\x0b\x0c" + onnx_files.external(),  # a group, which protobuf would pass over
        b"\xff" * 20,
    ],
)
def test_a_file_that_cannot_be_parsed_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|varint"):
        has_external_data(blob)


def test_too_many_nested_messages_are_refused() -> None:
    graph = b""
    for _ in range(100):
        graph = field(1, field(5, field(6, graph)))
    with pytest.raises(ValueError, match="deep"):
        has_external_data(field(7, graph))


def test_importing_the_command_table_imports_no_backend() -> None:
    code = "import sys, rededge_nb.edge.ai.commands; print('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_onnx_runtime_sends_no_usage_data(tmp_path: Path) -> None:
    code = (
        "import sys; from rededge_nb.edge.ai.backends import onnx; "
        "onnx.load(bytes.fromhex(sys.argv[1]), device='CPU', threads=1)"
    )
    # in CI it would keep quiet by itself
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code, onnx_files.binary("Add").hex()], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["GPU", "gpu:0"])
def test_a_model_for_a_gpu_does_not_run_on_the_cpu_instead(device: str) -> None:
    """Also with onnxruntime-gpu on a machine without a device, where ONNX Runtime alone would take the CPU."""
    assert _loaded_on(device).startswith((f"{onnx.NO_CUDA}: ", cuda.PROVIDER))


def test_a_gpu_that_does_not_exist_is_refused() -> None:
    assert _loaded_on("GPU:99").startswith(f"{onnx.NO_CUDA}: ")


@pytest.mark.skipif(GPU != cuda.PROVIDER, reason=GPU)
def test_a_model_on_a_gpu_gives_what_it_gives_on_the_processor() -> None:
    card = load_card(assets.model_card_file())
    image = np.random.default_rng(0).integers(0, 256, (1, 384, 512, 3), np.uint8)
    blob = card.read()
    on_gpu, on_cpu = (onnx.load(blob, device=device, threads=1).run([image]) for device in ("GPU:0", "CPU"))
    for gpu, cpu in zip(on_gpu, on_cpu, strict=True):
        assert gpu is not None
        assert cpu is not None
        assert np.abs(gpu - cpu).max() < 0.01 * max(1.0, float(np.abs(cpu).max()))


def test_the_files_of_onnxruntime_may_have_replaced_those_with_cuda(tmp_path: Path) -> None:
    """As after `pip install 'rededge_nb[cuda]'`, if pip writes the files without CUDA last."""
    info = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    code = (
        "import onnxruntime; onnxruntime.get_available_providers = lambda: ['CPUExecutionProvider']; "
        "from rededge_nb.edge.ai.backends import cuda; print(cuda.why_not_built_in())"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout == (
        "onnxruntime-gpu is installed, but the files of onnxruntime have replaced its own: "
        "pip install --force-reinstall --no-deps onnxruntime-gpu\n"
    )
