"""GearsBuilder: a script describes with it what to do with which records."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Self

from rededge_nb.edge.gears.chain.readers import READERS
from rededge_nb.edge.gears.chain.register_arguments import RegisterRequest
from rededge_nb.edge.gears.runtime.context import Script, current
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft, Run, Step
from rededge_nb.edge.gears.state.stored_code import checked_callback

MODES = ("async", "async_local", "sync")


class RunFuture(Future[Any]):
    """The result of run(), `[[results], [errors]]`; coroutines of gears can await it."""

    def __await__(self) -> Any:
        """Wait on the gears' event loop."""
        import asyncio

        return asyncio.wrap_future(self).__await__()


class GearsBuilder:
    """A chain of steps over the records of a reader; `run` or `register` starts it.

    Steps change the builder and return it, so that chaining and separate statements both work.
    """

    def __init__(self, reader: str = "KeysReader", defaultArg: Any = "*", desc: str | None = None) -> None:  # noqa: N803
        if not isinstance(reader, str):
            raise GearsError("reader argument must be a string")
        if desc is not None and not isinstance(desc, str):
            raise GearsError("desc argument must be a string")
        if reader not in READERS:
            raise GearsError("The given reader does not exists")
        self._reader = reader
        self._default_argument = defaultArg
        self._description = desc
        self._steps: list[Step] = []

    def map(self, *function: Callable[[Any], Any]) -> Self:
        """Replace each record by what the function returns for it."""
        return self._add("map", function)

    def filter(self, *function: Callable[[Any], Any]) -> Self:
        """Keep the records for which the function returns something true."""
        return self._add("filter", function)

    def flatmap(self, *function: Callable[[Any], Any]) -> Self:
        """Replace each record by the elements of the list that the function returns, last element first."""
        return self._add("flatmap", function)

    def foreach(self, *function: Callable[[Any], Any]) -> Self:
        """Call the function with each record and pass the record on."""
        return self._add("foreach", function)

    def accumulate(self, *function: Callable[[Any, Any], Any]) -> Self:
        """Fold all records into one: function(accumulated, record), where accumulated is None at first."""
        return self._add("accumulate", function)

    def limit(self, *numbers: int) -> Self:
        """Skip `start` records (default 0), and keep the next `length`."""
        if not 1 <= len(numbers) <= 2:
            raise GearsError("wrong number of args to limit function")
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise GearsError("limit argument must be a number")
        self._steps.append(Step("limit", argument=(numbers[0], numbers[1] if len(numbers) > 1 else 0)))
        return self

    def collect(self, *none: Any) -> Self:
        """Bring all records to the shard that started; there is only one."""
        _functions("collect", none, ())
        self._steps.append(Step("collect"))
        return self

    def repartition(self, *extractor: Callable[[Any], Any]) -> Self:
        """Move each record to the shard of the key that the function returns; there is only one."""
        (function,) = _functions("repartition", extractor, ("",))
        self._steps += [Step("extractkey", function), Step("repartition"), Step("map", _record)]
        return self

    def localgroupby(self, *functions: Callable[..., Any]) -> Self:
        """Fold the records of each key: extractor(record) returns it, reducer(key, accumulated, record) folds."""
        extractor, reducer = _functions("localgroupby", functions, ("extractor ", "reducer "))
        self._steps += [Step("extractkey", extractor), Step("accumulatebykey", reducer)]
        return self

    def groupby(self, *functions: Callable[..., Any]) -> Self:
        """Like localgroupby, over the records of all shards."""
        extractor, reducer = _functions("groupby", functions, ("extractor ", "reducer "))
        self._steps += [Step("extractkey", extractor), Step("repartition"), Step("accumulatebykey", reducer)]
        return self

    def batchgroupby(self, *functions: Callable[..., Any]) -> Self:
        """Replace the records of each key by what reducer(key, records) returns for them."""
        extractor, reducer = _functions("batchgroupby", functions, ("extractor ", "reducer "))
        self._steps += [Step("extractkey", extractor), Step("repartition"), Step("group"), Step("reduce", reducer)]
        return self

    def aggregate(self, zero: Any, seqOp: Callable[..., Any], combOp: Callable[..., Any]) -> Self:  # noqa: N803
        """Fold all records: seqOp(accumulated, record) on each shard, combOp(accumulated, other) over the shards."""
        self.accumulate(partial(_fold, zero, seqOp)).collect()
        return self.accumulate(partial(_fold, zero, combOp))

    def aggregateby(
        self, extractor: Callable[[Any], Any], zero: Any, seqOp: Callable[..., Any], combOp: Callable[..., Any]  # noqa: N803
    ) -> Self:  # fmt: skip
        """Fold the records of each key: seqOp(key, accumulated, record), combOp(key, accumulated, other)."""
        self.localgroupby(extractor, partial(_fold_of_key, zero, seqOp))
        return self.groupby(_key_of_group, partial(_fold_groups, zero, combOp))

    def __localAggregateby__(  # noqa: N802 - RedisGears' name
        self, extractor: Callable[[Any], Any], zero: Any, aggregator: Callable[..., Any]
    ) -> Self:
        """The first half of aggregateby: fold the records of each key on each shard."""
        return self.localgroupby(extractor, partial(_fold_of_key, zero, aggregator))

    def count(self, *none: Any) -> Self:
        """Replace all records by their number; without records there is no number."""
        _functions("count", none, ())
        return self.accumulate(_count).collect().accumulate(_sum)

    def countby(self, extractor: Callable[[Any], Any] | None = None) -> Self:
        """Count the records of each key; without an extractor the record is the key."""
        return self.aggregateby(_itself if extractor is None else extractor, 0, _count_of_key, _sum_of_key)

    def sort(self, reverse: bool = True) -> Self:
        """Sort all records; ascending by default, because flatmap reverses the order, as in RedisGears."""
        self.aggregate([], _append, operator.add)
        return self.map(partial(sorted, reverse=reverse)).flatmap(_itself)

    def distinct(self, *none: Any) -> Self:
        """Keep one of several equal records."""
        _functions("distinct", none, ())
        return self.aggregate(set(), _add_to_set, operator.or_).flatmap(list)

    def avg(self, extractor: Callable[[Any], float] = float) -> Self:
        """Replace all records by the average of the numbers that the function returns."""
        return self.map(extractor).aggregate((0.0, 0), _add_number, _add_totals).map(_average)

    def run(
        self,
        arg: Any = None,
        convertToStr: bool = True,  # noqa: N803
        collect: bool = True,
        mode: str = "async",
        **keywords: Any,
    ) -> RunFuture:
        """Run once over the records that the reader finds.

        In a script, it runs when the script has ended, and RG.PYEXECUTE replies with the results. In an execution, it
        runs at once, in a thread of its own, and the result can be awaited.
        """
        script = self._script(mode)
        reader = READERS[self._reader]
        if reader.run is None:
            raise GearsError("Given reader do not support run or not exists")
        if script is not None and script.run is not None:
            raise GearsError("Can not run more then 1 executions in a single script")
        argument = reader.check_argument(arg or self._default_argument)
        future = RunFuture()
        run = Run(self._reader, argument, keywords, self._finished(convertToStr, collect), future)
        if script is not None:
            script.run = run
        else:
            current().executor.run_nested(run)
        return future

    def register(
        self,
        prefix: str = "*",
        convertToStr: bool = True,  # noqa: N803
        collect: bool = True,
        mode: str = "async",
        onRegistered: Callable[[], Any] | None = None,  # noqa: N803
        onUnregistered: Callable[[], Any] | None = None,  # noqa: N803
        **keywords: Any,
    ) -> str:
        """Run for each event from now on; returns the registration's id.

        In a script, it begins when the script has ended; in an execution at once, in the session of the gear.
        """
        script, context = self._script(mode), current()
        if script is None and context.session_id is None:
            raise GearsError("register can be called only from a script or a gear that RedisGears runs")
        reader = READERS[self._reader]
        if reader.register is None:
            raise GearsError("Given reader do not support register or not exists")
        for name, callback in (("onRegistered", onRegistered), ("onUnregistered", onUnregistered)):
            if callback is not None and not callable(callback):
                raise GearsError(f"{name} argument must be a function")
        pattern = keywords.pop("regex", prefix)
        if not isinstance(pattern, str):
            raise GearsError("regex argument must be a string")
        arguments = reader.register(
            RegisterRequest(pattern, mode, keywords, [] if script is None else script.drafts, context.command)
        )
        draft = Draft(
            id=current().executor.next_registration_id(),
            reader=self._reader,
            description=self._description,
            mode=mode,
            arguments=arguments,
            steps=self._finished(convertToStr, collect),
            on_registered=None if onRegistered is None else checked_callback(onRegistered),
            on_unregistered=None if onUnregistered is None else checked_callback(onUnregistered),
        )
        for step in draft.steps:
            if step.callback is not None:
                checked_callback(step.callback)
        if script is not None:
            script.drafts.append(draft)
        else:
            context.executor.register_now(draft, context.session_id)
        return draft.id

    def _add(self, kind: str, functions: tuple[Callable[..., Any], ...]) -> Self:
        (function,) = _functions(kind, functions, ("",))
        self._steps.append(Step(kind, function))
        return self

    def _finished(self, to_text: bool, collect: bool) -> tuple[Step, ...]:
        # the tail stays on the builder: a second register() adds it again, as in RedisGears
        if to_text:
            self._steps.append(Step("map", str))
        if collect:
            self._steps.append(Step("collect"))
        return tuple(self._steps)

    def _script(self, mode: str) -> Script | None:
        """The script that is being executed; None in code that runs later."""
        if not isinstance(mode, str):
            raise GearsError("execution mode must be a string")
        if mode not in MODES:
            raise GearsError("unknown execution mode")
        script = current().script
        return None if script is None or script.ended else script


