"""Running a model on ONNX Runtime, as the worker does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from rededge_nb.control.model_import.facts import CHANNELS, ImageInput, Output
from rededge_nb.edge import processors
from rededge_nb.edge.ai.backends import onnx
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ModelImportError
from rededge_nb.images import Image


class Runner:
    """A model that is loaded.

    Args:
        model: The model.
        what: What it is, for messages.

    Raises:
        ModelImportError: ONNX Runtime refuses it.
    """

    def __init__(self, model: ModelProto | bytes, what: str) -> None:
        self._what = what
        blob = model if isinstance(model, bytes) else model.SerializeToString()
        try:
            self._model = onnx.load(blob, device="CPU", threads=processors.default_threads())
        except CommandError as error:
            raise ModelImportError(f"ONNX Runtime cannot load {what}: {_first_line(error)}") from error

    def outputs(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[Output, ...]:
        """Run it once.

        Raises:
            ModelImportError: The run failed, or an output is not a tensor of numbers.
        """
        try:
            values = self._model.run([inputs[name] for name in self._model.inputs])
        except CommandError as error:
            raise ModelImportError(f"{self._what} cannot be run: {_first_line(error)}") from error
        found = []
        for name, value in zip(self._model.outputs, values, strict=True):
            if value is None or value.dtype.kind not in "fiub":
                raise ModelImportError(f"the output {name} of {self._what} is not a tensor of numbers")
            found.append(Output(name, value))
        return tuple(found)


def network_image(image: Image, form: ImageInput, size_wh: tuple[int, int], scale: float) -> NDArray[Any]:
    """An image as the network itself takes it: fitted in with its aspect ratio, red first.

    Args:
        image: uint8 of shape (height, width, 3), blue first.
        form: The network's input.
        size_wh: Width and height of the input.
        scale: What values of 0 to 255 are divided by; not used for an input of uint8.
    """
    width, height = size_wh
    factor = min(width / image.shape[1], height / image.shape[0])
    fitted = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    canvas = np.full((height, width, CHANNELS), 114, np.uint8)
    top, left = (height - fitted[1]) // 2, (width - fitted[0]) // 2
    canvas[top : top + fitted[1], left : left + fitted[0]] = cv2.resize(image, fitted)[:, :, ::-1]
    value = canvas if form.dtype == "uint8" else (canvas / np.float32(scale)).astype(form.dtype)
    value = value if form.channels_last else value.transpose(2, 0, 1)
    return np.ascontiguousarray(np.repeat(value[np.newaxis], form.batch or 1, axis=0))


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:500]
