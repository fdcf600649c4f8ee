"""AI.MODELEXECUTE, AI.MODELRUN, AI.SCRIPTEXECUTE and AI.SCRIPTRUN.

The thread that takes the call parses the arguments and reads the input tensors. The run itself waits in the queue of
its device, so that the thread can take the next call.

Apart from the model, a run costs round trips to Redis. One of them reads the model's fields and the inputs, another one
writes all outputs and sends the reply; the check of the output keys is sent while the model runs (see writing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from rededge_nb.edge.ai.execution.loaded_models import RUN_FIELDS, LoadedModels
from rededge_nb.edge.ai.execution.queues import TimedOutError
from rededge_nb.edge.ai.execution.runs import ModelLookup, ModelRun, ScriptRun
from rededge_nb.edge.ai.parsing.arguments import integer
from rededge_nb.edge.ai.parsing.runs import (
    parse_modelexecute,
    parse_modelrun,
    parse_scriptexecute,
    parse_scriptrun,
)
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.storage.writing import Replacement
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.chaining import then
from rededge_nb.edge.switchboard.calls import OK, Answered, Call, Simple
from rededge_nb.edge.switchboard.resp import encode


def modelexecute(call: Call, models: LoadedModels) -> Future[object]:
    """`AI.MODELEXECUTE key INPUTS n in … OUTPUTS m out … [TIMEOUT ms]`."""
    prefetched = hashes.prefetch(call.redis, _fields_to_prefetch(call.args))
    lookup = ModelLookup(call.redis, models, prefetched)
    return _run(call, models, parse_modelexecute(call.args, lookup, call.name), prefetched)


def modelrun(call: Call, models: LoadedModels) -> Future[object]:
    """`AI.MODELRUN key [TIMEOUT ms] INPUTS in … OUTPUTS out …`."""
    return _run(call, models, parse_modelrun(call.args, ModelLookup(call.redis, models), call.name))


def scriptexecute(call: Call, models: LoadedModels) -> Future[object]:
    """`AI.SCRIPTEXECUTE key function [KEYS n k …] [INPUTS n t …] [ARGS n a …] [OUTPUTS n t …] [TIMEOUT ms]`."""
    return _run(call, models, parse_scriptexecute(call.args, ModelLookup(call.redis, models), call.name))


def scriptrun(call: Call, models: LoadedModels) -> Future[object]:
    """`AI.SCRIPTRUN key function [TIMEOUT ms] INPUTS t … [$ t …] OUTPUTS t …`."""
    return _run(call, models, parse_scriptrun(call.args, ModelLookup(call.redis, models), call.name))


def timed_out_reply(error: Exception) -> object:
    """RedisAI's reply to a run that waited longer than its TIMEOUT; other errors are raised."""
    if isinstance(error, TimedOutError):
        return Simple("TIMEDOUT")
    raise error


def _fields_to_prefetch(args: list[bytes]) -> list[tuple[bytes, Sequence[str]]]:
    """Keys and fields that a run needs, if the arguments are correct as far as `key INPUTS n in …`."""
    count = integer(args[2]) if len(args) > 2 and args[1].upper() == b"INPUTS" else None
    if count is None or count < 1:
        return []
    key, inputs = args[0], args[3 : 3 + count]
    return [(key, RUN_FIELDS), *((name, hashes.TENSOR_FIELDS) for name in inputs if name != key)]


def _run(
    call: Call, models: LoadedModels, run: ModelRun | ScriptRun, prefetched: hashes.Prefetched | None = None
) -> Future[object]:
    tensors = hashes.get_tensors(call.redis, run.inputs, prefetched)
    replacement = Replacement(call.redis, hashes.TENSOR, run.outputs)
    job = run.job([tensor.array for tensor in tensors], run.timeout)
    if run.outputs:
        job.before = replacement.send_checks
    reply = then(models.queues.submit(job), lambda arrays: _write(call, run, arrays, replacement), timed_out_reply)
    reply.add_done_callback(lambda _: replacement.close())
    return reply


def _write(call: Call, run: ModelRun | ScriptRun, arrays: list[Any], replacement: Replacement) -> object:
    tensors = [
        (key, hashes.fields_of(Tensor.from_array(array)))
        for key, array in zip(run.outputs, arrays, strict=True)
        if array is not None
    ]
    if not tensors:
        return OK
    replacement.write(tensors, also=[("EDGE.REPLY", call.id, encode(OK))])
    return Answered(OK)
