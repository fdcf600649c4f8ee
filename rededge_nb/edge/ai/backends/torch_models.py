"""TORCH models: TorchScript archives, as torch.jit.save writes them. Pickled Python modules are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import torch

from rededge_nb.edge.ai.backends import ModelSource, command_error
from rededge_nb.edge.ai.backends.torch_tensors import check_graph, device_of, from_arrays, to_array
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError


class TorchModel:
    """A TorchScript module."""

    def __init__(self, module: torch.jit.ScriptModule, device: torch.device) -> None:
        self._module = module
        self._device = device
        schema = module.forward.schema
        self.inputs: tuple[str, ...] = tuple(argument.name for argument in schema.arguments[1:])
        self.outputs: tuple[str, ...] = ("",) * sum(_tensors_in(returned.type) for returned in schema.returns)

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each tensor that `forward` returns.

        Raises:
            CommandError: The run failed (the text is torch's), or the number of tensors is not that of the schema.
        """
        tensors = from_arrays(inputs, self._device)
        try:
            with torch.inference_mode():
                returned = self._module(*tensors)
        except Exception as error:  # torch raises errors of many types
            raise command_error(error) from error
        outputs = _flat(returned)
        if len(outputs) != len(self.outputs):
            raise CommandError(f"ERR the model returned {len(outputs)} tensors instead of {len(self.outputs)}")
        return [to_array(output) for output in outputs]


def load(source: ModelSource, *, device: str, threads: int) -> TorchModel:
    """Load a TorchScript archive on a device; `threads` applies to all of torch's models in this process.

    Raises:
        CommandError: The file is not a TorchScript archive, or torch refuses it.
    """
    target = device_of(device)
    _check_archive(source.blob)
    torch.set_num_threads(threads)
    try:
        module = torch.jit.load(io.BytesIO(source.blob), map_location=target)
        module.eval()
        check_graph(module.inlined_graph)
        return TorchModel(module, target)
    except CommandError:
        raise
    except Exception as error:  # torch raises errors of many types
        raise command_error(error) from error


def _check_archive(blob: bytes) -> None:
    """Refuse everything but files of torch.jit.save, because torch reads those without Python's pickle."""
    try:
        names = zipfile.ZipFile(io.BytesIO(blob)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise CommandError(
            f"ERR the blob is not a TorchScript archive, as torch.jit.save writes it: {error}"
        ) from error
    if not any("/code/" in name for name in names):
        raise CommandError("ERR the blob is not a TorchScript archive, as torch.jit.save writes it: it has no code")


def _tensors_in(kind: Any) -> int:
    return sum(_tensors_in(element) for element in kind.elements()) if isinstance(kind, torch.TupleType) else 1


def _flat(returned: Any) -> list[torch.Tensor]:
    if isinstance(returned, torch.Tensor):
        return [returned]
    if isinstance(returned, (tuple, list)):
        return [tensor for element in returned for tensor in _flat(element)]
    raise CommandError(f"ERR the model returned a {type(returned).__name__} where a tensor was expected")
