"""The arguments with which the switchboard module is loaded: its queues and all commands."""

from __future__ import annotations

from typing import Any

from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.client.key_names import PREFIX
from rededge_nb.edge.client.state_database import PREFERRED
from rededge_nb.edge.gears.commands import COMMANDS as GEARS_COMMANDS
from rededge_nb.edge.switchboard.calls import HOOKS, Command

COMMANDS: tuple[Command[Any], ...] = (*AI_COMMANDS, *GEARS_COMMANDS)
"""All commands that the workers answer."""

GRACE_MS = 5_000
"""Milliseconds that a call waits while no worker serves its queue; a worker restarts faster than that."""
MAX_QUEUED = 1_000
"""How many calls may wait in one queue; further ones are refused."""
TIMEOUTS_MS = {"ai": 120_000, "gears": 30_000, "executions": 0, HOOKS: 0}
"""Milliseconds that a call may take in total; 0 means without limit, because a gear may read a long stream."""


def module_arguments(max_call_bytes: int | None = None) -> list[str]:
    """The words after the path of the module in `loadmodule`.

    Args:
        max_call_bytes: How large the arguments of one call may be.
    """
    words = [] if max_call_bytes is None else ["MAXCALL", str(max_call_bytes)]
    for queue, timeout_ms in TIMEOUTS_MS.items():
        words += ["CLASS", f"{queue},{timeout_ms},{GRACE_MS},{MAX_QUEUED}"]
    for command in COMMANDS:
        words += ["CMD", command.module_argument()]
    return [*words, "HOOKS", f"{HOOKS},{PREFERRED},{PREFIX}gears:hooks"]
