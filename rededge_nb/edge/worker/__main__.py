"""Starts a worker for the server that REDIS_URL names: `python -m rededge_nb.edge.worker`."""

import sys

from rededge_nb.edge.worker.worker import main

if __name__ == "__main__":
    sys.exit(main())
