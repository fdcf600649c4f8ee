"""The web server as JupyterLab's launcher starts it: on 127.0.0.1, with a RedisEdge that runs as long as it does.

    python -m rededge_nb.web PORT

Users start it with `rededge web`.
"""

from __future__ import annotations

import contextlib
import sys

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.web import run


def main(port: int) -> None:
    """Serve until the process is terminated."""
    with contextlib.ExitStack() as resources:
        url = settings.redis_url()
        if url is None:
            folder = StateFolder(settings.state_dir())
            folder.create()
            resources.enter_context(folder.use())
            url = server.start(folder.path, while_used=True).url
        run(url, port=port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
