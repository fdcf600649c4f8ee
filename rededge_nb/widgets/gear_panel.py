"""A table of the registered gears, with buttons that register, pause and unregister them."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets
import redis

from rededge_nb import schema
from rededge_nb.control import gears, provision
from rededge_nb.display.tables import Table
from rededge_nb.widgets.panels import Panel, button, row
from rededge_nb.widgets.table_view import Pill, Row, TableView, Tone

_COLUMNS = ("stream", "gear", "status", "batches", "succeeded", "failed", "ms", "lag ms")
_NUMBERS = _COLUMNS[3:]
_TONES: dict[str, Tone] = {"OK": "good", "PAUSED": "warning"}


class GearPanel(Panel):
    """Shows the registrations and their counters. The buttons act on the one that is selected in the table.

    Attributes:
        registrations: The table; `selected` is a registration id, `detail` its last error.
        register_button, pause_button, unpause_button, unregister_button: Call the methods of these names.
        errors: Whether the last error is shown in full.
    """

    def __init__(self, client: redis.Redis, camera: object = "0") -> None:
        self.camera = schema.camera_id(camera)
        """The camera for which `register` registers the people counter."""
        self._found: list[gears.RegistrationInfo] = []
        self.registrations = TableView(
            _COLUMNS, numbers=_NUMBERS, empty="no gear is registered: register the people counter", selectable=True
        )
        self.register_button = button(
            "Register", "register the people counter for the camera, or update it", self.register, "primary"
        )
        self.pause_button = button("Pause", "stop reading the stream; it fills until the gear is unpaused", self.pause)
        self.unpause_button = button("Unpause", "continue where the gear was paused", self.unpause)
        self.unregister_button = button("Unregister", "remove the selected gear", self.unregister)
        self.errors = ipywidgets.ToggleButton(description="Last error", tooltip="show the last error in full")
        self.errors.observe(lambda _: self._show_detail(), "value")
        self.registrations.observe(lambda _: self._show_selected(), "selected")
        buttons = row(self.register_button, self.pause_button, self.unpause_button, self.unregister_button, self.errors)
        super().__init__(client, "Gears", [self.registrations, buttons])
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

    def refresh(self, client: redis.Redis) -> None:
        """Show the registrations that the server has."""
        self._found = gears.list_registrations(client)
        self.registrations.show([_row(each) for each in self._found])
        self._show_selected()

    def table(self) -> Table:
        """The registrations."""
        return Table(_COLUMNS, self.registrations.texts())

    def _register(self, client: redis.Redis, camera: str) -> None:
        changes = provision.provision(client, cameras=[camera])
        done = "; ".join(changes) or f"the people counter is registered for camera {camera} already"
        self.show_message(done, "good")

    def _act(self, action: Callable[[redis.Redis, str], None], outcome: str) -> None:
        selected = self.selected
        if selected is None:
            self.show_message("no gear is selected: click a row", "warning")
            return

        def act(client: redis.Redis) -> None:
            action(client, selected.id)
            self.show_message(f"{selected.stream}: {outcome}", "good")

        self.submit(act)

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


def _row(found: gears.RegistrationInfo) -> Row:
    """A registration as a row of the table."""
    return Row(
        found.id,
        (
            found.stream,
            found.session or found.description,
            Pill(found.status.lower(), _TONES.get(found.status, "quiet")),
            f"{found.triggered:,}",
            f"{found.succeeded:,}",
            Pill(f"{found.failed:,}", "error") if found.failed else "0",
            f"{found.average_ms:.1f}",
            f"{found.lag_ms:.1f}",
        ),
    )
