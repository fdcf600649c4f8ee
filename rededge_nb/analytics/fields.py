"""Reads the objects of a JSON text, with errors that name the field.

`with at("zones[1]")` puts that in front of the field of an error raised inside, so that it reads
`zones[1].points[2]: x is 1.2, must be from 0 to 1`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rededge_nb.errors import SceneError

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_REQUIRED: Final = object()


@contextmanager
def at(field: str) -> Iterator[None]:
    """Puts `field` in front of the field that a `SceneError` raised inside names."""
    try:
        yield
    except SceneError as error:
        inner = error.field
        joined = f"{field}{inner}" if inner.startswith("[") else f"{field}.{inner}" if inner else field
        raise SceneError(joined, error.problem) from None


def shown(value: object) -> str:
    """A value as an error message shows it: short, in the notation of JSON where that is possible."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """The second half of a message about an unknown name: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"did you mean {shown(close[0])}?"
    return f"known are {', '.join(map(shown, known))}" if known else "there are none"


def check_name(name: object, field: str = "name") -> str:
    """The name of a line, zone, mask or rule, or a `SceneError`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SceneError(field, f"{shown(name)} is not a name: 1 to 32 letters (a-z), digits, '_', '-' or '.'")
    return name


def check_text(value: object, field: str) -> str:
    """A text, or a `SceneError`."""
    if not isinstance(value, str):
        raise SceneError(field, f"{shown(value)} is not a text")
    return value


def check_number(value: object, field: str, low: float, high: float) -> float:
    """A finite number from `low` to `high`, or a `SceneError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SceneError(field, f"{shown(value)} is not a number")
    if not low <= value <= high:
        raise SceneError(field, f"is {shown(value)}, must be from {low:g} to {high:g}")
    return float(value)


def check_integer(value: object, field: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, or a `SceneError`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SceneError(field, f"{shown(value)} is not a whole number")
    if not low <= value <= high:
        raise SceneError(field, f"is {value}, must be from {low} to {high}")
    return value


def check_choice(value: object, field: str, choices: Sequence[str]) -> str:
    """One of `choices`, or a `SceneError` that names the nearest one."""
    if not isinstance(value, str) or value not in choices:
        raise SceneError(field, f"{shown(value)} is unknown; {nearest(str(value), choices)}")
    return value


def check_flag(value: object, field: str) -> bool:
    """True or false, or a `SceneError`."""
    if not isinstance(value, bool):
        raise SceneError(field, f"{shown(value)} is neither true nor false")
    return value


def check_items(value: object, field: str, limit: int) -> list[object]:
    """A list of at most `limit` items, or a `SceneError`."""
    if not isinstance(value, list | tuple):
        raise SceneError(field, f"{shown(value)} is not a list")
    if len(value) > limit:
        raise SceneError(field, f"has {len(value)} items, at most {limit} are allowed")
    return list(value)


class Fields:
    """The fields of one JSON object; unknown ones are refused at once.

    Args:
        value: The object, as JSON or YAML gave it.
        known: The names of all fields that it may have.

    Raises:
        SceneError: `value` is not an object, or has a field that is not known.
    """

    def __init__(self, value: object, known: Sequence[str]) -> None:
        if not isinstance(value, Mapping):
            raise SceneError("", f"{shown(value)} is not an object with the fields {', '.join(known)}")
        for name in value:
            if name not in known:
                raise SceneError("", f"unknown field {shown(name)}; {nearest(str(name), known)}")
        self._value = value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def get(self, name: str, default: object = _REQUIRED) -> object:
        """The value of a field.

        Raises:
            SceneError: The field is missing and there is no default.
        """
        if name in self._value:
            return self._value[name]
        if default is _REQUIRED:
            raise SceneError("", f'the field "{name}" is missing')
        return default


def parse_json(text: str | bytes, max_bytes: int) -> object:
    """What a JSON text says; stricter than `json.loads`.

    Raises:
        SceneError: The text is longer than `max_bytes`, is not JSON, names a field twice, or has a number that is not
            finite.
    """
    size = len(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    if size > max_bytes:
        raise SceneError("", f"the text has {size} bytes, at most {max_bytes} are allowed")
    try:
        text = text if isinstance(text, str) else text.decode()
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except SceneError:
        raise
    except UnicodeDecodeError:
        raise SceneError("", "the text is not UTF-8") from None
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise SceneError("", problem) from None
    except ValueError as error:  # a whole number of more than 4300 digits
        raise SceneError("", f"not JSON: {error}") from None
    except RecursionError:
        raise SceneError("", "lists or objects are nested too deeply") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SceneError("", f"the field {shown(twice)} stands twice in one object")
    return found


def _refuse_constant(constant: str) -> float:
    raise SceneError("", f"{constant} is not a number that JSON allows")


def plain_number(value: float) -> float | int:
    """A number as JSON shows it: 30 and not 30.0."""
    return int(value) if math.isfinite(value) and value == int(value) else value
