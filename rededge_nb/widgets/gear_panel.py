"""Tables of the registered gears and of running executions, with buttons that act on the selected row."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets
import redis

from rededge_nb import schema
from rededge_nb.control import executions, gears, provision
from rededge_nb.display.tables import Table
from rededge_nb.widgets.confirm import Confirmation
from rededge_nb.widgets.panels import Panel, button, row
from rededge_nb.widgets.table_view import Pill, Row, TableView, Tone

EXECUTIONS_INTERVAL = 3.0
"""Seconds between two updates of the running executions: the server lists the remembered ones with them."""

_COLUMNS = ("stream", "gear", "status", "done", "failed", "ms")
_NUMBERS = _COLUMNS[3:]
_TONES: dict[str, Tone] = {"OK": "good", "PAUSED": "warning"}


class GearPanel(Panel):
    """Shows the registrations and their counters. The buttons act on the one that is selected in the table.

    Executions that somebody started with RG.PYEXECUTE, and that still run, have a table below.

    Attributes:
        registrations: The table; `selected` is a registration id, `detail` its last error.
        register_button, pause_button, unpause_button, unregister_button: Call the methods of these names.
        confirmation: Asks before `unregister`.
        errors: Whether the last error is shown in full.
        executions: The table of running executions; `selected` is an execution id.
        abort_button: Calls `abort`.
    """

    def __init__(self, client: redis.Redis, camera: object = "0") -> None:
        self.camera = schema.camera_id(camera)
        """The camera for which `register` registers the people counter."""
        self._found: list[gears.RegistrationInfo] = []
        self._executions_at = -EXECUTIONS_INTERVAL
        self.registrations = TableView(
            _COLUMNS, numbers=_NUMBERS, empty="no gear is registered: register the people counter", selectable=True
        )
        self.register_button = button(
            "Register people counter", "register it for the camera, or update it", self.register, "primary"
        )
        self.pause_button = button(
            "Pause gear", "stop reading the stream, which fills until it is unpaused", self.pause
        )
        self.unpause_button = button("Unpause gear", "continue where the gear was paused", self.unpause)
        self.unregister_button = button("Unregister gear", "remove the selected gear", self._ask_unregister)
        self.confirmation = Confirmation()
        self.errors = ipywidgets.ToggleButton(description="Last error", tooltip="show the last error in full")
        self.errors.observe(lambda _: self._show_detail(), "value")
        self.registrations.observe(lambda _: self._show_selected(), "selected")
        buttons = row(self.register_button, self.pause_button, self.unpause_button, self.unregister_button, self.errors)
        self.executions = TableView(("running execution", "status"), selectable=True)
        self.abort_button = button("Abort execution", "interrupt the selected execution", self.abort)
        self._running = ipywidgets.Box([self.executions, row(self.abort_button)])
        self._running.add_class("rededge-running")
        super().__init__(client, "Gears", [self.registrations, buttons, self.confirmation, self._running])
        self.start_updates()

    @property
    def selected(self) -> gears.RegistrationInfo | None:
        """The registration that is selected in the table."""
        return next((each for each in self._found if each.id == self.registrations.selected), None)

    def register(self) -> None:
        """Register the people counter for the camera, with everything that it needs; returns at once."""
        camera = self.camera
        self.show_message(f"registering the people counter for camera {camera}")
        self.submit(lambda client: self._register(client, camera))

    def pause(self) -> None:
        """Pause the selected gear; returns at once."""
        self._act(gears.pause_gear, "paused")

    def unpause(self) -> None:
        """Let the selected gear continue; returns at once."""
        self._act(gears.unpause_gear, "continues")

    def unregister(self) -> None:
        """Remove the selected gear; returns at once."""
        self._act(gears.unregister_gear, "unregistered")

    def abort(self) -> None:
        """Interrupt the selected execution; returns at once."""
        execution = self.executions.selected
        if execution:
            self.show_message(f"execution {execution}: being aborted")
            self.submit(lambda client: self._abort(client, execution))

    def refresh(self, client: redis.Redis) -> None:
        """Show the registrations and the running executions that the server has."""
        self._found = gears.list_registrations(client)
        self.registrations.show([_row(each) for each in self._found])
        self._show_selected()
        if time.monotonic() - self._executions_at < EXECUTIONS_INTERVAL:
            return
        self._executions_at = time.monotonic()
        running = _running_executions(client)
        self.executions.show([Row(each.id, (each.id, Pill(each.status, "busy"))) for each in running])
        self._running.layout.display = "" if running else "none"

    def table(self) -> Table:
        """The registrations."""
        return Table(_COLUMNS, self.registrations.texts())

    def _register(self, client: redis.Redis, camera: str) -> None:
        changes = provision.provision(client, cameras=[camera])
        done = "; ".join(changes) or f"the people counter is registered for camera {camera} already"
        self.show_message(done, "good")

    def _ask_unregister(self) -> None:
        selected = self.selected
        if selected is None:
            self.unregister()
            return
        name = f"{selected.session or selected.description or selected.id} on {selected.stream}"
        question = f"Unregister {name}? It will process no more entries."
        self.confirmation.ask(
            question, "Unregister", lambda: self._act(gears.unregister_gear, "unregistered", selected)
        )

    def _act(
        self,
        action: Callable[[redis.Redis, str], None],
        outcome: str,
        registration: gears.RegistrationInfo | None = None,
    ) -> None:
        selected = registration or self.selected
        if selected is None:
            self.show_message("no gear is selected: click a row", "warning")
            return

        def act(client: redis.Redis) -> None:
            action(client, selected.id)
            self.show_message(f"{selected.stream}: {outcome}", "good")

        self.submit(act)

    def _abort(self, client: redis.Redis, execution: str) -> None:
        executions.abort_execution(client, execution)
        self.show_message(f"execution {execution}: aborted", "good")

    def _show_selected(self) -> None:
        selected = self.selected
        paused = selected is not None and selected.status == "PAUSED"
        self.pause_button.disabled = selected is None or paused
        self.unpause_button.disabled = not paused
        self.unregister_button.disabled = selected is None
        self.errors.disabled = selected is None or not selected.last_error
        self._show_detail()

    def _show_detail(self) -> None:
        selected = self.selected
        self.registrations.detail = selected.last_error if selected is not None and self.errors.value else ""


def _running_executions(client: redis.Redis) -> list[executions.Execution]:
    return [each for each in executions.list_executions(client) if not each.ended and not each.registered]


def _row(found: gears.RegistrationInfo) -> Row:
    """A registration as a row of the table."""
    return Row(
        found.id,
        (
            found.stream,
            found.session or found.description,
            Pill(found.status.lower(), _TONES.get(found.status, "quiet")),
            f"{found.succeeded:,}",
            Pill(f"{found.failed:,}", "error") if found.failed else "0",
            f"{found.average_ms:.1f}",
        ),
    )
