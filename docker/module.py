"""Writes the edge module, the lines of redis.conf that load it, and the rules of users, for the image of Redis."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rededge_nb.edge.server.binaries import built_switchboard
from rededge_nb.edge.server.redis_server import switchboard_lines
from rededge_nb.edge.server.users import CONTAINER_RULES
from rededge_nb.edge.worker.command_table import module_arguments


def main(folder: Path) -> None:
    """Write `rededge.so`, `rededge.conf`, and the rules of each user as `<user>.rules`."""
    folder.mkdir(parents=True)
    module = folder / "rededge.so"
    shutil.copy(built_switchboard(), module)
    module.chmod(0o755)
    (folder / "rededge.conf").write_text("\n".join(switchboard_lines(module, module_arguments())) + "\n")
    for user, rules in CONTAINER_RULES.items():
        (folder / f"{user}.rules").write_text(rules + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
