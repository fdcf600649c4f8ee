"""ONNX models on OpenVINO."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from rededge_nb.edge.ai.backends.onnx_external import refuse_external_data
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

# without this package, which it can do without, importing OpenVINO does not report home that it was imported
sys.modules.setdefault("openvino_telemetry", cast(Any, None))
import openvino  # noqa: E402 - after the line above


class OpenVinoModel:
    """A compiled model, with one request for each thread that runs it."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._compiled = compiled
        self._of_thread = threading.local()
        self.inputs: tuple[str, ...] = tuple(port.get_any_name() for port in compiled.inputs)
        self.outputs: tuple[str, ...] = tuple(port.get_any_name() for port in compiled.outputs)
        self._dtypes = tuple(np.dtype(port.get_element_type().to_dtype()) for port in compiled.inputs)

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output.

        Raises:
            CommandError: with OpenVINO's message, or because an input has another dtype than the model's.
        """
        for name, expected, array in zip(self.inputs, self._dtypes, inputs, strict=True):
            if array.dtype != expected:  # OpenVINO would convert without a word
                raise CommandError(
                    f"Unexpected input data type for {name}. Actual: ({array.dtype}) , expected: ({expected})"
                )
        try:
            if not hasattr(self._of_thread, "request"):
                self._of_thread.request = self._compiled.create_infer_request()
            results = self._of_thread.request.infer(list(inputs))
            return [np.asarray(results[index]) for index in range(len(self.outputs))]
        except Exception as error:  # whatever OpenVINO raises is the caller's to know
            raise CommandError(str(error) or type(error).__name__) from error


def load(blob: bytes, *, device: str, threads: int, precision: str = "f32") -> OpenVinoModel:
    """Make an ONNX model ready, with `threads` for each run.

    Args:
        blob: The model.
        device: `CPU`; others are refused.
        threads: For each run.
        precision: What it computes in, `f32` or `bf16`; where the processor has no bf16 that is f32, too.

    Raises:
        CommandError: with OpenVINO's message, or because the model refers to other files, or the device is no CPU.
    """
    if not device.startswith("CPU"):
        raise CommandError("ERR GPU requested but OpenVINO is set up for the CPU: set REDEDGE_ONNX_BACKEND=onnxruntime")
    refuse_external_data(blob)
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,  # its own choice would be bf16 where the processor has it
    }
    try:
        core = openvino.Core()
        return OpenVinoModel(core.compile_model(core.read_model(blob, b""), "CPU", options))
    except Exception as error:  # whatever OpenVINO raises is the caller's to know
        raise CommandError(str(error) or type(error).__name__) from error
