"""ONNX models on ONNX Runtime, or on OpenVINO if the setting REDEDGE_ONNX_BACKEND says so.

OpenVINO with bfloat16 is faster, but its results differ from those in float32, so only the user can choose it.
"""

from __future__ import annotations

from rededge_nb import settings
from rededge_nb.edge.ai.backends import BackendModel, ModelSource, onnx
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ConfigurationError

OPENVINO_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
"""The data type that OpenVINO computes in, by the value of the setting."""


def load(source: ModelSource, *, device: str, threads: int) -> BackendModel:
    """Load an ONNX model on the backend that the setting names.

    Raises:
        CommandError: The backend refuses the model, or OpenVINO is not installed.
    """
    try:
        wanted = settings.onnx_backend()
    except ConfigurationError as error:
        raise CommandError(f"ERR {error}") from error
    if wanted not in OPENVINO_PRECISIONS:
        return onnx.load(source.blob, device=device, threads=threads)
    try:
        from rededge_nb.edge.ai.backends import onnx_openvino
    except ImportError as error:
        raise CommandError(
            f"ERR Could not load backend: {settings.ONNX_BACKEND} asks for OpenVINO, which is not installed "
            "where the worker runs; pip install 'rededge_nb[openvino]', then store the model again"
        ) from error
    return onnx_openvino.load(source.blob, device=device, threads=threads, precision=OPENVINO_PRECISIONS[wanted])
