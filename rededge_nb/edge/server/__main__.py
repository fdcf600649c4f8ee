"""Starts the supervisor of a state folder as a process of its own: `python -m rededge_nb.edge.server`."""

import sys

from rededge_nb.edge.server.supervisor import main

if __name__ == "__main__":
    sys.exit(main())
