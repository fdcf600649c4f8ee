"""The parts of the worker and of the engine that gear code uses.

They are protocols, because the worker and the engine import this package, so it cannot import them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import redis

from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.client.kept_connections import KeptConnections
from rededge_nb.edge.gears.runtime.gear import Draft, Run
from rededge_nb.edge.gears.runtime.hooked import HookedCommand
from rededge_nb.edge.gears.runtime.live import LiveExecution


class Host(Protocol):
    """The worker, as gears see it."""

    @property
    def url(self) -> str:
        """Address of the server."""

    @property
    def id(self) -> str:
        """The worker's id, unique over time."""

    @property
    def models(self) -> LoadedModels:
        """The models and scripts that this process has loaded."""

    def client(self, db: int = 0) -> redis.Redis:
        """A client of a database, for any thread."""

    def alive(self, worker_id: str) -> bool:
        """Whether a worker still sends heartbeats."""


class Executor(Protocol):
    """The engine, as running gear code sees it."""

    @property
    def host(self) -> Host:
        """The worker."""

    @property
    def raw_client(self) -> redis.Redis:
        """A client of the database with the keys of clients; its replies are not converted."""

    @property
    def state_client(self) -> redis.Redis:
        """A client of the database in which the workers keep their state; its replies are not converted."""

    @property
    def connections(self) -> KeptConnections:
        """The connections that gear code uses."""

    def next_registration_id(self) -> str:
        """The id of a new registration."""

    def register_now(self, draft: Draft, session_id: str | None) -> None:
        """Add a registration to the session of running gear code, and start running it."""

    def run_nested(self, run: Run) -> None:
        """Start a run that code inside an execution asked for. The run's future gets the results."""

    def user_option(self, name: str) -> str | None:
        """An option that a user set with RG.CONFIGSET."""

    def start_timer(self, seconds: float, function: Callable[[], Any], key: str | None) -> None:
        """Call a function every `seconds`."""

    def run_hooks(self, words: Sequence[bytes], *, in_place: bool) -> list[Any] | None:
        """Run the hooks of a command that gear code sends; returns its reply in a list, or None if it has none."""

    def call_next(self, hooked: HookedCommand, words: Sequence[bytes]) -> Any:
        """Run the next hook of a command, or have it executed; returns the reply as gear code gets it."""

    def run_trigger(self, words: Sequence[bytes]) -> Any:
        """Run a sync trigger in place; returns the reply of RG.TRIGGER as gear code gets it."""

    def slot_released(self, execution: LiveExecution | None) -> AbstractContextManager[None]:
        """Let another execution use this one's slot inside the block."""