def _functions(operation: str, given: tuple[Any, ...], names: tuple[str, ...]) -> tuple[Any, ...]:
    if len(given) != len(names):
        raise GearsError(f"wrong number of args to {operation} function")
    for function, name in zip(given, names, strict=True):
        if not callable(function):
            raise GearsError(f"{operation} {name}argument must be a function")
    return given


# The functions of the operations above. Gears are stored with references to them, so they cannot be nested functions.


def _count(accumulated: int | None, record: Any) -> int:  # noqa: ARG001
    return (accumulated or 0) + 1


def _sum(accumulated: int | None, record: int) -> int:
    return (accumulated or 0) + record


def _itself(record: Any) -> Any:
    return record


def _record(keyed: Any) -> Any:
    return keyed.record


def _fold(zero: Any, function: Callable[..., Any], accumulated: Any, record: Any) -> Any:
    return function(accumulated or copy.deepcopy(zero), record)


def _fold_of_key(zero: Any, function: Callable[..., Any], key: str, accumulated: Any, record: Any) -> Any:
    return function(key, accumulated or copy.deepcopy(zero), record)


def _fold_groups(zero: Any, function: Callable[..., Any], key: str, accumulated: Any, group: dict[str, Any]) -> Any:
    return function(key, accumulated or copy.deepcopy(zero), group["value"])


