"""A call of a script's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import redis

from rededge_nb.edge.ai.tensors import Array


class RunnableModel(Protocol):
    """A stored model, as a script runs it."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that are tensors, in order."""


FindModel = Callable[[redis.Redis, str], RunnableModel]
"""The model under a key of a client's database; raises CommandError if there is none."""


@dataclass(frozen=True)
class Invocation:
    """One call of a script's function."""

    function: str
    keys: Sequence[str] = ()
    args: Sequence[str] = ()
    outputs: int = 0
    """Tensors that the function must return; with 0 what it returns is dropped."""
