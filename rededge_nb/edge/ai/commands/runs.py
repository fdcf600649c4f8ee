"""AI.MODELEXECUTE, AI.MODELRUN, AI.SCRIPTEXECUTE and AI.SCRIPTRUN.

Arguments and input tensors are read at once; the run waits in the queue of its device, and the call's thread goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from rededge_nb.edge.ai.execution.queues import or_timed_out, then
from rededge_nb.edge.ai.execution.runs import ModelRun, ScriptRun, Where
from rededge_nb.edge.ai.execution.sessions import SESSION_FIELDS, Sessions
from rededge_nb.edge.ai.parsing.arguments import integer
from rededge_nb.edge.ai.parsing.runs import (
    parse_modelexecute,
    parse_modelrun,
    parse_scriptexecute,
    parse_scriptrun,
)
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.switchboard.calls import OK, Answered, Call
from rededge_nb.edge.switchboard.resp import encode


def modelexecute(call: Call, sessions: Sessions) -> Future[object]:
    """`AI.MODELEXECUTE key INPUTS n in … OUTPUTS m out … [TIMEOUT ms]`."""
    found = hashes.look_up(call.redis, _wanted(call.args))
    place = Where(call.redis, sessions, found)
    return _run(call, sessions, parse_modelexecute(call.args, place, call.name), found)


def modelrun(call: Call, sessions: Sessions) -> Future[object]:
    """`AI.MODELRUN key [TIMEOUT ms] INPUTS in … OUTPUTS out …`."""
    return _run(call, sessions, parse_modelrun(call.args, where(call, sessions), call.name))


def scriptexecute(call: Call, sessions: Sessions) -> Future[object]:
    """`AI.SCRIPTEXECUTE key function [KEYS n k …] [INPUTS n t …] [ARGS n a …] [OUTPUTS n t …] [TIMEOUT ms]`."""
    return _run(call, sessions, parse_scriptexecute(call.args, where(call, sessions), call.name))


def scriptrun(call: Call, sessions: Sessions) -> Future[object]:
    """`AI.SCRIPTRUN key function [TIMEOUT ms] INPUTS t … [$ t …] OUTPUTS t …`."""
    return _run(call, sessions, parse_scriptrun(call.args, where(call, sessions), call.name))


def where(call: Call, sessions: Sessions) -> Where:
    """Where a call's models and scripts are."""
    return Where(call.redis, sessions)


def _wanted(args: list[bytes]) -> list[tuple[bytes, Sequence[str]]]:
    """What a run reads, if the words are in order as far as `key INPUTS n in …`."""
    count = integer(args[2]) if len(args) > 2 and args[1].upper() == b"INPUTS" else None
    if count is None or count < 1:
        return []
    key, inputs = args[0], args[3 : 3 + count]
    return [(key, SESSION_FIELDS), *((name, hashes.TENSOR_FIELDS) for name in inputs if name != key)]


# What a run costs beyond the model are trips to Redis and back: so one reads all, one writes all and replies, and the
# outputs' keys are looked at while the model runs.


def _run(
    call: Call, sessions: Sessions, run: ModelRun | ScriptRun, found: hashes.Found | None = None
) -> Future[object]:
    tensors = hashes.get_tensors(call.redis, run.inputs, found)
    replacement = hashes.Replacement(call.redis, hashes.TENSOR, run.outputs)
    job = run.job([tensor.array for tensor in tensors], run.timeout)
    if run.outputs:
        job.before = replacement.look
    done = then(sessions.queues.submit(job), lambda results: _write(call, run, results, replacement))
    done.add_done_callback(lambda _: replacement.close())
    return or_timed_out(done)


def _write(call: Call, run: ModelRun | ScriptRun, results: list[Any], replacement: hashes.Replacement) -> object:
    tensors = [
        (key, hashes.fields_of(Tensor.from_array(result)))
        for key, result in zip(run.outputs, results, strict=True)
        if result is not None
    ]
    if not tensors:
        return OK
    replacement.write(tensors, also=[("EDGE.REPLY", call.id, encode(OK))])
    return Answered(OK)
