from __future__ import annotations

import pytest

from rededge_nb.analytics.ground_truth import FoundBox, TruthBox, read_counts, read_found, read_truth
from rededge_nb.errors import ConfigurationError


def test_a_file_of_the_truth() -> None:
    text = "\ufeff1,1,10,20,30,40,1,-1,-1,-1\r\n\r\n1, 2, 10.5, 20, 30, 40, 0, 1, 1\n7,1,0,-5,30,40,1\n"
    assert read_truth(text) == {
        1: [TruthBox(1, (10, 20, 40, 60), True), TruthBox(2, (10.5, 20, 40.5, 60), False)],
        7: [TruthBox(1, (0, -5, 30, 35), True)],
    }
    assert read_truth("") == {}


def test_a_file_of_what_was_found() -> None:
    text = "1,-1,10,20,30,40,0.9,-1,-1,-1\n1,-1,50,20,30,40,0.25\n2,3,10,20,30,40,1"
    assert read_found(text) == {
        1: [FoundBox((10, 20, 40, 60), 0.9), FoundBox((50, 20, 80, 60), 0.25)],
        2: [FoundBox((10, 20, 40, 60), 1.0, 3)],
    }


@pytest.mark.parametrize("read", [read_truth, read_found])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,10,20,30,40", "line 3 has 6 columns"),
        ("1 2 10 20 30 40 1", "line 3 has 1 columns"),
        ("1,2,10,20,wide,40,1", "line 3: the column width is 'wide': a number is needed"),
        ("1,2,nan,20,30,40,1", "line 3: the column left is 'nan': a number is needed"),
        ("1.5,2,10,20,30,40,1", "line 3: the column frame is '1.5': a whole number is needed"),
        ("1,2.5,10,20,30,40,1", "line 3: the column id is '2.5': a whole number is needed"),
        ("-1,2,10,20,30,40,1", "line 3: the frame is -1"),
        ("1,2,10,20,0,40,1", "line 3: the box is 0 x 40: it has no area"),
        ("1,2,10,20,30,-40,1", "line 3: the box is 30 x -40"),
        ("1,1,50,20,30,40,1", "line 3: id 1 is in frame 1 twice, first in line 1"),
    ],
)
def test_a_wrong_line_is_named(read: object, line: str, message: str) -> None:
    assert callable(read)
    text = f"1,1,10,20,30,40,1\n2,1,10,20,30,40,1\n{line}\n3,1,10,20,30,40,1"
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert message in str(caught.value)


def test_the_truth_has_ids() -> None:
    with pytest.raises(ConfigurationError, match="line 1: the id is -1"):
        read_truth("1,-1,10,20,30,40,1")


def test_a_table_of_counts() -> None:
    assert read_counts("frame,people\n0,4\n33,5\n") == {0: 4, 33: 5}
    assert read_counts('\ufeff\nPeople, Frame , note\n4, 7,"a, b"\n\n') == {7: 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table of counts is empty"),
        ("1,4\n2,5", "line 1: the first line is 1,4: one column frame and one column people is needed"),
        ("frame;people\n1;4", "one column frame and one column people is needed"),
        ("frame,people,people\n", "one column people is needed"),
        ("frame,people\n1,4\n2", "line 3 has 1 columns, and the first line names 2"),
        ("frame,people\n1,some", "line 2: the column people is 'some': a number is needed"),
        ("frame,people\n1,4.5", "line 2: the column people is '4.5': a whole number is needed"),
        ("frame,people\n1,-4", "line 2: people is -4"),
        ("frame,people\n1,4\n1,4", "line 3: frame 1 was in a line before"),
        ('frame,people\n1,"4', "line 2 is not CSV"),
    ],
)
def test_a_wrong_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_counts(text)
    assert message in str(caught.value)
