"""AI.MODELEXECUTE, AI.MODELRUN, AI.SCRIPTEXECUTE and AI.SCRIPTRUN.

Words and input tensors are read at once; the run waits in the queue of its device, and the call's thread goes on.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import redis

from rededge_nb.edge.ai import store
from rededge_nb.edge.ai.operations import (
    ModelRun,
    ScriptRun,
    Where,
    parse_modelexecute,
    parse_modelrun,
    parse_scriptexecute,
    parse_scriptrun,
)
from rededge_nb.edge.ai.queues import TimedOutError, then
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.commands import OK, Call, Simple

TIMED_OUT = Simple("TIMEDOUT")


def modelexecute(call: Call) -> Future[object]:
    """`AI.MODELEXECUTE key INPUTS n in … OUTPUTS m out … [TIMEOUT ms]`."""
    return _run(call, parse_modelexecute(call.args, where(call), call.name))


def modelrun(call: Call) -> Future[object]:
    """`AI.MODELRUN key [TIMEOUT ms] INPUTS in … OUTPUTS out …`."""
    return _run(call, parse_modelrun(call.args, where(call), call.name))


def scriptexecute(call: Call) -> Future[object]:
    """`AI.SCRIPTEXECUTE key function [KEYS n k …] [INPUTS n t …] [ARGS n a …] [OUTPUTS n t …] [TIMEOUT ms]`."""
    return _run(call, parse_scriptexecute(call.args, where(call), call.name))


def scriptrun(call: Call) -> Future[object]:
    """`AI.SCRIPTRUN key function [TIMEOUT ms] INPUTS t … [$ t …] OUTPUTS t …`."""
    return _run(call, parse_scriptrun(call.args, where(call), call.name))


def where(call: Call) -> Where:
    """Where a call's models and scripts are."""
    return Where(call.redis, call.worker.sessions)


def or_timed_out(future: Future[Any]) -> Future[object]:
    """A future whose result says so if it waited too long."""
    following: Future[object] = Future()

    def follow(done: Future[Any]) -> None:
        error = done.exception()
        if isinstance(error, TimedOutError):
            following.set_result(TIMED_OUT)
        elif error is not None:
            following.set_exception(error)
        else:
            following.set_result(done.result())

    future.add_done_callback(follow)
    return following


def _run(call: Call, run: ModelRun | ScriptRun) -> Future[object]:
    tensors = store.get_tensors(call.redis, run.inputs)
    job = run.job([tensor.array for tensor in tensors], run.timeout)

    def write(results: list[Any]) -> object:
        _write(call.redis, run, results)
        return OK

    return or_timed_out(then(call.worker.sessions.queues.submit(job), write))


def _write(client: redis.Redis, run: ModelRun | ScriptRun, results: list[Any]) -> None:
    tensors = [
        (key, Tensor.from_array(result)) for key, result in zip(run.outputs, results, strict=True) if result is not None
    ]
    if tensors:
        store.set_tensors(client, tensors)
