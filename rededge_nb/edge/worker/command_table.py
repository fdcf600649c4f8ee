"""What the switchboard module is told at its start: the classes of commands and every command's row."""

from __future__ import annotations

from typing import Any

from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.gears.commands import COMMANDS as GEARS_COMMANDS
from rededge_nb.edge.switchboard.calls import Command

COMMANDS: tuple[Command[Any], ...] = (*AI_COMMANDS, *GEARS_COMMANDS)
"""Every command that the workers answer."""

GRACE_MS = 5_000
"""How long a call waits while no worker serves its queue: longer than a restarted worker takes to be back."""
MAX_QUEUED = 1_000
"""Calls that may wait in one queue before the next is turned away."""
TIMEOUTS_MS = {"ai": 120_000, "gears": 30_000, "executions": 0}
"""How long a call may take in all; 0 is for ever: a gear's run ends when its records do."""


def module_arguments() -> list[str]:
    """The words that follow the module's path in `loadmodule`."""
    words: list[str] = []
    for queue, timeout_ms in TIMEOUTS_MS.items():
        words += ["CLASS", f"{queue},{timeout_ms},{GRACE_MS},{MAX_QUEUED}"]
    for command in COMMANDS:
        words += ["CMD", command.module_argument()]
    return words
