from __future__ import annotations

import pytest

from rededge_nb.display.tables import Table


def test_text_is_aligned_and_numbers_are_to_the_right() -> None:
    table = Table(("key", "frames"), [(b"camera:0", 7), ("x", 1234)])
    assert repr(table).splitlines() == ["key       frames", "--------  ------", "camera:0       7", "x           1234"]


def test_a_notebook_gets_markdown_that_shows_text_unchanged() -> None:
    table = Table(("name", "value"), [("a_b|c*", [b"x", b"y"]), ("two\nlines", 1.26)])
    assert table._repr_markdown_().splitlines() == [
        "| name | value |",
        "| :--- | :--- |",
        r"| a\_b\|c\* | x, y |",
        "| two lines | 1.3 |",
    ]


def test_a_table_without_rows_still_has_its_header() -> None:
    table = Table((b"stream", "entries"), [])
    assert len(table) == 0
    assert repr(table).splitlines() == ["stream  entries", "------  -------"]
    assert table._repr_markdown_().splitlines() == ["| stream | entries |", "| :--- | :--- |"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1 values, but there are 2 columns"):
        Table(("a", "b"), [(1, 2), (3,)])
