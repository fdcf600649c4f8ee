"""The modules `redisAI` and `redisgears` that gear scripts import."""

from __future__ import annotations

import sys
from types import ModuleType

from rededge_nb.edge.gears.runtime.errors import GearsError, GearsFlatError
from rededge_nb.edge.gears.script import api, redis_ai, redis_ai_dag

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


def install() -> None:
    """Make the two modules importable in this process."""
    module = ModuleType("redisAI", "RedisAI inside a gear: models and scripts run in the worker's own process.")
    for function in REDIS_AI:
        setattr(module, function.__name__, function)
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
    sys.modules["redisAI"] = module
    sys.modules["redisgears"] = redis_gears