def _key_of_group(group: dict[str, Any]) -> Any:
    return group["key"]


def _count_of_key(key: str, accumulated: int, record: Any) -> int:  # noqa: ARG001
    return accumulated + 1


def _sum_of_key(key: str, accumulated: int, count: int) -> int:  # noqa: ARG001
    return accumulated + count


def _append(accumulated: list[Any], record: Any) -> list[Any]:
    return [*accumulated, record]


def _add_to_set(accumulated: set[Any], record: Any) -> set[Any]:
    return accumulated | {record}


def _add_number(accumulated: tuple[float, int], number: float) -> tuple[float, int]:
    return accumulated[0] + number, accumulated[1] + 1


def _add_totals(accumulated: tuple[float, int], total: tuple[float, int]) -> tuple[float, int]:
    return accumulated[0] + total[0], accumulated[1] + total[1]


def _average(total: tuple[float, int]) -> float:
    return total[0] / total[1]


STORED_NAMES: dict[str, object] = {
    function.__name__: function
    for function in (
        _add_number, _add_to_set, _add_totals, _append, _average, _count, _count_of_key, _fold, _fold_groups,
        _fold_of_key, _itself, _key_of_group, _record, _sum, _sum_of_key,
    )
}  # fmt: skip
"""What stored gears may refer to; see state/stored_code.py."""
