"""A table that updates in place, for panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import anywidget
import traitlets

from rededge_nb.widgets.words import HERE

Tone = Literal["good", "busy", "warning", "error", "quiet"]


class Pill(NamedTuple):
    """A cell that is set off by its colour."""

    text: str
    tone: Tone


Cell = str | Pill


class Row(NamedTuple):
    """One row, told from the others by its id."""

    id: str
    cells: Sequence[Cell]


class TableView(anywidget.AnyWidget):
    """Rows under a header, drawn as text; where `choosable`, `chosen` is the id of the row that was clicked.

    Args:
        columns: Names of the columns.
        numbers: Those of them that are set to the right.
        empty: What stands there instead of rows.
        choosable: Whether a row can be chosen.
    """

    _esm = HERE / "table_view.js"
    _css = HERE / "panels.css"

    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    empty = traitlets.Unicode().tag(sync=True)
    choosable = traitlets.Bool(default_value=False).tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    detail = traitlets.Unicode().tag(sync=True)
    """A longer text below the table."""

    def __init__(
        self, columns: Sequence[str], *, numbers: Sequence[str] = (), empty: str = "", choosable: bool = False
    ) -> None:
        super().__init__(
            columns=[{"name": name, "number": name in numbers} for name in columns], empty=empty, choosable=choosable
        )

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; if the chosen one is not among them, the first is chosen."""
        ids = [row.id for row in rows]
        with self.hold_sync():
            self.rows = [{"id": row.id, "cells": [_plain(value) for value in row.cells]} for row in rows]
            if self.choosable and self.chosen not in ids:
                self.chosen = ids[0] if ids else ""

    def texts(self) -> list[list[str]]:
        """The rows as they are shown."""
        return [[value if isinstance(value, str) else value["text"] for value in row["cells"]] for row in self.rows]


def _plain(value: Cell) -> Any:
    return {"text": value.text, "tone": value.tone} if isinstance(value, Pill) else value
