"""Small tables for notebooks, web pages and terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Table:
    """A table in a notebook, and aligned text elsewhere. Columns of numbers are aligned to the right.

    Args:
        header: Names of the columns.
        rows: One value per column; bytes are shown as text.

    Raises:
        ValueError: a row has more or fewer values than the header has.
    """

    def __init__(self, header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
        values = [list(row) for row in rows]
        for row in values:
            if len(row) != len(header):
                raise ValueError(f"the row {row!r} has {len(row)} values, but there are {len(header)} columns")
        self._header = [_text(name) for name in header]
        self._cells = [[_text(value) for value in row] for row in values]
        columns = zip(*values, strict=True)
        self._right = [all(isinstance(value, int | float) for value in column) for column in columns]
        self._right += [False] * (len(header) - len(self._right))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._cells)

    def __repr__(self) -> str:
        columns = list(zip(self._header, *self._cells, strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [self._header, ["-" * width for width in widths], *self._cells]
        return "\n".join("  ".join(self._aligned(line, widths)).rstrip() for line in lines)

    def _repr_markdown_(self) -> str:
        rule = ["---:" if right else ":---" for right in self._right]
        lines = [[_escaped(cell) for cell in line] for line in (self._header, *self._cells)]
        return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))

    def _aligned(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, self._right, strict=True)
        ]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def _escaped(cell: str) -> str:
    """A cell's text, escaped so that Markdown shows it unchanged."""
    for character in "\\|*_`<":
        cell = cell.replace(character, f"\\{character}")
    return cell.replace("\n", " ")
