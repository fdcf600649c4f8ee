"""Batches: joining the inputs of several runs along their first dimension, and splitting the outputs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

Inputs = Sequence[Array]
Outputs = list[Array | None]
Layout = tuple[tuple[str, tuple[int, ...]], ...]
"""For each input its dtype and all its dimensions but the first. Only inputs of the same layout can be joined."""


@dataclass(frozen=True)
class Batching:
    """How runs of a model are joined; the options of AI.MODELSTORE."""

    size: int = 0
    """BATCHSIZE: a batch that has this many samples is complete; with 0 runs are never joined."""
    min_samples: int = 0
    """MINBATCHSIZE: runs wait until they have this many samples together."""
    max_wait: float = 0.0
    """MINBATCHTIMEOUT: seconds that they wait at most; 0 means without limit."""


def sample_count(inputs: Inputs) -> int | None:
    """The first dimension, if all inputs have the same; None otherwise, and then these inputs cannot be joined."""
    counts = {array.shape[0] if array.ndim else None for array in inputs}
    return counts.pop() if len(counts) == 1 else None


def layout_of(inputs: Inputs) -> Layout:
    """What inputs must have in common to be joined."""
    return tuple((array.dtype.str, array.shape[1:]) for array in inputs)


def join(runs: Sequence[Inputs]) -> Inputs:
    """The inputs of one run that replaces several; each has shape (sum of samples, …)."""
    return runs[0] if len(runs) == 1 else [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]


def split(outputs: Outputs, counts: Sequence[int], backend: str) -> list[Outputs]:
    """The outputs of each of the joined runs.

    Args:
        outputs: Outputs of the batch, with shape (sum of samples, …).
        counts: Samples of each run.
        backend: Decides the text of the error, which is RedisAI's.

    Raises:
        CommandError: The number of samples in an output is not the number of samples in the batch.
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
