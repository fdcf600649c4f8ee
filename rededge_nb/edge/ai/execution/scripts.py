"""Stored TorchScript, ready to run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from rededge_nb.edge.ai.backends import could_not_load
from rededge_nb.edge.ai.backends.invocation import FindModel, Invocation
from rededge_nb.edge.ai.execution.batches import Inputs, Outputs
from rededge_nb.edge.ai.execution.queues import Job
from rededge_nb.edge.ai.storage.statistics import Statistics, Stored
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

if TYPE_CHECKING:
    from rededge_nb.edge.ai.backends.torch_scripts import CompiledScript

SCRIPT_BACKEND = "SCRIPT"
"""What scripts are called in the cache, beside the backends of models."""


@dataclass(frozen=True)
class ScriptSession:
    """A stored script, ready to run from any thread; it stays valid after its key is gone."""

    device: str
    """As the client spelled it."""
    entry_points: tuple[str, ...]
    compiled: CompiledScript
    stored: Stored
    statistics: Statistics
    find_model: FindModel
    """Finds a model that the script runs."""
    redis: redis.Redis
    """Where the script's own commands go."""

    def run(self, invocation: Invocation, tensors: Sequence[Array]) -> list[Array]:
        """What the function returns; the run is counted in the script's statistics.

        Raises:
            CommandError: the function does not exist or take this, or raised, or returned something else.
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
        """A run for the queue of the script's device; `timeout` is in seconds."""

        def run(runs: Sequence[Inputs]) -> list[Outputs]:
            return [list(self.run(invocation, inputs)) for inputs in runs]

        return Job(device=self.device.upper(), run=run, inputs=tensors, timeout=timeout)


def load_script(source: bytes, device: str) -> CompiledScript:
    """Compile a script for a device (`CPU`, `GPU:0` …).

    Raises:
        CommandError: with torch's message, or there is no torch.
    """
    try:
        from rededge_nb.edge.ai.backends import torch_scripts
    except ImportError as error:
        raise CommandError(could_not_load("TORCH", error)) from error
    return torch_scripts.compile_script(source, device)
