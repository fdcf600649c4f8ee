"""TFLITE models on LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from rededge_nb.edge.ai.backends import ModelSource, command_error
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

MAX_ELEMENTS = 1 << 28
"""The most elements that an input may have. With more, LiteRT cannot allocate memory and ends the process."""

WRONG_TYPE = "Input tensor type doesn't match the type expected by the model definition"
"""RedisAI's own text."""


class LiteModel:
    """An interpreter of LiteRT; it can do only one run at a time."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self._shapes: list[tuple[int, ...]] | None = None
        self.inputs: tuple[str, ...] = tuple(detail["name"] for detail in self._inputs)
        self.outputs: tuple[str, ...] = tuple(detail["name"] for detail in self._outputs)

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output; the model's inputs are resized to the shapes of the arrays.

        Raises:
            CommandError: The run failed; the text is LiteRT's.
        """
        if any(array.size > MAX_ELEMENTS for array in inputs):
            raise CommandError(f"ERR an input of a TFLITE model has at most {MAX_ELEMENTS} elements")
        with self._lock:
            try:
                self._resize([array.shape for array in inputs])
                for detail, array in zip(self._inputs, inputs, strict=True):
                    if detail["dtype"] != array.dtype:
                        raise CommandError(WRONG_TYPE)
                    self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(array).reshape(array.shape))
                self._interpreter.invoke()
                return [np.asarray(self._interpreter.get_tensor(detail["index"])) for detail in self._outputs]
            except CommandError:
                raise
            except Exception as error:  # LiteRT's errors have no common base class
                self._shapes = None
                raise command_error(error) from error

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        for detail, shape in zip(self._inputs, shapes, strict=True):
            self._interpreter.resize_tensor_input(detail["index"], list(shape))
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def load(source: ModelSource, *, device: str, threads: int) -> LiteModel:
    """Load a TFLITE model, with `threads` for each run.

    Raises:
        CommandError: The file is not a TFLITE model, or the device is not the CPU.
    """
    if device != "CPU":
        raise CommandError("ERR GPU requested but TFLITE couldn't find CUDA")
    try:
        interpreter: Any = Interpreter(model_content=source.blob, num_threads=threads)
        return LiteModel(interpreter)
    except Exception as error:
        raise CommandError("Failed to load model from buffer") from error
