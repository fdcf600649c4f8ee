"""ONNX models on ONNX Runtime."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence

import numpy as np

from rededge_nb import settings
from rededge_nb.edge.ai.backends.onnx_external import refuse_external_data
from rededge_nb.edge.ai.backends.placement import Placement
from rededge_nb.edge.ai.backends.time_limit import TimeLimit
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

settings.disable_telemetry()
import onnxruntime  # noqa: E402 - after the line above, which it looks at

MEMORY_SHARE = 0.5
"""The part of the machine's memory that all runs together may take for what they compute."""

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : -?\d+ : \w+ : ")
_FATAL_ONLY = 4


class OnnxModel:
    """An onnxruntime session."""

    def __init__(self, session: onnxruntime.InferenceSession, placement: Placement) -> None:
        self._session = session
        self._placement = placement
        self.inputs: tuple[str, ...] = tuple(value.name for value in session.get_inputs())
        self._text_inputs = tuple(value.type == "tensor(string)" for value in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in session.get_outputs())

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output; an output that is a sequence or a map gives None.

        Raises:
            CommandError: with onnxruntime's message.
        """
        try:
            feed = {
                name: _text(array) if is_text else array
                for name, is_text, array in zip(self.inputs, self._text_inputs, inputs, strict=True)
            }
            options = onnxruntime.RunOptions()
            with _time_limit().over(lambda: setattr(options, "terminate", True)), self._placement.of_run():
                outputs = self._session.run(None, feed, options)
        except Exception as error:  # onnxruntime's exceptions have no base of their own
            raise _command_error(error) from error
        return [output if isinstance(output, np.ndarray) else None for output in outputs]


def load(blob: bytes, *, device: str, threads: int) -> OnnxModel:
    """Make an ONNX model ready on a device, with `threads` for each run.

    The threads do not spin while they wait. On two cores the people model would take 10.6 ms instead of 11.4, but 20
    instead of 15 beside a busy neighbour.

    Raises:
        CommandError: with onnxruntime's message, or because the model refers to other files.
    """
    providers = _providers(device)
    refuse_external_data(blob)
    _bound_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY  # what matters is raised, and so reaches the caller
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    placement = Placement(threads)
    if placement.at_first:
        # it counts processors from 1
        affinities = ";".join(str(number + 1) for number in placement.at_first)
        options.add_session_config_entry("session.intra_op_thread_affinities", affinities)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.use_env_allocators", "1")
    # weights outside the shared arena: deleting a model gives their memory back
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    try:
        # its fallback would print, and try the same providers again
        with placement.of_helpers():
            session = onnxruntime.InferenceSession(blob, options, providers=providers, enable_fallback=0)
        return OnnxModel(session, placement)
    except Exception as error:  # onnxruntime's exceptions have no base of their own
        raise _command_error(error) from error


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    kind, _, number = device.upper().partition(":")
    if kind == "CPU":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise CommandError("ERR GPU requested but ONNX couldn't find CUDA")
    return [("CUDAExecutionProvider", {"device_id": number or "0"}), "CPUExecutionProvider"]


@functools.cache
def _time_limit() -> TimeLimit:
    return TimeLimit(settings.model_execution_timeout())


@functools.cache
def _bound_memory() -> None:
    """Give all sessions of the process one arena, so that a hostile model gets an error and not the whole memory."""
    limit = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg({"max_mem": limit}))


def _text(array: Array) -> Array:
    decoded = np.empty(array.size, object)
    decoded[:] = [element.decode() if isinstance(element, bytes) else element for element in array.ravel().tolist()]
    return decoded.reshape(array.shape)


def _command_error(error: Exception) -> CommandError:
    return CommandError(_PREFIX.sub("", str(error)) or type(error).__name__)
