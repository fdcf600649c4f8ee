"""What the gears do, and registering, pausing and unregistering them."""

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
    """Shows the registrations and how they fare; the buttons act on the one that is chosen in the table.

    Attributes:
        registrations: The table; `chosen` is a registration id, `detail` its last error.
        register_button, pause_button, unpause_button, unregister_button: As the methods of these names.
        errors: Whether the last error is shown in full.
    """

    def __init__(self, client: redis.Redis, camera: object = "0") -> None:
        self.camera = schema.camera_id(camera)
        """The camera that the people counter is registered for."""
        self._found: list[gears.RegistrationInfo] = []
        self.registrations = TableView(
            _COLUMNS, numbers=_NUMBERS, empty="no gear is registered: register the people counter", choosable=True
        )
        self.register_button = button(
            "Register", "register the people counter for the camera, or bring it up to date", self.register, "primary"
        )
        self.pause_button = button("Pause", "leave the entries of the stream until it is unpaused", self.pause)
        self.unpause_button = button("Unpause", "go on where it was paused", self.unpause)
        self.unregister_button = button("Unregister", "forget the gear that is chosen", self.unregister)
        self.errors = ipywidgets.ToggleButton(description="Last error", tooltip="show it in full")
        self.errors.observe(lambda _: self._show_detail(), "value")
        self.registrations.observe(lambda _: self._show_chosen(), "chosen")
        buttons = row(self.register_button, self.pause_button, self.unpause_button, self.unregister_button, self.errors)
        super().__init__(client, "Gears", [self.registrations, buttons])
        self.begin()

    @property
    def chosen(self) -> gears.RegistrationInfo | None:
        """The registration that is chosen."""
        return next((each for each in self._found if each.id == self.registrations.chosen), None)

    def register(self) -> None:
        """Register the people counter for the camera, with all that it needs; returns at once."""
        camera = self.camera
        self.say(f"registering the people counter for camera {camera}")
        self.ask(lambda client: self._register(client, camera))

    def pause(self) -> None:
        """Let the chosen gear leave its stream alone; returns at once."""
        self._act(gears.pause_gear, "paused")

    def unpause(self) -> None:
        """Let the chosen gear go on; returns at once."""
        self._act(gears.unpause_gear, "goes on")

    def unregister(self) -> None:
        """Forget the chosen gear; returns at once."""
        self._act(gears.unregister_gear, "unregistered")

    def refresh(self, client: redis.Redis) -> None:
        """Show the registrations that the server has."""
        self._found = gears.list_registrations(client)
        self.registrations.show([_row(each) for each in self._found])
        self._show_chosen()

    def table(self) -> Table:
        """The registrations."""
        return Table(_COLUMNS, self.registrations.texts())

    def _register(self, client: redis.Redis, camera: str) -> None:
        changes = provision.provision(client, cameras=[camera])
        self.say("; ".join(changes) if changes else f"the people counter waits for camera {camera} already", "good")

    def _act(self, action: Callable[[redis.Redis, str], None], outcome: str) -> None:
        chosen = self.chosen
        if chosen is None:
            self.say("no gear is chosen: click a row", "warning")
            return

        def act(client: redis.Redis) -> None:
            action(client, chosen.id)
            self.say(f"{chosen.stream}: {outcome}", "good")

        self.ask(act)

    def _show_chosen(self) -> None:
        chosen = self.chosen
        paused = chosen is not None and chosen.status == "PAUSED"
        self.pause_button.disabled = chosen is None or paused
        self.unpause_button.disabled = not paused
        self.unregister_button.disabled = chosen is None
        self.errors.disabled = chosen is None or not chosen.last_error
        self._show_detail()

    def _show_detail(self) -> None:
        chosen = self.chosen
        self.registrations.detail = chosen.last_error if chosen is not None and self.errors.value else ""


def _row(found: gears.RegistrationInfo) -> Row:
    """What the table tells of a registration."""
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
