"""The table of RG.* commands: one row each."""

from __future__ import annotations

from collections.abc import Callable

from rededge_nb.edge.commands import Call, Command
from rededge_nb.edge.gears import execution_commands, pyexecute, registration_commands, server_commands


def _row(
    name: str,
    handler: Callable[[Call], object],
    arity: int,
    *,
    queue: str = "gears",
    dangerous: bool = False,
    category: str = "read",
    keys: str = "",
) -> Command:
    return Command(name, handler, queue, arity, "readonly", "dangerous" if dangerous else category, keys)


COMMANDS: tuple[Command, ...] = (
    _row("RG.PYEXECUTE", pyexecute.pyexecute, -2, queue="executions", dangerous=True),
    _row("RG.TRIGGER", pyexecute.trigger, -2, queue="executions", category="write"),
    _row("RG.TRIGGERONKEY", pyexecute.trigger_on_key, -3, queue="executions", category="write", keys=". r"),
    _row("RG.DUMPREGISTRATIONS", registration_commands.dumpregistrations, 1),
    _row("RG.UNREGISTER", registration_commands.unregister, -2, dangerous=True),
    _row("RG.PAUSEREGISTRATIONS", registration_commands.pauseregistrations, -1, dangerous=True),
    _row("RG.UNPAUSEREGISTRATIONS", registration_commands.unpauseregistrations, -1, dangerous=True),
    _row("RG.CLEARREGISTRATIONSSTATS", registration_commands.clearregistrationsstats, 1, dangerous=True),
    _row("RG.PYDUMPSESSIONS", registration_commands.pydumpsessions, -1),
    _row("RG.PYPROFILE", registration_commands.pyprofile, -2),
    _row("RG.DUMPEXECUTIONS", execution_commands.dumpexecutions, 1),
    _row("RG.GETEXECUTION", execution_commands.getexecution, -2),
    _row("RG.GETRESULTS", execution_commands.getresults, 2),
    _row("RG.GETRESULTSBLOCKING", execution_commands.getresultsblocking, 2, queue="executions"),
    _row("RG.ABORTEXECUTION", execution_commands.abortexecution, 2, dangerous=True),
    _row("RG.DROPEXECUTION", execution_commands.dropexecution, 2, dangerous=True),
    _row("RG.PYSTATS", server_commands.pystats, 1),
    _row("RG.PYDUMPREQS", server_commands.pydumpreqs, 1),
    _row("RG.PYEXPORTREQ", server_commands.pyexportreq, 2, dangerous=True),
    _row("RG.PYIMPORTREQ", server_commands.pyimportreq, -2, queue="executions", dangerous=True),
    _row("RG.CONFIGGET", server_commands.configget, -2),
    _row("RG.CONFIGSET", server_commands.configset, -2, dangerous=True),
    _row("RG.INFOCLUSTER", server_commands.infocluster, 1),
    _row("RG.REFRESHCLUSTER", server_commands.refreshcluster, 1, dangerous=True),
    _row("RG.DUMPPLUGINS", server_commands.dumpplugins, 1),
)
