"""Registers the people counter again where this worker cannot load its stored code.

Stored code belongs to one version of Python. After an upgrade of Python, or of a container's image, nobody would count
the frames until the next `rededge init`. We know where the script of the people counter is: the bundled one is a file,
and a user's script in its place is kept in Redis. Any other gear must be registered by its author, and its lastError
says so.

The worker does this, not the command line, because every way to run the stack has a worker.
"""

from __future__ import annotations

import logging
import math
import time

from rededge_nb import assets, schema
from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.shard import key_here
from rededge_nb.edge.gears.commands.pyexecute import PyExecute, execute_request
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.state.registrations import Session
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import RedEdgeError

logger = logging.getLogger(__name__)


DELAY = 2.0
"""Seconds that a session must have been impossible to load: by then, a worker that can load it says that it runs it."""


class OwnGears:
    """Renews the people counter for one worker."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Session | None = None
        """The session that cannot be loaded."""
        self._due = 0.0
        """When to register it again, by time.monotonic(); infinite once that was tried."""

    def renew(self) -> None:
        """Register the people counter again if no worker can run it; called a few times a second."""
        unloadable = {session.id: session for session in self._engine.runners.unloadable()}
        session = unloadable.get(assets.PEOPLE_COUNTER)
        if session != self._session:
            self._session, self._due = session, time.monotonic() + DELAY
        if session is None or time.monotonic() < self._due or self._runs_elsewhere(session):
            return
        self._due = math.inf
        try:
            self._register_again(session)
        except (CommandError, GearsError, RedEdgeError, OSError) as error:
            logger.error("session %s could not be registered again: %s", session.id, error)

    def _register_again(self, session: Session) -> None:
        engine, own = self._engine, (session.description or "").startswith(assets.OWN_COUNTER)
        if own:
            stored = engine.raw_client.execute_command("GET", key_here(engine.raw_client, schema.OWN_GEAR_KEY))
            script = None if stored is None else stored.decode()
        elif (session.description or "").startswith(assets.BUNDLED_COUNTER):
            script = assets.gear_file().read_text()
        else:
            script = None  # somebody registered a script of that name by hand
        if script is not None:
            description = assets.counter_description(script, own=own)
            request = PyExecute(script, session_id=session.id, description=description, upgrade=True)
            execute_request(engine, request, engine.new_execution())
            logger.warning("session %s is registered again: its stored code could not be loaded", session.id)

    def _runs_elsewhere(self, session: Session) -> bool:
        """Whether another worker, which has the right Python, can run the session."""
        client = self._engine.state_client
        keys = [key_names.registration_keys(client, one.id)["workers"] for one in session.registrations]
        workers = {worker.decode() for key in keys for worker in client.execute_command("ZRANGE", key, 0, -1)}
        return bool(workers - {self._engine.host.id})
