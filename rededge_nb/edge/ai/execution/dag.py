"""DAGs: operations on tensors that have names within the DAG only.

The runs of one device are done in order; several devices work side by side. As soon as one operation fails, no further
one is started.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any

from rededge_nb.edge.ai.execution.queues import Queues, TimedOutError
from rededge_nb.edge.ai.execution.runs import ModelRun, ScriptRun
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.switchboard.calls import OK, CommandError, Simple

NOT_DONE = Simple("NA")
"""The reply of an operation that was not done because another one failed."""


@dataclass(frozen=True)
class TensorSet:
    """The operation that gives a tensor a name."""

    name: bytes
    tensor: Tensor


@dataclass(frozen=True)
class TensorGet:
    """The operation that returns a tensor."""

    name: bytes
    reply: Callable[[Tensor], object]
    """Makes the operation's reply from the tensor."""


Operation = TensorSet | TensorGet | ModelRun | ScriptRun


@dataclass(frozen=True)
class DagResult:
    """The result of one run of a DAG."""

    replies: list[object]
    """One for each operation."""
    failed: bool
    tensors: dict[bytes, Tensor]
    """The last tensor of each name."""


class Dag:
    """Operations with resolved names: each input refers to the tensor that has its name at that point of the DAG.

    Names can be used again, so each tensor has a number: its index in `tensors`. `inputs` and `outputs` have one list
    of such numbers for each operation.

    Raises:
        CommandError: An input is neither loaded nor made by an earlier operation.
    """

    def __init__(self, loaded: Mapping[bytes, Tensor], operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.tensors: list[Tensor | None] = list(loaded.values())
        """The tensors that are known before the run; None for those that a run will make."""
        self.names = {name: index for index, name in enumerate(loaded)}
        """For each name the number of its last tensor."""
        self.inputs: list[list[int]] = []
        self.outputs: list[list[int]] = []
        for operation in operations:
            match operation:
                case TensorSet():
                    self.inputs.append([])
                    self.outputs.append([self._add(operation.name, operation.tensor)])
                case TensorGet():
                    self.inputs.append([self._find(operation.name)])
                    self.outputs.append([])
                case _:
                    self.inputs.append([self._find(name) for name in operation.inputs])
                    self.outputs.append([self._add(name, None) for name in operation.outputs])

    def run(self, queues: Queues, *, timeout: float | None = None) -> Future[DagResult]:
        """Run all operations; the future raises TimedOutError if one still waited after `timeout` seconds."""
        return _Execution(self, queues, timeout).start()

    def _find(self, name: bytes) -> int:
        if name not in self.names:
            raise CommandError("ERR INPUT key cannot be found in DAG")
        return self.names[name]

    def _add(self, name: bytes, tensor: Tensor | None) -> int:
        self.tensors.append(tensor)
        self.names[name] = len(self.tensors) - 1
        return self.names[name]


class _Execution:
    """One run of a DAG."""

    def __init__(self, dag: Dag, queues: Queues, timeout: float | None) -> None:
        self._dag = dag
        self._queues = queues
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._tensors = list(dag.tensors)
        self._errors: dict[int, Exception] = {}
        self._done: set[int] = set()
        self._busy: set[str] = set()
        self._runs = {
            index: operation
            for index, operation in enumerate(dag.operations)
            if isinstance(operation, ModelRun | ScriptRun)
        }
        self._waiting: dict[str, deque[int]] = {}
        for index, run in self._runs.items():
            self._waiting.setdefault(run.device, deque()).append(index)
        self._lock = threading.Lock()
        self._result: Future[DagResult] = Future()

    def start(self) -> Future[DagResult]:
        self._advance(None)
        return self._result

    def _advance(self, finished_device: str | None) -> None:
        """Submit the runs whose inputs are known. If there are none and no device is busy, the DAG has ended."""
        try:
            with self._lock:
                self._busy.discard(finished_device or "")
                ready = self._take_ready()
                finished = not ready and not self._busy
            for index, device in ready:
                self._submit(index, device)
            if finished:
                self._finish()
        except Exception as error:  # noqa: BLE001 - passed on to the caller; raised in a callback it would be lost
            with contextlib.suppress(InvalidStateError):  # the result was set after an operation on another device
                self._result.set_exception(error)

    def _take_ready(self) -> list[tuple[int, str]]:
        ready: list[tuple[int, str]] = []
        if self._errors:
            return ready
        for device, waiting in self._waiting.items():
            if device in self._busy or not waiting:
                continue
            if all(self._tensors[number] is not None for number in self._dag.inputs[waiting[0]]):
                self._busy.add(device)
                ready.append((waiting.popleft(), device))
        return ready

    def _submit(self, index: int, device: str) -> None:
        tensors = [self._tensors[number] for number in self._dag.inputs[index]]
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            result = self._queues.submit(self._runs[index].job([tensor.array for tensor in tensors if tensor], left))
        except Exception as error:  # noqa: BLE001 - becomes the operation's reply
            result = Future()
            result.set_exception(error)
        result.add_done_callback(lambda done: self._on_end(index, device, done))

    def _on_end(self, index: int, device: str, done: Future[Any]) -> None:
        try:
            made = [None if array is None else Tensor.from_array(array) for array in done.result()]
            numbered = list(zip(self._dag.outputs[index], made, strict=True))
            with self._lock:
                self._done.add(index)
                for number, tensor in numbered:
                    self._tensors[number] = tensor
        except Exception as error:  # noqa: BLE001 - becomes the operation's reply
            with self._lock:
                self._errors[index] = error
        self._advance(device)

    def _finish(self) -> None:
        timed_out = next((error for error in self._errors.values() if isinstance(error, TimedOutError)), None)
        if timed_out is not None:
            self._result.set_exception(timed_out)
            return
        last = {name: self._tensors[number] for name, number in self._dag.names.items()}
        self._result.set_result(
            DagResult(
                replies=[self._reply(index, operation) for index, operation in enumerate(self._dag.operations)],
                failed=bool(self._errors),
                tensors={name: tensor for name, tensor in last.items() if tensor is not None},
            )
        )

    def _reply(self, index: int, operation: Operation) -> object:
        if isinstance(operation, TensorSet):
            return OK
        if isinstance(operation, TensorGet):
            tensor = self._tensors[self._dag.inputs[index][0]]
            if tensor is None:
                return NOT_DONE
            try:
                return operation.reply(tensor)
            except CommandError as error:
                return error
        failure = self._errors.get(index)
        if failure is None:
            return OK if index in self._done else NOT_DONE
        return (
            failure if isinstance(failure, CommandError) else CommandError(f"ERR {type(failure).__name__}: {failure}")
        )
