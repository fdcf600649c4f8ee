"""What runs models: one module for each backend, with the function `load` of the Loader protocol.

Backends are imported when their first model is loaded, so that looking at the table of commands costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.commands import CommandError

NAMES = ("TF", "TFLITE", "TORCH", "ONNX")
"""The backends that RedisAI knows."""

_MODULES = {"ONNX": "rededge_nb.edge.ai.backends.onnx"}


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

    def load(self, blob: bytes, *, device: str, threads: int) -> LoadedModel:
        """Make a model ready on a device (`CPU`, `CPU:1`, `GPU:0` …), with `threads` for each run.

        Raises:
            CommandError: with the backend's message.
        """


def load(backend: str, blob: bytes, *, device: str, threads: int) -> LoadedModel:
    """Make a model ready to run.

    Raises:
        CommandError: the backend is not there, or refuses the model.
    """
    if backend not in _MODULES:
        raise CommandError("ERR Could not load backend")
    try:
        module = cast(Loader, importlib.import_module(_MODULES[backend]))
    except ImportError as error:
        raise CommandError("ERR Could not load backend") from error
    return module.load(blob, device=device, threads=threads)
