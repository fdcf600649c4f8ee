"""The module `redisgears` that gear scripts import."""

from __future__ import annotations

import sys
from types import ModuleType

from rededge_nb.edge.gears.runtime.atomic import atomic
from rededge_nb.edge.gears.runtime.context import Script, current
from rededge_nb.edge.gears.runtime.errors import GearsError, GearsFlatError, GearsForceStopped
from rededge_nb.edge.gears.runtime.futures import GearsFuture
from rededge_nb.edge.gears.script import api
from rededge_nb.edge.gears.script.builder import GearsBuilder


def get_gears_session() -> Script | None:
    """What the running script is part of; None outside a script."""
    return current().script


def set_gears_session(session: object) -> None:
    """Does nothing: each thread of gear code knows its session."""


def register_gears_thread() -> None:
    """Does nothing: any thread may run gear code."""


NAMES = {
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


def install() -> None:
    """Make the module importable in this process."""
    module = ModuleType("redisgears", "RedisGears' own module, as scripts import it.")
    for name, value in NAMES.items():
        setattr(module, name, value)
    sys.modules["redisgears"] = module
