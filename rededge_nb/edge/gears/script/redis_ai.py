"""`redisAI` inside gears: tensors, and runs of models and scripts in this process.

Names and peculiarities are RedisGears': the names of inputs and outputs are ignored; a runner works once; and a
function that takes a tensor also takes a list of one, because RedisGears 0.9 returned a tensor where later versions
return a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from rededge_nb.edge.ai.backends.invocation import Invocation
from rededge_nb.edge.ai.execution.loaded_models import LoadedModel
from rededge_nb.edge.ai.execution.queues import Queues
from rededge_nb.edge.ai.execution.scripts import LoadedScript
from rededge_nb.edge.ai.storage import hashes, writing
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.chaining import then
from rededge_nb.edge.gears.runtime.context import current
from rededge_nb.edge.gears.runtime.errors import GearsError, own_server
from rededge_nb.edge.switchboard.calls import CommandError

T = TypeVar("T")
_SET_ERRORS = {hashes.WRONG_TYPE: "ERR Key is already set with non tensor values."}
_GET_ERRORS = {
    hashes.WRONG_TYPE: "ERR key is not a tensor",
    "ERR tensor key is empty or in a different shard": "ERR tensor key is empty",
}


class Awaited(Generic[T]):
    """The result of the …Async functions: it can be awaited once, on any event loop."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            return await asyncio.wrap_future(self._future)
        except CommandError as error:
            raise GearsError(str(error)) from None


@dataclass
class ModelRunner:
    """One run of a model: inputs and outputs in the order they were added."""

    model: LoadedModel | None
    queues: Queues
    inputs: list[Tensor] = field(default_factory=list)
    output_count: int = 0


@dataclass
class ScriptRunner:
    """One call of a script's function."""

    script: LoadedScript | None
    function: str
    queues: Queues
    inputs: list[Tensor] = field(default_factory=list)
    output_count: int = 0


def createTensorFromValues(dtype: str, shape: Iterable[int], values: Iterable[float]) -> Tensor:  # noqa: N802
    """A tensor of a dtype such as `FLOAT` or `UINT8` from its values, row by row."""
    tensor: Tensor = as_gears_error(Tensor.from_values, dtype, tuple(shape), list(values))
    return tensor


def createTensorFromBlob(dtype: str, shape: Iterable[int], blob: Any) -> Tensor:  # noqa: N802
    """A tensor over a buffer of little-endian, row-major values; the buffer is not copied."""
    tensor: Tensor = as_gears_error(Tensor.from_blob, dtype, tuple(shape), blob)
    return tensor


def setTensorInKey(key: str, tensor: Tensor) -> None:  # noqa: N802
    """Store a tensor under a key."""
    msetTensorsInKeyspace({key: tensor})


def msetTensorsInKeyspace(tensors: Mapping[str, Tensor]) -> None:  # noqa: N802
    """Store tensors under keys, all of them or none."""
    pairs = [(key, one(tensor)) for key, tensor in tensors.items()]
    as_gears_error(writing.set_tensors, current().executor.host.client(), pairs, texts=_SET_ERRORS)


def getTensorFromKey(key: str) -> Tensor:  # noqa: N802
    """The tensor stored under a key."""
    return mgetTensorsFromKeyspace([key])[0]


def mgetTensorsFromKeyspace(keys: Iterable[str]) -> list[Tensor]:  # noqa: N802
    """The tensors stored under keys."""
    found: list[Tensor] = as_gears_error(
        hashes.get_tensors, current().executor.host.client(), list(keys), texts=_GET_ERRORS
    )
    return found


def tensorToFlatList(tensor: Tensor) -> list[float]:  # noqa: N802
    """The values, row by row."""
    values: list[float] = one(tensor).array.ravel().tolist()
    return values


def tensorGetDataAsBlob(tensor: Tensor) -> bytearray:  # noqa: N802
    """A copy of the values' bytes, little endian and row-major."""
    return bytearray(one(tensor).to_buffer())


def tensorGetDims(tensor: Tensor) -> tuple[int, ...]:  # noqa: N802
    """The shape."""
    return tuple(one(tensor).shape)


def createModelRunner(key: str) -> ModelRunner:  # noqa: N802
    """A runner of the model stored under a key."""
    return ModelRunner(model_at(key), current().executor.host.models.queues)


def modelRunnerAddInput(runner: ModelRunner, name: str, tensor: Tensor) -> int:  # noqa: ARG001, N802
    """Add the next input."""
    runner.inputs.append(one(tensor))
    return 1


def modelRunnerAddOutput(runner: ModelRunner, name: str) -> int:  # noqa: ARG001, N802
    """Ask for the next output."""
    runner.output_count += 1
    return 1


def modelRunnerRun(runner: ModelRunner) -> list[Tensor]:  # noqa: N802
    """Run the model at once, in this thread, and return the outputs asked for."""
    model = _take_model(runner)
    outputs = as_gears_error(model.run, [tensor.array for tensor in runner.inputs])
    return _tensors(outputs, runner.output_count)


