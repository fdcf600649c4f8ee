"""ONNX models on what runs them fastest here: ONNX Runtime, or OpenVINO where it is installed.

The setting REDEDGE_ONNX_BACKEND decides. With `auto` a model is loaded with ONNX Runtime, and where OpenVINO is
installed with it, too; if all dimensions of the inputs but the first are fixed, both run a few times on zeros, and
OpenVINO is kept if it gives the same results in less time. Anything else stays with ONNX Runtime. Results in bf16 are
not the same, so that is for the user to choose.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Sequence

import numpy as np

from rededge_nb import settings
from rededge_nb.edge.ai.backends import LoadedModel, onnx
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ConfigurationError

logger = logging.getLogger(__name__)

PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
"""What OpenVINO computes in, by the setting."""
TRIALS = 3
"""Runs that are timed, after one that prepares; the fastest counts."""
LONGEST_TRIAL = 1.0
"""Seconds: a model whose first run takes longer is not measured, and stays with ONNX Runtime."""
TOLERANCE = 1e-3
"""How far OpenVINO's results may be from ONNX Runtime's, relative to the greatest of them."""


def load(
    blob: bytes,
    *,
    device: str,
    threads: int,
    inputs: Sequence[str] = (),  # noqa: ARG001 - the model brings its own
    outputs: Sequence[str] = (),  # noqa: ARG001
) -> LoadedModel:
    """Make an ONNX model ready, as the setting says.

    Raises:
        CommandError: with the backend's message; or OpenVINO is asked for and not there.
    """
    try:
        wanted = settings.onnx_backend()
    except ConfigurationError as error:
        raise CommandError(f"ERR {error}") from error
    if wanted in PRECISIONS:
        return _openvino(blob, device, threads, PRECISIONS[wanted])
    model = onnx.load(blob, device=device, threads=threads)
    if wanted == "onnxruntime" or device != "CPU" or importlib.util.find_spec("openvino") is None:
        return model
    return _faster(model, blob, threads)


def _faster(model: onnx.OnnxModel, blob: bytes, threads: int) -> LoadedModel:
    zeros = model.zeros()
    if zeros is None:
        return model
    try:
        expected, first = _timed(model, zeros)
        if first > LONGEST_TRIAL:
            return model
        rival = _openvino(blob, "CPU", threads, PRECISIONS["openvino"])
        found, _ = _timed(rival, zeros)
    except CommandError as error:
        logger.info("a model stays with ONNX Runtime: %s", error)
        return model
    if not _alike(expected, found):
        logger.warning("a model stays with ONNX Runtime: OpenVINO's results differ")
        return model
    ours, theirs = (min(_timed(each, zeros)[1] for _ in range(TRIALS)) for each in (model, rival))
    faster = "OpenVINO" if theirs < ours else "ONNX Runtime"
    logger.info("%s runs a model: ONNX Runtime takes %.1f ms, OpenVINO %.1f ms", faster, ours * 1e3, theirs * 1e3)
    return rival if theirs < ours else model


def _openvino(blob: bytes, device: str, threads: int, precision: str) -> LoadedModel:
    try:
        from rededge_nb.edge.ai.backends import onnx_openvino
    except ImportError as error:
        raise CommandError(
            f"ERR Could not load backend: {settings.ONNX_BACKEND} asks for OpenVINO, which is not installed beside "
            "the worker; pip install 'rededge_nb[openvino]', and store again"
        ) from error
    return onnx_openvino.load(blob, device=device, threads=threads, precision=precision)


def _timed(model: LoadedModel, inputs: Sequence[Array]) -> tuple[list[Array | None], float]:
    began = time.perf_counter()
    outputs = model.run(inputs)
    return outputs, time.perf_counter() - began


def _alike(expected: Sequence[Array | None], found: Sequence[Array | None]) -> bool:
    if len(expected) != len(found):
        return False
    for one, other in zip(expected, found, strict=True):
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            return False
        scale = max(1.0, float(np.abs(one).max(initial=0))) if one.dtype.kind == "f" else 1.0
        if not np.allclose(one, other, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            return False
    return True
