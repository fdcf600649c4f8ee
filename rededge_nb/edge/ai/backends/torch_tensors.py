"""What models and scripts on torch share: devices, conversion of tensors, and the check of their code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

# RedisAI's models and scripts are TorchScript; callers cannot use its successor, so the warning does not help them
warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)


FORBIDDEN = ("aten::save", "aten::from_file", "prim::PythonOp")
"""Operators of TorchScript that use files or Python."""


def device_of(device: str) -> torch.device:
    """Torch's name of `CPU` or `GPU:0`.

    Raises:
        CommandError: There is no such GPU.
    """
    kind, _, number = device.partition(":")
    if kind == "CPU":
        return torch.device("cpu")
    if not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count():
        raise CommandError("GPU requested but Torch couldn't find CUDA")
    return torch.device("cuda", int(number or 0))


def from_arrays(arrays: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Arrays as tensors on a device. They are copies, because a script can write to its arguments.

    Raises:
        CommandError: An array is a STRING tensor, which torch does not have.
    """
    for array in arrays:
        if array.dtype == object:
            raise CommandError("ERR the TORCH backend takes no STRING tensors")
    return [torch.from_numpy(np.array(array)).to(device) for array in arrays]


def to_array(tensor: torch.Tensor) -> Array:
    """A tensor as an array in the memory of this process."""
    array: Array = np.ascontiguousarray(tensor.detach().resolve_conj().resolve_neg().cpu().numpy())
    return array.reshape(tuple(tensor.shape))  # ascontiguousarray turns a scalar into a vector


def check_graph(graph: Any) -> None:
    """Check that a TorchScript graph has none of the FORBIDDEN operators.

    Raises:
        CommandError: It has one.
    """
    for kind in FORBIDDEN:
        if graph.findAllNodes(kind):
            raise CommandError(
                f"ERR the code calls {kind}, which reaches beyond the model or script: it may only compute"
            )
