"""The embedded server: starting, finding and stopping an instance."""

from rededge_nb.edge.server.instance import find, not_running, run, start, stop

__all__ = ["find", "not_running", "run", "start", "stop"]
