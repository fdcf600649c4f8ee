"""The embedded server: starting, finding and stopping an instance of it."""

from rededge_nb.edge.server.instance import disk_use, find, not_running, run, start, stop

__all__ = ["disk_use", "find", "not_running", "run", "start", "stop"]
