"""Commands of clients that hooks answer."""

from __future__ import annotations

from rededge_nb.edge.client import CommandArgs
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runners.triggers import hook_reply_of
from rededge_nb.edge.gears.runtime.context import Context
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.hooked import HookedCommand
from rededge_nb.edge.switchboard.calls import Call, CommandError


def run_hook(call: Call, engine: Engine) -> tuple[object, list[CommandArgs]]:
    """Run the first hook of a command; call_next() runs the others.

    Returns:
        The reply, or the exception that takes its place; and the commands that count the execution.
    """
    counts: list[CommandArgs] = []
    try:
        hook = engine.hook(call.hooks[0])
        context = Context(engine, hooked=HookedCommand(call.name, call.hooks[1:], call.id))
        execution = engine.new_execution(hook.draft.id, hook.draft.steps)
        outcome = hook.run(context, execution, [call.name.encode(), *call.args])
        counts = hook.counts(outcome)
        return hook_reply_of(outcome), counts
    except GearsError as error:
        return CommandError(str(error)), counts
    except Exception as error:  # noqa: BLE001 - it becomes the reply
        return error, counts
