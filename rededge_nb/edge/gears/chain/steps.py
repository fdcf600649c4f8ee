"""The steps of a gear: what each kind of step does to the records that flow through it.

Each step is a generator over the records of the step before, so one record at a time passes the whole chain. Operations
such as `count` consist of several steps, as in RedisGears, so that there are few kinds of steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.futures import begin, resolve, wait
from rededge_nb.edge.gears.runtime.gear import Step

MAX_WAITING = 1_000
"""How many records may wait at one step before the next record has to."""

Records = Iterator[Any]


class Keyed(NamedTuple):
    """A record while records are grouped, with its key."""

    key: Any
    record: Any


def text_key(key: Any) -> str:
    """A group's key in the results: text as it is, anything else as its repr."""
    return key if isinstance(key, str) else repr(key)


def _with_values(records: Records, step: Step) -> Iterator[tuple[Any, Any]]:
    """Each record with what the step's callback returns for it, in the order of the records.

    Records whose callback returned a future or a coroutine wait together: up to MAX_WAITING of them, as in RedisGears.
    """
    context, callback = current(), step.callback
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    try:
        for record in records:
            value = callback(record)
            future = begin(context, value)
            if future is None and not waiting:
                yield record, value
                continue
            waiting.append((record, _done(value) if future is None else future))
            value = None  # only user code may refer to a future that waits: see GearsFuture.__del__
            while waiting and (len(waiting) > MAX_WAITING or waiting[0][1].done()):
                first, future = waiting.popleft()
                yield first, wait(context, future)
        while waiting:
            first, future = waiting.popleft()
            yield first, wait(context, future)
    finally:
        for _, future in waiting:  # an error has ended the chain, or a later step needs no more records
            future.cancel()


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _map(records: Records, step: Step) -> Records:
    for _, value in _with_values(records, step):
        yield value


def _filter(records: Records, step: Step) -> Records:
    for record, value in _with_values(records, step):
        if value:
            yield record


def _foreach(records: Records, step: Step) -> Records:
    for record, _ in _with_values(records, step):
        yield record


def _flatmap(records: Records, step: Step) -> Records:
    for _, spread in _with_values(records, step):
        if isinstance(spread, list):
            yield from reversed(spread)  # the last element first, as in RedisGears: sort() relies on it
        else:
            yield spread


def _accumulate(records: Records, step: Step) -> Records:
    context, callback = current(), step.callback
    accumulated, any_record = None, False
    for record in records:
        accumulated, any_record = resolve(context, callback(accumulated, record)), True
    if any_record:
        yield accumulated


def _limit(records: Records, step: Step) -> Records:
    length, start = step.argument
    return islice(records, start, start + length)


def _extractkey(records: Records, step: Step) -> Records:
    context, callback = current(), step.callback
    for record in records:
        yield Keyed(_without_future(context, callback, record), record)


def _group(records: Records, _: Step) -> Records:
    groups: dict[str, list[Any]] = {}
    for key, record in records:
        groups.setdefault(text_key(key), []).append(record)
    for key in reversed(groups):  # the last group first, as in RedisGears
        yield Keyed(key, groups[key])


def _reduce(records: Records, step: Step) -> Records:
    context, callback = current(), step.callback
    for key, group in records:
        yield {"key": key, "value": _without_future(context, callback, key, group)}


def _accumulatebykey(records: Records, step: Step) -> Records:
    context, callback = current(), step.callback
    groups: dict[str, Any] = {}
    for key, record in records:
        name = text_key(key)
        groups[name] = resolve(context, callback(name, groups.get(name), record))
    for name, accumulated in groups.items():
        yield {"key": name, "value": accumulated}


def _pass(records: Records, _: Step) -> Records:
    return records


STEPS: dict[str, tuple[Callable[[Records, Step], Records], str]] = {
    "map": (_map, "RedisGearsPy_PyCallbackMapper"),
    "filter": (_filter, "RedisGearsPy_PyCallbackFilter"),
    "foreach": (_foreach, "RedisGearsPy_PyCallbackForEach"),
    "flatmap": (_flatmap, "RedisGearsPy_PyCallbackFlatMapper"),
    "accumulate": (_accumulate, "RedisGearsPy_PyCallbackAccumulate"),
    "accumulatebykey": (_accumulatebykey, "RedisGearsPy_PyCallbackAccumulateByKey"),
    "extractkey": (_extractkey, "RedisGearsPy_PyCallbackExtractor"),
    "group": (_group, "group"),
    "reduce": (_reduce, "RedisGearsPy_PyCallbackReducer"),
    "limit": (_limit, "limit"),
    "collect": (_pass, "collect"),
    "repartition": (_pass, "repartition"),
}
"""What each kind of step does, and its name in RG.GETEXECUTION. There is only one shard, so collect and repartition
have nothing to move."""


def describe_step(step: Step, milliseconds: int = 0) -> list[object]:
    """The step as RG.GETEXECUTION shows it: type, milliseconds, internal name, callback."""
    # a partial's own text has its arguments, which may be long
    callback = step.callback.func if isinstance(step.callback, partial) else step.callback
    name = STEPS[step.kind][1]
    return ["type", step.kind, "duration", milliseconds, "name", name, "arg", str(callback or "")]


def chain(records: Iterable[Any], steps: Iterable[Step], times: list[float] | None = None) -> Records:
    """The records after all steps. No record is read before somebody iterates over the result.

    Args:
        records: What the reader returned.
        steps: The chain.
        times: One number for each step; the seconds that the step takes are added to it.
    """
    flowing = iter(records)
    if times is None:
        for step in steps:
            flowing = STEPS[step.kind][0](flowing, step)
        return flowing
    before: list[float] = []
    for index, step in enumerate(steps):
        inclusive = [0.0]
        flowing = _timed(STEPS[step.kind][0](flowing, step), inclusive, before, times, index)
        before = inclusive
    return flowing


def _timed(records: Records, inclusive: list[float], before: list[float], times: list[float], index: int) -> Records:
    """The records of a step; its time is that of this generator without that of the step before."""
    while True:
        started = time.perf_counter()
        try:
            record = next(records)
        except StopIteration:
            return
        finally:
            inclusive[0] += time.perf_counter() - started
            times[index] = inclusive[0] - (before[0] if before else 0.0)
        yield record


def _without_future(context: Context, callback: Callable[..., Any], *arguments: Any) -> Any:
    context.futures_allowed = False
    try:
        return resolve(context, callback(*arguments))
    finally:
        context.futures_allowed = True
