"""Runs of models and scripts, ready to be queued: alone, or as operations of a DAG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from rededge_nb.edge.ai.backends.invocation import Invocation
from rededge_nb.edge.ai.execution.queues import Job
from rededge_nb.edge.ai.execution.scripts import ScriptSession
from rededge_nb.edge.ai.execution.sessions import Session, Sessions
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.tensors import Array


@dataclass(frozen=True)
class Where:
    """Where models and scripts are found."""

    redis: redis.Redis
    sessions: Sessions
    found: hashes.Found | None = None
    """What was read of them already."""


@dataclass(frozen=True)
class ModelRun:
    """A run of a model."""

    session: Session
    inputs: Sequence[bytes]
    outputs: Sequence[bytes]
    timeout: float | None = None
    """Seconds that it may wait for its device."""

    @property
    def device(self) -> str:
        """The queue that it goes to."""
        return self.session.device.upper()

    def job(self, arrays: Sequence[Array], timeout: float | None) -> Job:
        """The run on these inputs."""
        return self.session.job(arrays, timeout=timeout)


@dataclass(frozen=True)
class ScriptRun:
    """A run of a script's function."""

    session: ScriptSession
    invocation: Invocation
    inputs: Sequence[bytes]
    outputs: Sequence[bytes]
    timeout: float | None = None
    """Seconds that it may wait for its device."""

    @property
    def device(self) -> str:
        """The queue that it goes to."""
        return self.session.device.upper()

    def job(self, arrays: Sequence[Array], timeout: float | None) -> Job:
        """The run on these inputs."""
        return self.session.job(self.invocation, arrays, timeout=timeout)
