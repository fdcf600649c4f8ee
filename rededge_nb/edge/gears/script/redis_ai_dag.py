"""`redisAI` inside gears: DAGs, built call by call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from rededge_nb.edge.ai.backends.invocation import Invocation
from rededge_nb.edge.ai.execution.dag import Dag, DagResult, Operation, TensorGet, TensorSet
from rededge_nb.edge.ai.execution.loaded_models import INPUTS_MISMATCH
from rededge_nb.edge.ai.execution.runs import ModelLookup, ModelRun, ScriptRun
from rededge_nb.edge.ai.parsing.dags import EXECUTE, SEPARATOR, parse_operations
from rededge_nb.edge.ai.parsing.runs import OUTPUTS_MISMATCH
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.chaining import then
from rededge_nb.edge.gears.runtime.context import current
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.script.redis_ai import Awaited, as_gears_error, model_at, one, script_at
from rededge_nb.edge.switchboard.calls import CommandError


class DagRunner:
    """One run of operations on named tensors."""

    def __init__(self) -> None:
        self._host = current().executor.host
        self._loaded: dict[bytes, Tensor] = {}
        self._operations: list[Operation] = []
        self._ran = False

    def Input(self, name: str, tensor: Tensor) -> Self:  # noqa: N802
        """Load a tensor from outside of the DAG."""
        self._loaded[name.encode()] = one(tensor)
        return self

    def TensorSet(self, name: str, tensor: Tensor) -> Self:  # noqa: N802
        """Give a tensor a name."""
        self._operations.append(TensorSet(name.encode(), one(tensor)))
        return self

    def TensorGet(self, name: str) -> Self:  # noqa: N802
        """Return the tensor of that name."""
        self._operations.append(TensorGet(name.encode(), lambda tensor: tensor))
        return self

    def ModelRun(self, *, name: str, inputs: Iterable[str], outputs: Iterable[str]) -> Self:  # noqa: N802
        """Run the model stored under the key `name`."""
        run = ModelRun(model_at(name), _encoded(inputs), _encoded(outputs))
        if len(run.inputs) != len(run.model.inputs):
            raise GearsError(INPUTS_MISMATCH)
        if len(run.outputs) != len(run.model.outputs):
            raise GearsError(OUTPUTS_MISMATCH)
        self._operations.append(run)
        return self

    def ScriptRun(self, *, name: str, func: str, inputs: Iterable[str], outputs: Iterable[str]) -> Self:  # noqa: N802
        """Call a function of the script stored under the key `name`."""
        made = _encoded(outputs)
        invocation = Invocation(func, outputs=len(made))
        self._operations.append(ScriptRun(script_at(name), invocation, _encoded(inputs), made))
        return self

    def OpsFromString(self, text: str) -> Self:  # noqa: N802
        """Add operations as AI.DAGEXECUTE has them, beginning with `|>`."""
        words = text.encode().split()
        if words[:1] != [SEPARATOR]:
            raise GearsError(f"operations begin with |>, and these with {text[:20]!r}")
        place = ModelLookup(self._host.client(), self._host.models)
        self._operations += as_gears_error(parse_operations, words, place, EXECUTE)
        return self

    def Run(self) -> Awaited[list[Tensor]]:  # noqa: N802
        """Run all operations; the awaited result has one tensor for each TensorGet."""
        if self._ran:
            raise GearsError("PyDAGRunner is invalid")
        self._ran = True
        if not self._operations:
            raise GearsError("ERR DAG is empty")
        dag: Dag = as_gears_error(Dag, self._loaded, [_as_tensor(operation) for operation in self._operations])
        return Awaited(then(dag.run(self._host.models.queues), self._result))

    def _result(self, outcome: DagResult) -> list[Tensor]:
        error = next((reply for reply in outcome.replies if isinstance(reply, CommandError)), None)
        if error is not None:
            raise error
        return [reply for reply in outcome.replies if isinstance(reply, Tensor)]


def createDAGRunner() -> DagRunner:  # noqa: N802
    """A DAG without operations."""
    return DagRunner()


def _encoded(names: Iterable[str]) -> list[bytes]:
    return [name.encode() for name in names]


def _as_tensor(operation: Operation) -> Operation:
    """A TensorGet from OpsFromString returns the tensor, too, whatever format it names."""
    return TensorGet(operation.name, lambda tensor: tensor) if isinstance(operation, TensorGet) else operation
