"""Starts a worker for the server that REDIS_URL names: `python -m rededge_nb.edge.worker`."""

import logging
import os
import sys

from rededge_nb.edge.worker.worker import main

if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # not sys.exit: the interpreter would wait for threads and thread pools that gears have started and not ended
    os._exit(exit_code)
