"""The backends, which run models: one module for each, with the function `load` of the Loader protocol.

A backend is imported when its first model is loaded: importing torch or TensorFlow takes seconds.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol, cast

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

NAMES = ("TF", "TFLITE", "TORCH", "ONNX")
"""The backends of RedisAI."""

_MODULES = {"TF": "tf", "TFLITE": "tflite", "TORCH": "torch_models", "ONNX": "onnx_choice"}
_EXTRAS = {"TF": "tf", "TFLITE": "tflite", "TORCH": "torch"}


@dataclass(frozen=True)
class ModelSource:
    """What a model is loaded from."""

    blob: bytes
    """The model file."""
    inputs: tuple[str, ...] = ()
    """Names of the inputs. Only TF needs them: files of the other backends contain the names."""
    outputs: tuple[str, ...] = ()


class BackendModel(Protocol):
    """A model in a backend, ready to run; several threads may run it at the same time."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which run() takes them."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which run() returns them."""

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output, None for an output that is not a tensor.

        Args:
            inputs: One array for each input. The elements of a STRING tensor are bytes.

        Raises:
            CommandError: The run failed; the text is the backend's.
        """


class Loader(Protocol):
    """The interface of a backend's module."""

    def load(self, source: ModelSource, *, device: str, threads: int) -> BackendModel:
        """Load a model on a device (`CPU`, `GPU:0` …), with `threads` for each run.

        Raises:
            CommandError: The backend refuses the model; the text is the backend's.
        """


_PYTHON_STACK = re.compile(r"\n+At:(?:\n  .*\(\d+\): .*)+\n?")
"""As pybind11 writes it: a line for each function, such as `  /path/of/file.py(12): function`."""


def load(backend: str, source: ModelSource, *, device: str, threads: int) -> BackendModel:
    """Load a model.

    Raises:
        CommandError: The backend is not installed, or refuses the model.
    """
    return cast(Loader, module_of(backend)).load(source, device=device, threads=threads)


def module_of(backend: str) -> ModuleType:
    """The module of a backend (one of NAMES), imported if necessary.

    Raises:
        CommandError: The library that it needs is not installed; the text says what to do.
    """
    try:
        return importlib.import_module(f"{__name__}.{_MODULES[backend]}")
    except ImportError as error:
        raise CommandError(missing_backend(backend, error)) from error


def missing_backend(backend: str, error: ImportError) -> str:
    """RedisAI's error for a backend that cannot be imported, with the command that installs it."""
    if not isinstance(error, ModuleNotFoundError):
        return f"ERR Could not load backend: {backend} is installed, but broken: {error}"
    return (
        f"ERR Could not load backend: {backend} is not installed where the worker runs; "
        f"pip install 'rededge_nb[{_EXTRAS.get(backend, '')}]', then store the model again"
    )


def command_error(error: Exception) -> CommandError:
    """The error of a backend's library as an error reply: its text, or its type if it has no text.

    Torch appends the stack of Python functions that called it, with the paths of their files: that is left out.
    """
    return CommandError(_PYTHON_STACK.sub("", str(error)) or type(error).__name__)
