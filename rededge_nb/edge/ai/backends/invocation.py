"""A call of a script's function, and the models that a script can run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import redis

from rededge_nb.edge.ai.tensors import Array


class RunnableModel(Protocol):
    """A stored model that a script runs."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that are tensors, in order."""


FindModel = Callable[[redis.Redis, str], RunnableModel]
"""Finds the model under a key of a client's database; raises CommandError if there is none."""


@dataclass(frozen=True)
class Invocation:
    """One call of a script's function."""

    function: str
    keys: Sequence[str] = ()
    args: Sequence[str] = ()
    outputs: int = 0
    """How many tensors the function must return; with 0, whatever it returns is dropped."""
