"""DAGs: operations on tensors with local names, done in order on each device and side by side on several."""

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
"""What an operation answers that was not done because another failed."""


@dataclass(frozen=True)
class TensorSet:
    """Gives a tensor a name."""

    name: bytes
    tensor: Tensor


@dataclass(frozen=True)
class TensorGet:
    """Tells a tensor."""

    name: bytes
    reply: Callable[[Tensor], object]


Operation = TensorSet | TensorGet | ModelRun | ScriptRun


@dataclass(frozen=True)
class Outcome:
    """What a DAG came to."""

    replies: list[object]
    """One for each operation."""
    failed: bool
    tensors: dict[bytes, Tensor]
    """The newest tensor of each name."""


class Dag:
    """Operations whose names are resolved: each input is the newest tensor of that name at its place.

    Raises:
        CommandError: an input is neither loaded nor made by an earlier operation.
    """

    def __init__(self, loaded: Mapping[bytes, Tensor], operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.tensors: list[Tensor | None] = list(loaded.values())
        self.names = {name: slot for slot, name in enumerate(loaded)}
        """Name to the place of its newest tensor among `tensors`."""
        self.inputs: list[list[int]] = []
        self.outputs: list[list[int]] = []
        for operation in operations:
            match operation:
                case TensorSet():
                    self.inputs.append([])
                    self.outputs.append([self._place(operation.name, operation.tensor)])
                case TensorGet():
                    self.inputs.append([self._find(operation.name)])
                    self.outputs.append([])
                case _:
                    self.inputs.append([self._find(name) for name in operation.inputs])
                    self.outputs.append([self._place(name, None) for name in operation.outputs])

    def run(self, queues: Queues, *, timeout: float | None = None) -> Future[Outcome]:
        """Do all operations; the result may be a TimedOutError if one waited longer than `timeout` seconds in all."""
        return _Execution(self, queues, timeout).start()

    def _find(self, name: bytes) -> int:
        if name not in self.names:
            raise CommandError("ERR INPUT key cannot be found in DAG")
        return self.names[name]

    def _place(self, name: bytes, tensor: Tensor | None) -> int:
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
        self._outcome: Future[Outcome] = Future()

    def start(self) -> Future[Outcome]:
        self._advance(None)
        return self._outcome

    def _advance(self, ended_device: str | None) -> None:
        """Submit what can be done now; when nothing can and nothing runs, this was it."""
        try:
            with self._lock:
                self._busy.discard(ended_device or "")
                ready = self._take_ready()
                finished = not ready and not self._busy
            for index, device in ready:
                self._submit(index, device)
            if finished:
                self._finish()
        except Exception as error:  # noqa: BLE001 - in a callback nobody would hear of it, and somebody waits
            with contextlib.suppress(InvalidStateError):  # an operation on another device came to an end first
                self._outcome.set_exception(error)

    def _take_ready(self) -> list[tuple[int, str]]:
        ready: list[tuple[int, str]] = []
        if self._errors:
            return ready
        for device, waiting in self._waiting.items():
            if device in self._busy or not waiting:
                continue
            if all(self._tensors[slot] is not None for slot in self._dag.inputs[waiting[0]]):
                self._busy.add(device)
                ready.append((waiting.popleft(), device))
        return ready

    def _submit(self, index: int, device: str) -> None:
        tensors = [self._tensors[slot] for slot in self._dag.inputs[index]]
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            result = self._queues.submit(self._runs[index].job([tensor.array for tensor in tensors if tensor], left))
        except Exception as error:  # noqa: BLE001 - it is told in the reply, whatever it is
            result = Future()
            result.set_exception(error)
        result.add_done_callback(lambda done: self._on_end(index, device, done))

    def _on_end(self, index: int, device: str, done: Future[Any]) -> None:
        try:
            made = [None if array is None else Tensor.from_array(array) for array in done.result()]
            named = list(zip(self._dag.outputs[index], made, strict=True))
            with self._lock:
                self._done.add(index)
                for slot, tensor in named:
                    self._tensors[slot] = tensor
        except Exception as error:  # noqa: BLE001 - it is told in the reply, whatever it is
            with self._lock:
                self._errors[index] = error
        self._advance(device)

    def _finish(self) -> None:
        timed_out = next((error for error in self._errors.values() if isinstance(error, TimedOutError)), None)
        if timed_out is not None:
            self._outcome.set_exception(timed_out)
            return
        newest = {name: self._tensors[slot] for name, slot in self._dag.names.items()}
        self._outcome.set_result(
            Outcome(
                replies=[self._reply(index, operation) for index, operation in enumerate(self._dag.operations)],
                failed=bool(self._errors),
                tensors={name: tensor for name, tensor in newest.items() if tensor is not None},
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
        if failure is not None:
            is_told = isinstance(failure, CommandError)
            return failure if is_told else CommandError(f"ERR {type(failure).__name__}: {failure}")
        return OK if index in self._done else NOT_DONE
