"""People who walk along a script: where each of them is at each moment is known, so that counts can be checked.

walkers:
  - path: [[0, 100, 400], [4, 600, 400]]   # [seconds, x, y] of the feet, in pixels; straight and even in between
    height: 120                            # in pixels; [80, 120] for a person who comes nearer
    hidden: [[2, 2.5]]                     # from when to when nobody can see the person
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from rededge_nb.errors import ConfigurationError
from rededge_nb.yaml_files import read_yaml

DEFAULT_HEIGHT = 120.0
MAX_WALKERS = 1000
_KEYS = {"path", "height", "hidden"}


@dataclass(frozen=True)
class Walker:
    """One person.

    Attributes:
        path: `(seconds, x, y)` of the feet, in pixels. The person walks straight and evenly from one point to the next,
            and is not there before the first and after the last one.
        height: Height in pixels; or that at the first and that at the last point.
        hidden: Seconds from which (inclusive) and to which (exclusive) the person cannot be seen.

    Raises:
        ConfigurationError: the times do not increase, or a height is not above 0.
    """

    path: Sequence[tuple[float, float, float]]
    height: float | tuple[float, float] = DEFAULT_HEIGHT
    hidden: Sequence[tuple[float, float]] = ()

    def __post_init__(self) -> None:
        if len(self.path) < 2:
            raise ConfigurationError("path has fewer than two points: give at least [seconds, x, y] twice")
        for (before, _, _), (after, _, _) in pairwise(self.path):
            if not 0 <= before < after:
                raise ConfigurationError(
                    f"path has the times {before:g} and {after:g}: they must be 0 or more, and increase"
                )
        if min(self._heights) <= 0:
            raise ConfigurationError(f"height is {self.height!r}: take a number of pixels above 0")

    @property
    def end(self) -> float:
        """The last second at which the person is there."""
        return self.path[-1][0]

    @property
    def _heights(self) -> tuple[float, float]:
        return self.height if isinstance(self.height, tuple) else (self.height, self.height)

    def feet(self, seconds: float) -> tuple[float, float] | None:
        """Where the feet are, in pixels; None while the person is not there."""
        if not self.path[0][0] <= seconds <= self.end:
            return None
        for (t0, x0, y0), (t1, x1, y1) in pairwise(self.path):
            if seconds <= t1:
                part = (seconds - t0) / (t1 - t0)
                return x0 + part * (x1 - x0), y0 + part * (y1 - y0)
        raise AssertionError("the path has ended")

    def height_at(self, seconds: float) -> float:
        """The height in pixels."""
        low, high = self._heights
        return low + (high - low) * (seconds - self.path[0][0]) / (self.end - self.path[0][0])

    def is_hidden(self, seconds: float) -> bool:
        """Whether nobody can see the person."""
        return any(start <= seconds < end for start, end in self.hidden)


def read_walkers(file: Path) -> tuple[Walker, ...]:
    """The people of a script, which is a YAML file as above.

    Raises:
        ConfigurationError: the file cannot be read, or does not describe people; the message names the field.
    """
    try:
        content = read_yaml(file)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"the script {file} cannot be read: {error}") from None
    listed = content.get("walkers") if isinstance(content, dict) and set(content) == {"walkers"} else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_WALKERS:
        raise ConfigurationError(
            f"the script {file} must have one key, walkers, with a list of 1 to {MAX_WALKERS} people"
        )
    return tuple(_walker(each, f"walkers[{number}] of {file}") for number, each in enumerate(listed))


def _walker(given: Any, where: str) -> Walker:
    if not isinstance(given, dict) or "path" not in given or set(given) - _KEYS:
        raise ConfigurationError(f"{where} must have path, and may have height and hidden")
    height = given.get("height", DEFAULT_HEIGHT)
    heights = height if isinstance(height, list) else [height, height]
    (start, end) = _rows([heights], 2, f"height in {where}: give a number of pixels, or two of them")[0]
    path = _rows(given["path"], 3, f"path in {where}: give [seconds, x, y] for each point")
    hidden = _rows(given.get("hidden", []), 2, f"hidden in {where}: give [from, to] in seconds for each time")
    try:
        return Walker(path, (start, end), hidden)  # type: ignore[arg-type]
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _rows(given: Any, length: int, what: str) -> list[tuple[float, ...]]:
    """Lists of `length` finite numbers."""
    right = isinstance(given, list) and all(isinstance(row, list) and len(row) == length for row in given)
    if not right or not all(type(value) in (int, float) and abs(value) < 1e9 for row in given for value in row):
        raise ConfigurationError(what)
    return [tuple(map(float, row)) for row in given]
