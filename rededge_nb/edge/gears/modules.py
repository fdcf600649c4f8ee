"""The modules `redisAI` and `redisgears` that gear scripts import."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from rededge_nb.edge.ai.sessions import Session
from rededge_nb.edge.ai.store import get_tensor, set_tensor
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.commands import CommandError
from rededge_nb.edge.gears import api
from rededge_nb.edge.gears.context import current
from rededge_nb.edge.gears.errors import GearsError, GearsFlatError


class ModelRunner:
    """One run of a model: inputs and outputs in the order they were added; works once."""

    def __init__(self, session: Session) -> None:
        self.session: Session | None = session
        self.inputs: list[Tensor] = []
        self.output_count = 0


def createTensorFromValues(dtype: str, shape: Iterable[int], values: Iterable[float]) -> Tensor:  # noqa: N802
    """A tensor of a dtype such as `FLOAT` or `UINT8` from its values, row by row."""
    tensor: Tensor = _as_gears_error(Tensor.from_values, dtype, tuple(shape), list(values))
    return tensor


def createTensorFromBlob(dtype: str, shape: Iterable[int], blob: Any) -> Tensor:  # noqa: N802
    """A tensor over a buffer of little-endian, row-major values; the buffer is not copied."""
    tensor: Tensor = _as_gears_error(Tensor.from_blob, dtype, tuple(shape), blob)
    return tensor


def setTensorInKey(key: str, tensor: Tensor) -> None:  # noqa: N802
    """Store a tensor under a key."""
    _as_gears_error(set_tensor, current().worker.client(), key, _one(tensor))


def getTensorFromKey(key: str) -> Tensor:  # noqa: N802
    """The tensor stored under a key."""
    tensor: Tensor = _as_gears_error(get_tensor, current().worker.client(), key)
    return tensor


def tensorToFlatList(tensor: Tensor) -> list[float]:  # noqa: N802
    """The values, row by row."""
    values: list[float] = _one(tensor).array.ravel().tolist()
    return values


def tensorGetDataAsBlob(tensor: Tensor) -> bytearray:  # noqa: N802
    """A copy of the values' bytes, little endian and row-major."""
    return bytearray(_one(tensor).to_blob())


def tensorGetDims(tensor: Tensor) -> tuple[int, ...]:  # noqa: N802
    """The shape."""
    return tuple(_one(tensor).shape)


def createModelRunner(key: str) -> ModelRunner:  # noqa: N802
    """A runner of the model stored under a key."""
    worker = current().worker
    try:
        return ModelRunner(worker.sessions.get(worker.client(), key))
    except CommandError as error:
        raise GearsError(f"given key do not contain RedisAI model: {key} ({error})") from None


def modelRunnerAddInput(runner: ModelRunner, name: str, tensor: Tensor) -> int:  # noqa: ARG001, N802
    """Add the next input. The name is ignored, as in RedisGears: the order counts."""
    runner.inputs.append(_one(tensor))
    return 1


def modelRunnerAddOutput(runner: ModelRunner, name: str) -> int:  # noqa: ARG001, N802
    """Ask for the next output. The name is ignored, as in RedisGears: the order counts."""
    runner.output_count += 1
    return 1


def modelRunnerRun(runner: ModelRunner) -> list[Tensor]:  # noqa: N802
    """Run the model in this process and return the outputs asked for."""
    session, runner.session = runner.session, None
    if session is None:
        raise GearsError("PyGraphRunner is invalid")
    outputs = _as_gears_error(session.run, [tensor.array for tensor in runner.inputs])
    if runner.output_count > len(outputs):
        raise GearsError(f"the model has {len(outputs)} outputs, {runner.output_count} were asked for")
    return [Tensor.from_array(np.ascontiguousarray(array)) for array in outputs[: runner.output_count]]


def _one(tensor: Any) -> Tensor:
    """A tensor, or the only one of a list: RedisGears 0.9 returned one where later versions return a list."""
    if isinstance(tensor, list) and len(tensor) == 1:
        tensor = tensor[0]
    if not isinstance(tensor, Tensor):
        raise GearsError(f"a tensor is needed, not a {type(tensor).__name__}")
    return tensor


def _as_gears_error(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except CommandError as error:
        raise GearsError(str(error)) from None


def install() -> None:
    """Make the two modules importable in this process."""
    redis_ai = ModuleType("redisAI", "RedisAI inside a gear: the model runs in the worker's own process.")
    for function in (
        createTensorFromValues,
        createTensorFromBlob,
        setTensorInKey,
        getTensorFromKey,
        tensorToFlatList,
        tensorGetDataAsBlob,
        tensorGetDims,
        createModelRunner,
        modelRunnerAddInput,
        modelRunnerAddOutput,
        modelRunnerRun,
    ):
        setattr(redis_ai, function.__name__, function)
    redis_gears = ModuleType("redisgears", "RedisGears' own module, as scripts import it.")
    names = {
        "executeCommand": api.execute,
        "atomicCtx": api.atomic,
        "log": api.log,
        "flatError": api.flat_error,
        "GearsError": GearsError,
        "GearsFlatError": GearsFlatError,
    }
    for name, value in names.items():
        setattr(redis_gears, name, value)
    sys.modules["redisAI"] = redis_ai
    sys.modules["redisgears"] = redis_gears
