"""Joining the inputs of several runs along their first dimension, and splitting the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

Inputs = Sequence[Array]
Outputs = list[Array | None]
Kind = tuple[tuple[str, tuple[int, ...]], ...]
"""Dtype and all dimensions but the first of each input: only inputs of one kind can be joined."""


@dataclass(frozen=True)
class Batching:
    """How runs of a model are joined."""

    size: int = 0
    """Enough samples for one run; 0 joins none."""
    least: int = 0
    """Fewer samples than this are held back."""
    patience: float = 0.0
    """Seconds that they are held back at most; 0 is for ever."""


def samples(inputs: Inputs) -> int | None:
    """The first dimension that all inputs share; None if they do not, so that they can be joined with no others."""
    counts = {array.shape[0] if array.ndim else None for array in inputs}
    return counts.pop() if len(counts) == 1 else None


def kind(inputs: Inputs) -> Kind:
    """What inputs must have in common to be joined."""
    return tuple((array.dtype.str, array.shape[1:]) for array in inputs)


def joined(runs: Sequence[Inputs]) -> Inputs:
    """The inputs of one run that does the work of several."""
    return runs[0] if len(runs) == 1 else [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]


def split(outputs: Outputs, counts: Sequence[int], backend: str) -> list[Outputs]:
    """The outputs of one run as those of the several that it did.

    Raises:
        CommandError: an output has not as many samples as went in.
    """
    if len(counts) == 1:
        return [outputs]
    total = sum(counts)
    if any(output is not None and (not output.ndim or output.shape[0] != total) for output in outputs):
        if backend == "TF":
            raise CommandError("ERR Tensorflow batching error: model did not generate the expected batch size")
        raise CommandError("ERR Model did not generate the expected batch size")
    ends = np.cumsum(counts)[:-1]
    parts = [[None] * len(counts) if output is None else np.split(output, ends) for output in outputs]
    return [[part[index] for part in parts] for index in range(len(counts))]
