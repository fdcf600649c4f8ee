"""The RG.* commands about options, requirements and memory; commands about a cluster answer "no cluster mode"."""

from __future__ import annotations

from rededge_nb.edge.gears.commands.background import run_in_background
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.options import AT_RUN_TIME, DEFAULTS
from rededge_nb.edge.gears.state.requirements import Installed
from rededge_nb.edge.processes import peak_resident_memory, resident_memory
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError, Simple

CHUNK_BYTES = 10 * 1024 * 1024
"""Size of the chunks of RG.PYEXPORTREQ."""
PLUGIN = ["name", "rg_python", "version", 1]


def pystats(_call: Call, _engine: Engine) -> object:
    """RG.PYSTATS: bytes of memory of this worker's process. RedisGears counts the allocations of its interpreter.

    `TotalAllocated` and `PeakAllocated` are the largest resident size so far, `CurrAllocated` is the size now.
    """
    peak = peak_resident_memory()
    return ["TotalAllocated", peak, "PeakAllocated", peak, "CurrAllocated", min(resident_memory(), peak)]


def configget(call: Call, engine: Engine) -> object:
    """RG.CONFIGGET key …: one element for each key; built-in names are case-sensitive."""
    options = engine.options
    options.refresh()
    reply: list[object] = []
    for word in call.args:
        name = word.decode(errors="replace")
        value = options.get(name)
        reply.append(CommandError(f"(error) Unsupported config parameter: {name}") if value is None else value)
    return reply


def configset(call: Call, engine: Engine) -> object:
    """RG.CONFIGSET key value …: one element for each key; a name that is not built in becomes an option of the user."""
    words = [word.decode(errors="replace") for word in call.args]
    values: list[str | None] = [*words[1::2]]
    if len(words) % 2:
        values.append(None)
    return [_set(engine, name, value) for name, value in zip(words[::2], values, strict=True)]


def pydumpreqs(_call: Call, engine: Engine) -> object:
    """RG.PYDUMPREQS: the requirements that are installed on this machine."""
    return [_describe(engine, one) for one in engine.runners.requirements.all()]


def pyexportreq(call: Call, engine: Engine) -> object:
    """RG.PYEXPORTREQ name: a requirement with its wheels, in chunks for RG.PYIMPORTREQ."""
    requirements = engine.runners.requirements
    installed = requirements.find(call.args[0].decode(errors="replace"))
    if installed is None:
        raise CommandError("requirement does not exists")
    data = requirements.export(installed)
    return [
        _describe(engine, installed),
        [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)],
    ]


def pyimportreq(call: Call, engine: Engine) -> object:
    """RG.PYIMPORTREQ chunk …: install a requirement from the chunks of RG.PYEXPORTREQ."""

    def work() -> object:
        try:
            engine.runners.requirements.add(b"".join(call.args))
        except GearsError as error:
            raise CommandError(str(error)) from error
        return "OK"

    return run_in_background(work)


def infocluster(_call: Call, _engine: Engine) -> object:
    """RG.INFOCLUSTER: no cluster mode, also in a Redis Cluster."""
    return "no cluster mode"


def refreshcluster(_call: Call, _engine: Engine) -> object:
    """RG.REFRESHCLUSTER: there is nothing to do."""
    return OK


def dumpplugins(_call: Call, _engine: Engine) -> object:
    """RG.DUMPPLUGINS: Python is the only plugin."""
    return [PLUGIN]


def _set(engine: Engine, name: str, value: str | None) -> object:
    options = engine.options
    if value is None:
        return CommandError(f"(error) Value was not given to {name}")
    if name in DEFAULTS and name not in AT_RUN_TIME:
        return CommandError(f"(error) {name} is not configurable at runtime")
    try:
        options.set(name, value)
    except ValueError:
        return CommandError(f"(error) Failed setting config value {name}")
    return OK if name in DEFAULTS else Simple("OK - value was saved in extra config dictionary")


def _describe(engine: Engine, installed: Installed) -> list[object]:
    sessions = registrations.load_sessions(engine.state_client).values()
    return installed.describe(sum(installed.name in session.requirements for session in sessions))
