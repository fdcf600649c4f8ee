"""Recognising the same code in several registrations, also in those of other sessions.

Two registrations have the same code if their chains have the same steps with the same bytecode and constants. The names
of streams, the line numbers and the text of the rest of the script do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from types import CodeType
from typing import Any

from rededge_nb.edge.gears.runtime.gear import Step

_CONSTANTS = (str, bytes, int, float, complex, bool, type(None), type(...))


def code_identity(steps: Iterable[Step]) -> str:
    """A text that is the same for chains with the same code."""
    described = tuple((step.kind, _described(step.callback), _described(step.argument)) for step in steps)
    return sha256(repr(described).encode()).hexdigest()[:32]


def _described(value: Any) -> object:
    """A value in terms whose repr() does not depend on the process."""
    if isinstance(value, _CONSTANTS):
        return value
    if isinstance(value, tuple | list):
        return type(value).__name__, tuple(_described(element) for element in value)
    if isinstance(value, frozenset | set):
        return type(value).__name__, tuple(sorted(repr(_described(element)) for element in value))
    if isinstance(value, CodeType):
        return value.co_name, value.co_code, value.co_names, _described(value.co_consts)
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        return _described(code), _described(getattr(value, "__defaults__", None))
    inner = getattr(value, "func", None)  # functools.partial
    if inner is not None:
        return _described(inner), _described(getattr(value, "args", ()))
    return type(value).__module__, type(value).__qualname__, getattr(value, "__qualname__", "")
