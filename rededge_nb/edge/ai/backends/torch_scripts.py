"""TorchScript source: compiling it, calling its functions, and the operators that they can use.

The source is TorchScript, not Python: torch compiles it, and the Python interpreter never executes it. In a script,
`redis` and `redisAI` are the operators defined below. An operator does not get the call's client as an argument, so it
finds it in a thread-local variable: a function runs in one thread from its beginning to its end.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis as redis_client
import torch

from rededge_nb.edge.ai.backends import command_error, script_calls
from rededge_nb.edge.ai.backends.invocation import FindModel, Invocation
from rededge_nb.edge.ai.backends.torch_tensors import check_graph, device_of, from_arrays, to_array
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

ENTRY_POINT = ("List[Tensor]", "List[str]", "List[str]")
SIGNATURE = "def {}(tensors: List[Tensor], keys: List[str], args: List[str])"
EXCEPTIONS = {error.__name__: error for error in (Exception, RuntimeError, ValueError, TypeError, AssertionError)}
"""The exceptions that a script can raise."""


@dataclass
class _Running:
    redis: redis_client.Redis
    find_model: FindModel
    device: torch.device


_running = threading.local()


class CompiledScript:
    """The functions of a script."""

    def __init__(self, unit: Any, device: torch.device) -> None:
        self._unit = unit
        self._device = device

    def check_entry_points(self, names: Sequence[str]) -> None:
        """Check that these functions exist and have the arguments (tensors, keys, args).

        Raises:
            CommandError: One of them does not.
        """
        for name in names:
            function = self._unit.find_function(name)
            if function is None:
                raise CommandError(f"Function {name} does not exist in the given script.")
            kinds = tuple(str(argument.type) for argument in function.schema.arguments)
            if len(kinds) != len(ENTRY_POINT):
                raise CommandError(
                    f"Wrong number of inputs in function {name}. Expected {len(ENTRY_POINT)} but was {len(kinds)}"
                )
            if kinds != ENTRY_POINT:
                raise CommandError(
                    f"Wrong inputs type in function {name}. Expected signature similar to: {SIGNATURE.format(name)}"
                )

    def run(
        self,
        invocation: Invocation,
        arrays: Sequence[Array],
        entry_points: Sequence[str],
        *,
        redis: redis_client.Redis,
        find_model: FindModel,
    ) -> list[Array]:
        """Call a function. It sends its commands to `redis`, and runs the models that `find_model` finds.

        Raises:
            CommandError: The function does not exist, does not accept these arguments, raised an error, or returned
                something other than the expected tensors.
        """
        name = invocation.function
        function = self._unit.find_function(name)
        if function is None:
            raise CommandError(f"Function does not exist: {name}")
        tensors: list[Any] = from_arrays(arrays, self._device)
        if name in entry_points:
            arguments = [tensors, list(invocation.keys), list(invocation.args)]
        else:
            arguments = _by_position(function, name, tensors)
        _running.call = _Running(redis, find_model, self._device)
        try:
            with torch.inference_mode():
                returned = function(*arguments)
        except Exception as error:  # torch raises errors of many types
            raise command_error(error) from error
        finally:
            del _running.call
        return _results(returned, invocation) if invocation.outputs else []


def compile_script(source: bytes, device: str) -> CompiledScript:
    """Compile a script for a device (`CPU`, `GPU:0` …).

    Raises:
        CommandError: It does not compile; the text is torch's.
    """
    target = device_of(device)
    _define_operators()
    known = {"redis": torch.ops.redis, "redisAI": torch.ops.redisAI, "torch": torch, **EXCEPTIONS}
    unit = torch._C.CompilationUnit()
    try:
        unit.define(source.decode() + "\n", known.get)  # torch requires a line feed at the end
        for function in unit.get_functions():
            check_graph(function.inlined_graph)
    except CommandError:
        raise
    except Exception as error:  # torch raises errors of many types
        raise command_error(error) from error
    return CompiledScript(unit, target)


def _by_position(function: Any, name: str, tensors: list[Any]) -> list[Any]:
    """Arguments of a function without an entry point: one tensor each, and a list for the remaining ones."""
    arguments: list[Any] = []
    left = list(tensors)
    for argument in function.schema.arguments:
        kind = str(argument.type)
        if kind == "List[Tensor]":
            arguments.append(left)
            left = []
        elif kind == "Tensor":
            if not left:
                raise CommandError(f"Wrong number of inputs provided to function: {name}")
            arguments.append(left.pop(0))
        else:
            raise CommandError(f"Unsupported input type in function definition: {name}")
    if left:
        raise CommandError(f"Wrong number of inputs provided to function: {name}")
    return arguments


def _results(returned: Any, invocation: Invocation) -> list[Array]:
    outputs = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    if not all(isinstance(output, torch.Tensor) for output in outputs):
        raise CommandError(f"Function returned non-tensor values{invocation.function}")
    if len(outputs) != invocation.outputs:
        raise CommandError(f"Function returned unexpected number of outputs - {invocation.function}")
    return [to_array(output) for output in outputs]


@functools.cache
def _define_operators() -> tuple[torch.library.Library, ...]:
    """Define `redis` and `redisAI` in torch, once in a process. The libraries must be kept: they hold the operators."""
    redis_library = torch.library.Library("redis", "DEF")
    ai_library = torch.library.Library("redisAI", "DEF")
    operators: tuple[tuple[torch.library.Library, str, Callable[..., Any]], ...] = (
        (redis_library, "execute.alone(str command) -> Any", _execute_alone),
        (redis_library, "execute(str command, str[] args) -> Any", _execute),
        (redis_library, "asList(Any value) -> Any[]", _as_list),
        (ai_library, "model_execute(str key, Tensor[] inputs, int num_outputs) -> Tensor[]", _model_execute),
    )
    for library, schema, function in operators:
        # CONSERVATIVE: otherwise torch removes calls whose result is not used, such as SET
        library.define(schema, alias_analysis="CONSERVATIVE")
        library.impl(schema.partition("(")[0], function, "CompositeExplicitAutograd")
    return redis_library, ai_library


def _execute_alone(command: str) -> Any:
    return _execute(command, [])


def _execute(command: str, args: list[str]) -> Any:
    return script_calls.call(_running.call.redis, command, args)


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"redis.asList takes a reply that is a list, not a {type(value).__name__}")
    return value


def _model_execute(key: str, inputs: list[torch.Tensor], num_outputs: int) -> list[torch.Tensor]:
    call = _running.call
    outputs = call.find_model(call.redis, key).run([to_array(tensor) for tensor in inputs])
    if len(outputs) != num_outputs:
        raise RuntimeError(f"the model {key} has {len(outputs)} outputs, and {num_outputs} were asked for")
    return from_arrays(outputs, call.device)
