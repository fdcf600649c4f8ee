"""ONNX models on ONNX Runtime."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence

import numpy as np

from rededge_nb import settings
from rededge_nb.edge.ai.backends import command_error, cuda
from rededge_nb.edge.ai.backends.affinity import ThreadAffinity
from rededge_nb.edge.ai.backends.onnx_external import refuse_external_data
from rededge_nb.edge.ai.backends.time_limit import TimeLimit
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

settings.disable_telemetry()
import onnxruntime  # noqa: E402 - it reads the setting of the line above when it is imported

MEMORY_SHARE = 0.5
"""The part of the machine's memory that all runs together may use for their intermediate results."""

NO_CUDA = "ERR GPU requested but ONNX couldn't find CUDA"
"""RedisAI's text, in each case in which the model would run on the CPU instead; the reason follows."""

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : -?\d+ : \w+ : ")
_FATAL_ONLY = 4


class OnnxModel:
    """A session of ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession, affinity: ThreadAffinity) -> None:
        self._session = session
        self._affinity = affinity
        self.inputs: tuple[str, ...] = tuple(value.name for value in session.get_inputs())
        self._text_inputs = tuple(value.type == "tensor(string)" for value in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in session.get_outputs())

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output; None for an output that is a sequence or a map.

        Raises:
            CommandError: The run failed or took too long; the text is ONNX Runtime's.
        """
        try:
            feed = {
                name: _decoded(array) if is_text else array
                for name, is_text, array in zip(self.inputs, self._text_inputs, inputs, strict=True)
            }
            options = onnxruntime.RunOptions()
            with _time_limit().watch(lambda: setattr(options, "terminate", True)), self._affinity.pinned():
                outputs = self._session.run(None, feed, options)
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise _without_prefix(error) from error
        return [output if isinstance(output, np.ndarray) else None for output in outputs]


def load(blob: bytes, *, device: str, threads: int) -> OnnxModel:
    """Load an ONNX model on a device, with `threads` for each run.

    The threads sleep while they have nothing to do. If they spun, the people model would take 10.6 ms instead of 11.4
    on two cores, but 20 ms instead of 15 while another process is busy.

    Raises:
        CommandError: ONNX Runtime refuses the model, the model refers to other files, or CUDA cannot be used for a GPU.
    """
    providers = _providers(device)
    refuse_external_data(blob)
    _bound_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY  # errors are raised, so the caller gets them
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    affinity = ThreadAffinity(threads)
    if affinity.initial:
        # ONNX Runtime counts processors from 1
        processors = ";".join(str(number + 1) for number in affinity.initial)
        options.add_session_config_entry("session.intra_op_thread_affinities", processors)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.use_env_allocators", "1")
    # weights are not stored in the shared arena, so deleting a model frees their memory
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    try:
        with affinity.adopt():
            # without enable_fallback=0 a failed load would print and try the same providers again
            session = onnxruntime.InferenceSession(blob, options, providers=providers, enable_fallback=0)
        model = OnnxModel(session, affinity)
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise _without_prefix(error) from error
    # where CUDA cannot start (no device, no such number, no driver), ONNX Runtime only logs it and takes the CPU
    if len(providers) > 1 and cuda.PROVIDER not in session.get_providers():
        problem = cuda.load_libraries() or f"it does not start on {device}; `nvidia-smi` shows driver and devices"
        raise CommandError(f"{NO_CUDA}: {problem}")
    return model


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    kind, _, number = device.upper().partition(":")
    if kind == "CPU":
        return ["CPUExecutionProvider"]
    if problem := cuda.why_not_built_in():
        raise CommandError(f"{NO_CUDA}: {problem}")
    cuda.load_libraries()
    return [(cuda.PROVIDER, {"device_id": number or "0"}), "CPUExecutionProvider"]


@functools.cache
def _time_limit() -> TimeLimit:
    return TimeLimit(settings.model_execution_timeout())


@functools.cache
def _bound_memory() -> None:
    """Let all sessions share one arena of limited size: a model that needs more gets an error, not all memory."""
    limit = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg({"max_mem": limit}))


def _decoded(array: Array) -> Array:
    """A STRING tensor with str in place of bytes, as ONNX Runtime takes it."""
    decoded = np.empty(array.size, object)
    decoded[:] = [element.decode() if isinstance(element, bytes) else element for element in array.ravel().tolist()]
    return decoded.reshape(array.shape)


def _without_prefix(error: Exception) -> CommandError:
    return CommandError(_PREFIX.sub("", str(command_error(error))))
