"""ONNX models on OpenVINO."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from rededge_nb.edge.ai.backends import command_error
from rededge_nb.edge.ai.backends.onnx_external import refuse_external_data
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

# OpenVINO sends usage data through this optional package when it is imported, so it must not find it
sys.modules.setdefault("openvino_telemetry", cast(Any, None))
import openvino  # noqa: E402 - after the line above


class OpenVinoModel:
    """A compiled model, with one inference request for each thread that runs it."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._compiled = compiled
        self._of_thread = threading.local()
        self.inputs: tuple[str, ...] = tuple(port.get_any_name() for port in compiled.inputs)
        self.outputs: tuple[str, ...] = tuple(port.get_any_name() for port in compiled.outputs)
        self._dtypes = tuple(np.dtype(port.get_element_type().to_dtype()) for port in compiled.inputs)

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output.

        Raises:
            CommandError: The run failed (the text is OpenVINO's), or the dtype of an input is not the model's.
        """
        for name, expected, array in zip(self.inputs, self._dtypes, inputs, strict=True):
            if array.dtype != expected:  # OpenVINO would convert it silently
                raise CommandError(
                    f"Unexpected input data type for {name}. Actual: ({array.dtype}) , expected: ({expected})"
                )
        try:
            if not hasattr(self._of_thread, "request"):
                self._of_thread.request = self._compiled.create_infer_request()
            results = self._of_thread.request.infer(list(inputs))
            return [np.asarray(results[index]) for index in range(len(self.outputs))]
        except Exception as error:  # OpenVINO raises errors of many types
            raise command_error(error) from error


def load(blob: bytes, *, device: str, threads: int, precision: str = "f32") -> OpenVinoModel:
    """Load an ONNX model.

    Args:
        blob: The model file.
        device: Must be the CPU.
        threads: Threads of each run.
        precision: Data type of the computation, `f32` or `bf16`. A processor without bf16 computes in f32.

    Raises:
        CommandError: OpenVINO refuses the model, the model refers to other files, or the device is not the CPU.
    """
    if not device.startswith("CPU"):
        raise CommandError("ERR GPU requested but OpenVINO is set up for the CPU: set REDEDGE_ONNX_BACKEND=onnxruntime")
    refuse_external_data(blob)
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,  # the default would be bf16 if the processor supports it
    }
    try:
        core = openvino.Core()
        return OpenVinoModel(core.compile_model(core.read_model(blob, b""), "CPU", options))
    except Exception as error:  # OpenVINO raises errors of many types
        raise command_error(error) from error