def modelRunnerRunAsync(runner: ModelRunner) -> Awaited[list[Tensor]]:  # noqa: N802
    """Run the model in the queue of its device, in one batch with other runs if the model was stored with BATCHSIZE."""
    model = _take_model(runner)
    job = model.job([tensor.array for tensor in runner.inputs])
    done = as_gears_error(runner.queues.submit, job)
    tensors = then(done, lambda outputs: [each for each in outputs if each is not None])
    return Awaited(then(tensors, lambda outputs: _tensors(outputs, runner.output_count)))


def createScriptRunner(key: str, function: str) -> ScriptRunner:  # noqa: N802
    """A runner of a function of the script stored under a key."""
    return ScriptRunner(script_at(key), function, current().executor.host.models.queues)


def scriptRunnerAddInput(runner: ScriptRunner, tensor: Tensor) -> None:  # noqa: N802
    """Add the next tensor."""
    runner.inputs.append(one(tensor))


def scriptRunnerAddInputList(runner: ScriptRunner, tensors: Iterable[Tensor]) -> None:  # noqa: N802
    """Add the tensors that a parameter of type List[Tensor] takes."""
    runner.inputs.extend(one(tensor) for tensor in tensors)


def scriptRunnerAddOutput(runner: ScriptRunner) -> int:  # noqa: N802
    """Ask for the next output."""
    runner.output_count += 1
    return 1


def scriptRunnerRun(runner: ScriptRunner) -> list[Tensor]:  # noqa: N802
    """Call the function at once, in this thread, and return its tensors."""
    script = _take_script(runner)
    outputs = as_gears_error(script.run, _invocation(runner), [tensor.array for tensor in runner.inputs])
    return _tensors(outputs, runner.output_count)


def scriptRunnerRunAsync(runner: ScriptRunner) -> Awaited[list[Tensor]]:  # noqa: N802
    """Call the function in the queue of its device."""
    script = _take_script(runner)
    job = script.job(_invocation(runner), [tensor.array for tensor in runner.inputs])
    done = as_gears_error(runner.queues.submit, job)
    return Awaited(then(done, lambda outputs: _tensors(outputs, runner.output_count)))


def one(tensor: Any) -> Tensor:
    """A tensor, or the only one of a list."""
    if isinstance(tensor, list) and len(tensor) == 1:
        tensor = tensor[0]
    if not isinstance(tensor, Tensor):
        raise GearsError(f"a tensor is needed, not a {type(tensor).__name__}")
    return tensor


def model_at(key: str) -> LoadedModel:
    """The model stored under a key."""
    host = current().executor.host
    texts = {"ERR model key is empty": NO_MODEL, hashes.WRONG_TYPE: NO_MODEL}
    found: LoadedModel = as_gears_error(host.models.find_model, host.client(), key, texts=texts)
    return found


def script_at(key: str) -> LoadedScript:
    """The script stored under a key."""
    host = current().executor.host
    texts = {"ERR script key is empty": NO_SCRIPT, hashes.WRONG_TYPE: NO_SCRIPT}
    found: LoadedScript = as_gears_error(host.models.find_script, host.client(), key, texts=texts)
    return found


NO_MODEL = "given key do not contain RedisAI model"
NO_SCRIPT = "given key do not contain RedisAI script"


def as_gears_error(function: Any, *args: Any, texts: Mapping[str, str] | None = None) -> Any:
    """What a function returns; a CommandError becomes a GearsError, with its text or another one."""
    try:
        with own_server():
            return function(*args)
    except CommandError as error:
        raise GearsError((texts or {}).get(str(error), str(error))) from None


def _take_model(runner: ModelRunner) -> LoadedModel:
    """The model of a runner that has not run, if as many inputs and outputs were added as the model has."""
    loaded, runner.model = runner.model, None
    if loaded is None:
        raise GearsError("PyGraphRunner is invalid")
    inputs, outputs = len(loaded.model.inputs), len(loaded.model.outputs)
    if len(runner.inputs) != inputs:
        raise GearsError(f"Expected {inputs} inputs but got {len(runner.inputs)}")
    if not runner.output_count:
        raise GearsError(f"Expected {outputs} outputs but got 0")
    return loaded


def _take_script(runner: ScriptRunner) -> LoadedScript:
    script, runner.script = runner.script, None
    if script is None:
        raise GearsError("PyTorchScriptRunner is invalid")
    return script


def _invocation(runner: ScriptRunner) -> Invocation:
    return Invocation(runner.function, outputs=runner.output_count)


def _tensors(outputs: Sequence[Any], count: int) -> list[Tensor]:
    if count > len(outputs):
        raise GearsError(f"the model has {len(outputs)} outputs, {count} were asked for")
    return [Tensor.from_array(np.asarray(array, order="C")) for array in outputs[:count]]
