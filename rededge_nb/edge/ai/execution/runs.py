"""Runs of models and scripts that are ready to be queued, alone or as operations of a DAG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from rededge_nb.edge.ai.backends.invocation import Invocation
from rededge_nb.edge.ai.execution.loaded_models import LoadedModel, LoadedModels
from rededge_nb.edge.ai.execution.queues import Job
from rededge_nb.edge.ai.execution.scripts import LoadedScript
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.tensors import Array


@dataclass(frozen=True)
class ModelLookup:
    """Where to look up models and scripts by key."""

    redis: redis.Redis
    """A client of the caller's database."""
    models: LoadedModels
    prefetched: hashes.Prefetched | None = None
    """Fields that were read from Redis already."""


@dataclass(frozen=True)
class ModelRun:
    """A run of a model."""

    model: LoadedModel
    inputs: Sequence[bytes]
    """Names of the input tensors."""
    outputs: Sequence[bytes]
    """Names of the output tensors."""
    timeout: float | None = None
    """Seconds that the run may wait for its device."""

    @property
    def device(self) -> str:
        """The name of the queue."""
        return self.model.device.upper()

    def job(self, arrays: Sequence[Array], timeout: float | None) -> Job:
        """The job that runs the model on these inputs."""
        return self.model.job(arrays, timeout=timeout)


@dataclass(frozen=True)
class ScriptRun:
    """A run of a script's function."""

    script: LoadedScript
    invocation: Invocation
    inputs: Sequence[bytes]
    """Names of the input tensors."""
    outputs: Sequence[bytes]
    """Names of the output tensors."""
    timeout: float | None = None
    """Seconds that the run may wait for its device."""

    @property
    def device(self) -> str:
        """The name of the queue."""
        return self.script.device.upper()

    def job(self, arrays: Sequence[Array], timeout: float | None) -> Job:
        """The job that calls the function on these inputs."""
        return self.script.job(self.invocation, arrays, timeout=timeout)
