"""The modules `redisAI` and `redisgears` that gear scripts import."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.gears.chain.readers import StreamRecord
from rededge_nb.edge.gears.runtime.atomic import atomic
from rededge_nb.edge.gears.runtime.context import Script, current
from rededge_nb.edge.gears.runtime.errors import GearsError, GearsFlatError, GearsForceStopped
from rededge_nb.edge.gears.runtime.futures import GearsFuture
from rededge_nb.edge.gears.runtime.gear import Draft, Step
from rededge_nb.edge.gears.script import api, builder, redis_ai, redis_ai_dag
from rededge_nb.edge.gears.script.builder import GearsBuilder
from rededge_nb.edge.gears.state import stored_code

REDIS_AI = (
    redis_ai.createTensorFromValues,
    redis_ai.createTensorFromBlob,
    redis_ai.setTensorInKey,
    redis_ai.msetTensorsInKeyspace,
    redis_ai.getTensorFromKey,
    redis_ai.mgetTensorsFromKeyspace,
    redis_ai.tensorToFlatList,
    redis_ai.tensorGetDataAsBlob,
    redis_ai.tensorGetDims,
    redis_ai.createModelRunner,
    redis_ai.modelRunnerAddInput,
    redis_ai.modelRunnerAddOutput,
    redis_ai.modelRunnerRun,
    redis_ai.modelRunnerRunAsync,
    redis_ai.createScriptRunner,
    redis_ai.scriptRunnerAddInput,
    redis_ai.scriptRunnerAddInputList,
    redis_ai.scriptRunnerAddOutput,
    redis_ai.scriptRunnerRun,
    redis_ai.scriptRunnerRunAsync,
    redis_ai_dag.createDAGRunner,
)
"""The functions of `redisAI`."""


def get_gears_session() -> Script | None:
    """The script that is being executed, which stands for its session; None inside an execution."""
    return current().script


def set_gears_session(session: object) -> None:
    """Does nothing: the context of each thread has its session."""


def register_gears_thread() -> None:
    """Does nothing: any thread may run gear code."""


REDIS_GEARS: dict[str, Any] = {
    "GearsError": GearsError,
    "GearsFlatError": GearsFlatError,
    "GearsForceStopped": GearsForceStopped,
    "PyAtomic": atomic,
    "PyExecutionSession": Script,
    "PyFlatExecution": GearsBuilder,
    "PyFuture": GearsFuture,
    "atomicCtx": atomic,
    "callNext": api.call_next,
    "config_get": api.config_get,
    "executeCommand": api.execute,
    "flatError": api.flat_error,
    "gearsCtx": GearsBuilder,
    "gearsFutureCtx": GearsFuture,
    "getCommand": api.get_command,
    "getGearsSession": get_gears_session,
    "getMyHashTag": api.hashtag,
    "isAsyncAllow": api.is_async_allow,
    "isInAtomicBlock": api.is_in_atomic_block,
    "log": api.log,
    "overrideReply": api.override_reply,
    "registerGearsThread": register_gears_thread,
    "registerTimeEvent": api.register_timer,
    "setGearsSession": set_gears_session,
}
"""The names in `redisgears`."""

STORED_NAMES: dict[str, object] = {
    **{name: value for name, value in api.NAMES.items() if not isinstance(value, ModuleType)},
    **REDIS_GEARS,
    **{function.__name__: function for function in REDIS_AI},
    **builder.STORED_NAMES,
    "Draft": Draft,  # only in format 0
    "Step": Step,
    "StreamRecord": StreamRecord,
    "Tensor": Tensor,
}
"""All that stored gears may refer to: what scripts can reach by name, and the classes of what they get from it."""


def install() -> None:
    """Make the two modules importable in this process, and name the objects that stored code may refer to."""
    module = ModuleType("redisAI", "RedisAI inside a gear: models and scripts run in the worker's own process.")
    for function in REDIS_AI:
        setattr(module, function.__name__, function)
    sys.modules["redisAI"] = module
    redis_gears = ModuleType("redisgears", "RedisGears' own module, as scripts import it.")
    for name, value in REDIS_GEARS.items():
        setattr(redis_gears, name, value)
    sys.modules["redisgears"] = redis_gears
    stored_code.name_objects(STORED_NAMES)
