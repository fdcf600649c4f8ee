"""Detecting that redis-server did not start because its data is damaged."""

from __future__ import annotations

import shlex

from rededge_nb.edge.server.binaries import Binaries
from rededge_nb.edge.server.logs import log_tail
from rededge_nb.edge.server.state import StateFolder

_SIGN = "redis-check-aof --fix"
"""In the log if the middle of the append-only file cannot be read; Redis repairs an incomplete end by itself."""


def damage(folder: StateFolder, binaries: Binaries) -> str | None:
    """A message with the command that repairs the data; None if redis-server did not start for another reason."""
    tail = log_tail(folder, lines=1)
    if _SIGN not in tail:
        return None
    data = shlex.quote(str(folder.data))
    libraries = f"LD_LIBRARY_PATH={shlex.quote(str(folder.path / 'lib'))} " if binaries.needs_openssl11 else ""
    program = shlex.quote(str(binaries.redis_server.with_name("redis-check-aof")))
    return (
        f"the data in {folder.data} is damaged, and nothing of it was loaded. To continue with what was written "
        f"before the damage, and to keep a copy of everything: cp -r {data} {data}-damaged && "
        f"echo y | {libraries}{program} --fix {data}/appendonlydir/appendonly.aof.manifest\n{tail}"
    )
