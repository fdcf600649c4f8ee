"""Commands of clients that hooks answer."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

import redis

from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runners.triggers import hook_reply_of
from rededge_nb.edge.gears.runtime.context import Context
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.hooked import HookedCommand
from rededge_nb.edge.switchboard.calls import Answered, Call, CommandError
from rededge_nb.edge.switchboard.resp import encode

logger = logging.getLogger(__name__)

MAX_RUNNING = 100
"""How many hooks may run at the same time; most of them wait for a future or for Redis."""
SENT_AT_ONCE = 256 * 1024
"""Replies up to so many bytes are sent together with the statistics."""

_pool = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="hook")


def answer_hooked(call: Call, engine: Engine) -> Future[object]:
    """Run the first hook of a command; call_next() runs the others."""
    return _pool.submit(_answer, call, engine)


def _answer(call: Call, engine: Engine) -> object:
    try:
        hook = engine.hook(call.hooks[0])
    except GearsError as error:
        raise CommandError(str(error)) from None
    context = Context(engine, hooked=HookedCommand(call.name, call.hooks[1:], call.id))
    execution = engine.new_execution(hook.draft.id, hook.draft.steps)
    outcome = hook.run(context, execution, [call.name.encode(), *call.args])
    reply: object
    try:
        reply = hook_reply_of(outcome)
    except CommandError as error:
        reply = error
    payload = encode(reply)
    is_sent_now = len(payload) <= SENT_AT_ONCE
    try:
        hook.count(outcome, *((("EDGE.REPLY", call.id, payload),) if is_sent_now else ()))
    except redis.RedisError as error:
        logger.warning("an execution of hook %s is not counted: %s", hook.draft.id, error)
        return reply
    return Answered(reply) if is_sent_now else reply
