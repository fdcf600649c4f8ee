"""What models and scripts on torch share: devices, arrays as torch's tensors and back, messages."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

# TorchScript is what RedisAI's models and scripts are; that torch has a successor for it is nothing to tell callers
warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)


FORBIDDEN = ("aten::save", "aten::from_file", "prim::PythonOp")
"""What TorchScript has beside computing."""


def device_of(device: str) -> torch.device:
    """Torch's name of `CPU` or `GPU:0`.

    Raises:
        CommandError: there is no such GPU.
    """
    kind, _, number = device.partition(":")
    if kind == "CPU":
        return torch.device("cpu")
    if not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count():
        raise CommandError("GPU requested but Torch couldn't find CUDA")
    return torch.device("cuda", int(number or 0))


def from_arrays(arrays: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Arrays as tensors on a device; they are copied, since a script may write to what it gets.

    Raises:
        CommandError: torch has no tensors of that dtype.
    """
    for array in arrays:
        if array.dtype == object:
            raise CommandError("ERR the TORCH backend takes no STRING tensors")
    return [torch.from_numpy(np.array(array)).to(device) for array in arrays]


def to_array(tensor: torch.Tensor) -> Array:
    """A tensor as an array of this process's memory."""
    array: Array = np.ascontiguousarray(tensor.detach().resolve_conj().resolve_neg().cpu().numpy())
    return array.reshape(tuple(tensor.shape))  # ascontiguousarray makes a scalar a vector


def check_graph(graph: Any) -> None:
    """Pass if nothing in a TorchScript graph reaches beyond it: to files, or to Python.

    Raises:
        CommandError: something does.
    """
    for kind in FORBIDDEN:
        if graph.findAllNodes(kind):
            raise CommandError(f"ERR the code calls {kind}, which reaches beyond the model or script: it may compute")


def command_error(error: Exception) -> CommandError:
    """Torch's message, in one line."""
    return CommandError(str(error) or type(error).__name__)
