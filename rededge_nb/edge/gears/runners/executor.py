"""The part of the engine that runners use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from rededge_nb.edge.client.kept_connections import KeptConnections
from rededge_nb.edge.gears.chain.run import Outcome
from rededge_nb.edge.gears.runtime.context import Context
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.host import Executor
from rededge_nb.edge.gears.runtime.live import LiveExecution
from rededge_nb.edge.gears.state.crashes import RetrySlot
from rededge_nb.edge.gears.state.ids import Ids
from rededge_nb.edge.gears.state.leases import Leases
from rededge_nb.edge.gears.state.options import Options


class GearExecutor(Executor, Protocol):
    """The engine, as runners see it."""

    @property
    def leases(self) -> Leases:
        """The leases of this worker."""

    @property
    def state_connections(self) -> KeptConnections:
        """Connections of the database in which the workers keep their state."""

    @property
    def options(self) -> Options:
        """The options of RG.CONFIGSET."""

    @property
    def registration_ids(self) -> Ids:
        """The ids of new registrations."""

    def new_execution(self, registration_id: str | None = None, steps: tuple[Any, ...] = ()) -> LiveExecution:
        """An execution that has not begun."""

    @property
    def retry_slot(self) -> RetrySlot:
        """Where the gears of this worker wait to try what dead workers left behind."""

    def execute(
        self,
        context: Context,
        draft: Draft,
        records: Callable[[], Iterable[Any]],
        execution: LiveExecution | None = None,
    ) -> tuple[str, Outcome]:
        """Execute a registration once, in this thread; returns the execution's id and its outcome."""

    def pause(self, registration_id: str, reason: str | None = None) -> None:
        """Pause a registration from inside its own runner."""

    def pause_code(self, draft: Draft, reason: str) -> None:
        """Pause all registrations with the same code as this one, from inside its own runner."""

    def abort(self, registration_id: str) -> None:
        """Stop a registration in every worker until somebody unpauses it."""

    def report(self, registration_id: str, reason: str) -> None:
        """Show in lastError why a registration cannot run."""
