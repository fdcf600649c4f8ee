"""The table of RG.* commands: one row each."""

from __future__ import annotations

from collections.abc import Callable

from rededge_nb.edge.gears.commands import executions as execution_commands
from rededge_nb.edge.gears.commands import pyexecute, registrations, server
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.switchboard.calls import Call, Command


def _row(
    name: str,
    handler: Callable[[Call, Engine], object],
    arity: int,
    *,
    queue: str = "gears",
    dangerous: bool = False,
    category: str = "read",
    keys: str = "",
) -> Command[Engine]:
    return Command(name, handler, queue, arity, "readonly", "dangerous" if dangerous else category, keys)


COMMANDS: tuple[Command[Engine], ...] = (
    _row("RG.PYEXECUTE", pyexecute.pyexecute, -2, queue="executions", dangerous=True),
    _row("RG.TRIGGER", pyexecute.trigger, -2, queue="executions", category="write"),
    _row("RG.TRIGGERONKEY", pyexecute.trigger_on_key, -3, queue="executions", category="write", keys=". r"),
    _row("RG.DUMPREGISTRATIONS", registrations.dumpregistrations, 1),
    _row("RG.UNREGISTER", registrations.unregister, -2, dangerous=True),
    _row("RG.PAUSEREGISTRATIONS", registrations.pauseregistrations, -1, dangerous=True),
    _row("RG.UNPAUSEREGISTRATIONS", registrations.unpauseregistrations, -1, dangerous=True),
    _row("RG.CLEARREGISTRATIONSSTATS", registrations.clearregistrationsstats, 1, dangerous=True),
    _row("RG.PYDUMPSESSIONS", registrations.pydumpsessions, -1),
    _row("RG.PYPROFILE", registrations.pyprofile, -2),
    _row("RG.DUMPEXECUTIONS", execution_commands.dumpexecutions, 1),
    _row("RG.GETEXECUTION", execution_commands.getexecution, -2),
    _row("RG.GETRESULTS", execution_commands.getresults, 2),
    _row("RG.GETRESULTSBLOCKING", execution_commands.getresultsblocking, 2, queue="executions"),
    _row("RG.ABORTEXECUTION", execution_commands.abortexecution, 2, dangerous=True),
    _row("RG.DROPEXECUTION", execution_commands.dropexecution, 2, dangerous=True),
    _row("RG.PYSTATS", server.pystats, 1),
    _row("RG.PYDUMPREQS", server.pydumpreqs, 1),
    _row("RG.PYEXPORTREQ", server.pyexportreq, 2, dangerous=True),
    _row("RG.PYIMPORTREQ", server.pyimportreq, -2, queue="executions", dangerous=True),
    _row("RG.CONFIGGET", server.configget, -2),
    _row("RG.CONFIGSET", server.configset, -2, dangerous=True),
    _row("RG.INFOCLUSTER", server.infocluster, 1),
    _row("RG.REFRESHCLUSTER", server.refreshcluster, 1, dangerous=True),
    _row("RG.DUMPPLUGINS", server.dumpplugins, 1),
)
