"""Stored TorchScript that is compiled and ready to run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from rededge_nb.edge.ai.backends import missing_backend
from rededge_nb.edge.ai.backends.invocation import FindModel, Invocation
from rededge_nb.edge.ai.execution.batches import Inputs, Outputs
from rededge_nb.edge.ai.execution.queues import Job
from rededge_nb.edge.ai.storage.statistics import Statistics, StoredValue
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

if TYPE_CHECKING:
    from rededge_nb.edge.ai.backends.torch_scripts import CompiledScript

SCRIPT_BACKEND = "SCRIPT"
"""Stands for scripts in the cache, where models have the name of their backend."""


@dataclass(frozen=True)
class LoadedScript:
    """A stored script that is ready to run from any thread. It remains valid after its key is deleted."""

    device: str
    """As the client spelled it."""
    entry_points: tuple[str, ...]
    compiled: CompiledScript
    stored: StoredValue
    statistics: Statistics
    find_model: FindModel
    """Finds the models that the script runs."""
    redis: redis.Redis
    """The client through which the script sends its own commands."""

    def run(self, invocation: Invocation, tensors: Sequence[Array]) -> list[Array]:
        """Call a function and return its tensors; the run is counted in the script's statistics.

        Raises:
            CommandError: The function does not exist, does not accept these arguments, raised an error, or returned
                something other than the expected tensors.
        """
        start = time.perf_counter()
        try:
            outputs = self.compiled.run(
                invocation, tensors, self.entry_points, redis=self.redis, find_model=self.find_model
            )
        except CommandError:
            self.statistics.record(self.stored, failed=True)
            raise
        self.statistics.record(self.stored, duration=time.perf_counter() - start)
        return outputs

    def job(self, invocation: Invocation, tensors: Sequence[Array], *, timeout: float | None = None) -> Job:
        """The job that calls the function; `timeout` is in seconds."""

        def run(runs: Sequence[Inputs]) -> list[Outputs]:
            return [list(self.run(invocation, inputs)) for inputs in runs]

        return Job(device=self.device.upper(), run=run, inputs=tensors, timeout=timeout)


def load_script(source: bytes, device: str) -> CompiledScript:
    """Compile a script for a device (`CPU`, `GPU:0` …).

    Raises:
        CommandError: The script does not compile (the text is torch's), or torch is not installed.
    """
    try:
        from rededge_nb.edge.ai.backends import torch_scripts
    except ImportError as error:
        raise CommandError(missing_backend("TORCH", error)) from error
    return torch_scripts.compile_script(source, device)
