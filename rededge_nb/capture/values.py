"""Checks of the values that captures and sources are given.

The command line imports this for every command, so that nothing heavy belongs here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from numbers import Real
from typing import Any

from rededge_nb.errors import ConfigurationError

HIGHEST_CREDIBLE_FPS = 1000.0
"""Frames per second above which a rate is not believed."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_SIDE = 65_500
"""Pixels that a side of a JPEG can have."""


def is_number(value: object, kind: type) -> bool:
    """Whether a value is a number of a kind (`numbers.Real`, `numbers.Integral`); True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def check_fps(fps: float | None) -> None:
    """Refuse a rate that cannot be.

    Raises:
        ConfigurationError: it is not above 0, or beyond all cameras.
    """
    if fps is not None and not (is_number(fps, Real) and 0 < fps <= HIGHEST_CREDIBLE_FPS):
        raise ConfigurationError(f"fps is {fps!r}: take a number above 0, up to {HIGHEST_CREDIBLE_FPS:g}")


def parse_size(size: str | tuple[int, int] | list[int]) -> tuple[int, int]:
    """Width and height from `640x480` or a pair of numbers.

    Raises:
        ConfigurationError: it is neither, or out of range.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*", size) if isinstance(size, str) else None  # noqa: RUF001
    pair: Any = found.groups() if found else size
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(str(side).isdigit() for side in pair):
        raise ConfigurationError(f"size is {size!r}: take width and height, such as 640x480")
    width, height = (int(side) for side in pair)
    if not (1 <= width <= _LONGEST_SIDE and 1 <= height <= _LONGEST_SIDE):
        raise ConfigurationError(f"size is {size!r}: each side may be 1 to {_LONGEST_SIDE}")
    return width, height


def parse_time(name: str, time: object) -> datetime:
    """A time from ISO 8601 or a `datetime`; without a zone it is a local one.

    Raises:
        ConfigurationError: it is neither, or in the future.
    """
    try:
        found = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError:
        found = None
    if not isinstance(found, datetime):
        raise ConfigurationError(f"{name} is {time!r}: take a time, such as 2026-01-05T10:00:00Z")
    try:
        found = found.astimezone()
    except (OverflowError, OSError, ValueError):
        found = datetime.max.replace(tzinfo=UTC)
    if not _EPOCH < found <= datetime.now(UTC):
        raise ConfigurationError(f"{name} is {time!s:.60}: take a time between 1970 and now")
    return found
