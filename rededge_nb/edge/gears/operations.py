"""The operations of a gear: what each does to the records that flow through it.

Records are pulled one at a time through the whole chain. Operations such as `count` are written as several steps, as
in RedisGears, so that each step is one of a few kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Records = Iterator[Any]


@dataclass(frozen=True)
class Step:
    """One step of a chain: its kind, a key of STEPS, and the callback, None for collect."""

    kind: str
    callback: Callable[..., Any] | None = None

    def describe(self) -> list[object]:
        """The step as RG.GETEXECUTION shows it: type, milliseconds, internal name, callback."""
        return ["type", self.kind, "duration", 0, "name", STEPS[self.kind][1], "arg", str(self.callback or "")]


def _map(records: Records, callback: Callable[..., Any]) -> Records:
    for record in records:
        yield callback(record)


def _filter(records: Records, callback: Callable[..., Any]) -> Records:
    for record in records:
        if callback(record):
            yield record


def _foreach(records: Records, callback: Callable[..., Any]) -> Records:
    for record in records:
        callback(record)
        yield record


def _flatmap(records: Records, callback: Callable[..., Any]) -> Records:
    for record in records:
        spread = callback(record)
        if isinstance(spread, list):
            yield from reversed(spread)  # last element first: so does RedisGears, and sort() there relies on it
        else:
            yield spread


def _accumulate(records: Records, callback: Callable[..., Any]) -> Records:
    accumulated, any_record = None, False
    for record in records:
        accumulated, any_record = callback(accumulated, record), True
    if any_record:
        yield accumulated


def _collect(records: Records, _: None) -> Records:
    return records


STEPS: dict[str, tuple[Callable[..., Records], str]] = {
    "map": (_map, "RedisGearsPy_PyCallbackMapper"),
    "filter": (_filter, "RedisGearsPy_PyCallbackFilter"),
    "foreach": (_foreach, "RedisGearsPy_PyCallbackForEach"),
    "flatmap": (_flatmap, "RedisGearsPy_PyCallbackFlatMapper"),
    "accumulate": (_accumulate, "RedisGearsPy_PyCallbackAccumulate"),
    "collect": (_collect, "collect"),
}
"""What each kind of step does, and the name RG.GETEXECUTION shows for it."""


def chain(records: Iterable[Any], steps: Iterable[Step]) -> Records:
    """The records after all steps; nothing is pulled before the result is."""
    flowing = iter(records)
    for step in steps:
        flowing = STEPS[step.kind][0](flowing, step.callback)
    return flowing
