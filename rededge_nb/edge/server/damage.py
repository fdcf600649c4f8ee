"""Recognising damaged data as the reason why redis-server did not start."""

from __future__ import annotations

import shlex

from rededge_nb.edge.server.binaries import Binaries
from rededge_nb.edge.server.redis_server import log_tail
from rededge_nb.edge.server.state import StateFolder

_SIGN = "redis-check-aof --fix"
"""What redis-server names when the middle of its append-only file cannot be read; a cut-off end it mends by itself."""


def damage(folder: StateFolder, binaries: Binaries) -> str | None:
    """What is damaged and the command that mends it; None if redis-server did not start for another reason."""
    tail = log_tail(folder, lines=1)
    if _SIGN not in tail:
        return None
    data = shlex.quote(str(folder.data))
    libraries = f"LD_LIBRARY_PATH={shlex.quote(str(folder.path / 'lib'))} " if binaries.needs_openssl11 else ""
    program = shlex.quote(str(binaries.redis_server.with_name("redis-check-aof")))
    return (
        f"the data in {folder.data} is damaged, and nothing of it was loaded. To go on with what was written before "
        f"the damage, and keep a copy of all: cp -r {data} {data}-damaged && "
        f"echo y | {libraries}{program} --fix {data}/appendonlydir/appendonly.aof.manifest\n{tail}"
    )
