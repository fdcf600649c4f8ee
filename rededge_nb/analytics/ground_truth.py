"""Reads who was where, and how many they were, from text: the truth and what a program found.

The MOT format (https://arxiv.org/abs/1504.01942, section 3.3) has a line for each box: frame, id, left, top, width,
height, confidence, and more columns that are not used here. The first frame is 1. In a file of the truth the seventh
column is a flag: 0 for people who are not to be scored.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

from rededge_nb.analytics.boxes import Box
from rededge_nb.errors import ConfigurationError

COLUMNS_LEAST = 7
BYTE_ORDER_MARK = "\ufeff"
NO_ID = -1
"""What the MOT format writes for a detection without a track."""


class TruthBox(NamedTuple):
    """A person in a frame, as somebody labelled them.

    Attributes:
        id: The same in each frame.
        box: In pixels of the frame.
        scored: False for a person with flag 0.
    """

    id: int
    box: Box
    scored: bool = True


class FoundBox(NamedTuple):
    """A person in a frame, as a program found them.

    Attributes:
        box: In pixels of the frame.
        confidence: 0 to 1.
        id: Of the track; None for a detection without one.
    """

    box: Box
    confidence: float = 1.0
    id: int | None = None


def read_truth(text: str) -> dict[int, list[TruthBox]]:
    """The boxes of each frame, from the content of a `gt.txt` in MOT format.

    Raises:
        ConfigurationError: A line is wrong, or an id occurs twice in a frame; the message has the number of the line.
    """
    frames: dict[int, list[TruthBox]] = {}
    lines_of: dict[tuple[int, int], int] = {}
    for line, (frame, number, box, flag) in _mot_lines(text):
        if number < 0:
            raise ConfigurationError(f"line {line}: the id is {number}: people of the truth have ids from 0")
        _check_new(lines_of, frame, number, line)
        frames.setdefault(frame, []).append(TruthBox(number, box, flag != 0))
    return frames


def read_found(text: str) -> dict[int, list[FoundBox]]:
    """The boxes of each frame, from the tracks or detections of a program in MOT format.

    Raises:
        ConfigurationError: A line is wrong, or an id occurs twice in a frame; the message has the number of the line.
    """
    frames: dict[int, list[FoundBox]] = {}
    lines_of: dict[tuple[int, int], int] = {}
    for line, (frame, number, box, confidence) in _mot_lines(text):
        if number != NO_ID:
            _check_new(lines_of, frame, number, line)
        frames.setdefault(frame, []).append(FoundBox(box, confidence, None if number == NO_ID else number))
    return frames


def read_counts(text: str) -> dict[int, int]:
    """The number of people in each frame, from a table in CSV.

    The first line names the columns; `frame` and `people` are needed, in any order, and others are not used.

    Raises:
        ConfigurationError: A column is missing, a line is wrong, or a frame occurs twice; with the number of the line.
    """
    rows = csv.reader(text.removeprefix(BYTE_ORDER_MARK).splitlines(), skipinitialspace=True, strict=True)
    counts: dict[int, int] = {}
    names: list[str] | None = None
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if names is None:
                names = [cell.strip().lower() for cell in row]
                missing = [name for name in ("frame", "people") if names.count(name) != 1]
                if missing:
                    raise ConfigurationError(
                        f"line {rows.line_num}: the first line is {','.join(row)}: "
                        f"one column {' and one column '.join(missing)} is needed"
                    )
                continue
            if len(row) != len(names):
                raise ConfigurationError(
                    f"line {rows.line_num} has {len(row)} columns, and the first line names {len(names)}"
                )
            cells = dict(zip(names, row, strict=True))
            frame = _whole(cells["frame"], "frame", rows.line_num)
            people = _whole(cells["people"], "people", rows.line_num)
            if people < 0:
                raise ConfigurationError(f"line {rows.line_num}: people is {people}: 0 or more are needed")
            if frame in counts:
                raise ConfigurationError(f"line {rows.line_num}: frame {frame} was in a line before: one is needed")
            counts[frame] = people
    except csv.Error as error:
        raise ConfigurationError(f"line {rows.line_num} is not CSV: {error}") from error
    if names is None:
        raise ConfigurationError("the table of counts is empty: a first line with `frame,people` is needed")
    return counts


def _mot_lines(text: str) -> Iterator[tuple[int, tuple[int, int, Box, float]]]:
    for line, content in enumerate(text.removeprefix(BYTE_ORDER_MARK).splitlines(), 1):
        if not content.strip():
            continue
        cells = content.split(",")
        if len(cells) < COLUMNS_LEAST:
            raise ConfigurationError(
                f"line {line} has {len(cells)} columns: frame, id, left, top, width, height and flag or confidence are "
                "needed, with commas between them"
            )
        frame, number = _whole(cells[0], "frame", line), _whole(cells[1], "id", line)
        names = ("left", "top", "width", "height", "flag or confidence")
        left, top, width, height, last = (
            _finite(cell, name, line) for cell, name in zip(cells[2:COLUMNS_LEAST], names, strict=True)
        )
        if frame < 0:
            raise ConfigurationError(f"line {line}: the frame is {frame}: 0 or more is needed")
        if width <= 0 or height <= 0:
            raise ConfigurationError(f"line {line}: the box is {width:g} x {height:g}: it has no area")
        yield line, (frame, number, (left, top, left + width, top + height), last)


def _check_new(lines_of: dict[tuple[int, int], int], frame: int, number: int, line: int) -> None:
    first = lines_of.setdefault((frame, number), line)
    if first != line:
        raise ConfigurationError(
            f"line {line}: id {number} is in frame {frame} twice, first in line {first}: nobody is in two places"
        )


def _whole(cell: str, name: str, line: int) -> int:
    number = _finite(cell, name, line)
    if number != int(number):
        raise ConfigurationError(f"line {line}: the column {name} is {cell.strip()!r}: a whole number is needed")
    return int(number)


def _finite(cell: str, name: str, line: int) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ConfigurationError(f"line {line}: the column {name} is {cell.strip()!r}: a number is needed")
    return number
