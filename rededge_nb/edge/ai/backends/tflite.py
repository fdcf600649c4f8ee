"""TFLITE models on LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

MAX_ELEMENTS = 1 << 28
"""The most elements that one input may have: the interpreter itself would end the process for want of memory."""


class LiteModel:
    """An interpreter, which does one run at a time."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self._shapes: list[tuple[int, ...]] | None = None
        self.inputs: tuple[str, ...] = tuple(detail["name"] for detail in self._inputs)
        self.outputs: tuple[str, ...] = tuple(detail["name"] for detail in self._outputs)

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output; the inputs are resized to what they get.

        Raises:
            CommandError: with LiteRT's message.
        """
        if any(array.size > MAX_ELEMENTS for array in inputs):
            raise CommandError(f"ERR an input of a TFLITE model has at most {MAX_ELEMENTS} elements")
        with self._lock:
            try:
                self._resize([array.shape for array in inputs])
                for detail, array in zip(self._inputs, inputs, strict=True):
                    self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(array).reshape(array.shape))
                self._interpreter.invoke()
                return [np.asarray(self._interpreter.get_tensor(detail["index"])) for detail in self._outputs]
            except Exception as error:  # whatever LiteRT raises is the caller's to know
                self._shapes = None
                raise _command_error(error) from error

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        for detail, shape in zip(self._inputs, shapes, strict=True):
            self._interpreter.resize_tensor_input(detail["index"], list(shape))
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def load(
    blob: bytes,
    *,
    device: str,
    threads: int,
    inputs: Sequence[str] = (),  # noqa: ARG001 - the model brings its own
    outputs: Sequence[str] = (),  # noqa: ARG001
) -> LiteModel:
    """Make a TFLITE model ready, with `threads` for each run.

    Raises:
        CommandError: the blob is no such model, or the device is no CPU.
    """
    if device != "CPU":
        raise CommandError("ERR GPU requested but TFLITE couldn't find CUDA")
    try:
        interpreter: Any = Interpreter(model_content=blob, num_threads=threads)
        return LiteModel(interpreter)
    except Exception as error:
        raise CommandError("Failed to load model from buffer") from error


def _command_error(error: Exception) -> CommandError:
    return CommandError(str(error) or type(error).__name__)
