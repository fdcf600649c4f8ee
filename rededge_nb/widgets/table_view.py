"""A table for panels whose rows change in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import anywidget
import traitlets

Tone = Literal["good", "busy", "warning", "error", "quiet"]


class Pill(NamedTuple):
    """A cell with a coloured background."""

    text: str
    tone: Tone


Cell = str | Pill


class Row(NamedTuple):
    """One row; its id is unique in the table."""

    id: str
    cells: Sequence[Cell]


class TableView(anywidget.AnyWidget):
    """Rows under a header, shown as text. If the table is `selectable`, `selected` is the id of the row last clicked.

    Args:
        columns: Names of the columns.
        numbers: Columns that are aligned to the right.
        empty: Text that is shown instead of rows.
        selectable: Whether a row can be selected.
    """

    _esm = Path(__file__).with_name("table_view.js")
    _css = Path(__file__).with_name("panels.css")

    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    empty = traitlets.Unicode().tag(sync=True)
    selectable = traitlets.Bool(default_value=False).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    detail = traitlets.Unicode().tag(sync=True)
    """A longer text that is shown below the table."""

    def __init__(
        self, columns: Sequence[str], *, numbers: Sequence[str] = (), empty: str = "", selectable: bool = False
    ) -> None:
        super().__init__(
            columns=[{"name": name, "number": name in numbers} for name in columns], empty=empty, selectable=selectable
        )

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows. The first ones that appear get a selected row; one that disappears leaves none selected.

        So a second click on a button that removes the selected row cannot remove the next one.
        """
        ids = [row.id for row in rows]
        shown_before = bool(self.rows)
        with self.hold_sync():
            self.rows = [{"id": row.id, "cells": [_plain(value) for value in row.cells]} for row in rows]
            if self.selectable and self.selected not in ids:
                self.selected = ids[0] if ids and not shown_before else ""

    def texts(self) -> list[list[str]]:
        """The text of every cell, by row."""
        return [[value if isinstance(value, str) else value["text"] for value in row["cells"]] for row in self.rows]


def _plain(value: Cell) -> Any:
    return {"text": value.text, "tone": value.tone} if isinstance(value, Pill) else value
