"""What runs models: one module for each backend, with the function `load` of the Loader protocol.

Backends are imported when their first model is loaded, so that looking at the table of commands costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Protocol, cast

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

NAMES = ("TF", "TFLITE", "TORCH", "ONNX")
"""The backends that RedisAI knows."""

_MODULES = {"TF": "tf", "TFLITE": "tflite", "TORCH": "torch_models", "ONNX": "onnx_choice"}
_EXTRAS = {"TF": "tf", "TFLITE": "tflite", "TORCH": "torch"}


class LoadedModel(Protocol):
    """A model that is ready to run; runs may overlap in several threads."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of run()."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the order of run()."""

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output, None for one that is no tensor; STRING elements are bytes going in.

        Raises:
            CommandError: with the backend's message.
        """


class Loader(Protocol):
    """The interface of a backend's module."""

    def load(
        self, blob: bytes, *, device: str, threads: int, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
    ) -> LoadedModel:
        """Make a model ready on a device (`CPU`, `GPU:0` …), with `threads` for each run.

        The names of inputs and outputs are given for TF alone; other models bring theirs.

        Raises:
            CommandError: with the backend's message.
        """


def load(
    backend: str,
    blob: bytes,
    *,
    device: str,
    threads: int,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> LoadedModel:
    """Make a model ready to run.

    Raises:
        CommandError: the backend is not there, or refuses the model.
    """
    loader = cast(Loader, module_of(backend))
    return loader.load(blob, device=device, threads=threads, inputs=inputs, outputs=outputs)


def module_of(backend: str) -> ModuleType:
    """The module of one of NAMES, imported if it was not.

    Raises:
        CommandError: what it needs is not installed; the text says what to do.
    """
    try:
        return importlib.import_module(f"{__name__}.{_MODULES[backend]}")
    except ImportError as error:
        raise CommandError(could_not_load(backend, error)) from error


def could_not_load(backend: str, error: ImportError) -> str:
    """RedisAI's error for a backend that is not there, and what brings it."""
    if not isinstance(error, ModuleNotFoundError):
        return f"ERR Could not load backend: {backend} is installed, but broken: {error}"
    return (
        f"ERR Could not load backend: {backend} is not installed beside the worker; "
        f"pip install 'rededge_nb[{_EXTRAS.get(backend, '')}]', and store again"
    )
