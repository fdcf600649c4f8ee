"""ONNX models on ONNX Runtime, or on OpenVINO if the setting REDEDGE_ONNX_BACKEND asks for it.

Results in bfloat16 differ from those in float32, so only the user can choose that.
"""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb import settings
from rededge_nb.edge.ai.backends import LoadedModel, onnx
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ConfigurationError

OPENVINO_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
"""The data type that OpenVINO computes in, by the value of the setting."""


def load(
    blob: bytes,
    *,
    device: str,
    threads: int,
    inputs: Sequence[str] = (),  # noqa: ARG001 - the model brings its own
    outputs: Sequence[str] = (),  # noqa: ARG001
) -> LoadedModel:
    """Load an ONNX model with the backend that the setting names.

    Raises:
        CommandError: with the backend's message; or OpenVINO is asked for and not installed.
    """
    try:
        wanted = settings.onnx_backend()
    except ConfigurationError as error:
        raise CommandError(f"ERR {error}") from error
    if wanted not in OPENVINO_PRECISIONS:
        return onnx.load(blob, device=device, threads=threads)
    try:
        from rededge_nb.edge.ai.backends import onnx_openvino
    except ImportError as error:
        raise CommandError(
            f"ERR Could not load backend: {settings.ONNX_BACKEND} asks for OpenVINO, which is not installed beside "
            "the worker; pip install 'rededge_nb[openvino]', and store again"
        ) from error
    return onnx_openvino.load(blob, device=device, threads=threads, precision=OPENVINO_PRECISIONS[wanted])
