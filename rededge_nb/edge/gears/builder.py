"""GearsBuilder: how a script says what to do with which records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from rededge_nb.edge.gears.context import current
from rededge_nb.edge.gears.errors import GearsError
from rededge_nb.edge.gears.executions import Run
from rededge_nb.edge.gears.operations import Step
from rededge_nb.edge.gears.readers import READERS
from rededge_nb.edge.gears.registrations import Draft, checked_callback

MODES = ("async", "async_local", "sync")


class GearsBuilder:
    """A chain of steps over the records of a reader; `run` or `register` sets it going.

    Steps change the builder and return it, so that chaining and separate statements both work.
    """

    def __init__(self, reader: str = "KeysReader", defaultArg: str = "*", desc: str | None = None) -> None:  # noqa: N803
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

    def map(self, function: Callable[[Any], Any]) -> Self:
        """Replace each record by what the function makes of it."""
        return self._add("map", function)

    def filter(self, function: Callable[[Any], Any]) -> Self:
        """Keep the records for which the function gives something true."""
        return self._add("filter", function)

    def flatmap(self, function: Callable[[Any], Any]) -> Self:
        """Replace each record by the elements of the list that the function gives, last element first."""
        return self._add("flatmap", function)

    def foreach(self, function: Callable[[Any], Any]) -> Self:
        """Call the function with each record and pass the record on."""
        return self._add("foreach", function)

    def accumulate(self, function: Callable[[Any, Any], Any]) -> Self:
        """Fold all records into one: function(accumulated, record), where accumulated is None at first."""
        return self._add("accumulate", function)

    def collect(self) -> Self:
        """Bring all records to the shard that began; there is one."""
        self._steps.append(Step("collect"))
        return self

    def count(self) -> Self:
        """Replace all records by their number; no records give no number."""
        return self.accumulate(_count).collect().accumulate(_sum)

    def run(
        self,
        arg: Any = None,
        convertToStr: bool = True,  # noqa: N803
        collect: bool = True,
        mode: str = "async",
        **keywords: Any,
    ) -> None:
        """Run once over what the reader finds, when the script has ended; RG.PYEXECUTE replies with the results."""
        script = self._script(mode)
        if script.run is not None:
            raise GearsError("Can not run more then 1 executions in a single script")
        script.run = Run(self._reader, arg or self._default_argument, keywords, self._finished(convertToStr, collect))

    def register(
        self,
        prefix: str = "*",
        convertToStr: bool = True,  # noqa: N803
        collect: bool = True,
        mode: str = "async",
        onRegistered: Callable[[], Any] | None = None,  # noqa: N803
        **keywords: Any,
    ) -> str:
        """Run on each event from now on; returns the registration's id."""
        script = self._script(mode)
        pattern = str(keywords.pop("regex", prefix))
        draft = Draft(
            id=current().worker.engine.next_registration_id(),
            reader=self._reader,
            description=self._description,
            mode=mode,
            arguments=READERS[self._reader].register_arguments(pattern, mode, keywords),
            steps=self._finished(convertToStr, collect),
            on_registered=None if onRegistered is None else checked_callback(onRegistered),
        )
        script.drafts.append(draft)
        return draft.id

    def _add(self, kind: str, function: Callable[..., Any]) -> Self:
        if not callable(function):
            raise GearsError(f"{kind} argument must be a function")
        self._steps.append(Step(kind, checked_callback(function)))
        return self

    def _finished(self, to_text: bool, collect: bool) -> tuple[Step, ...]:
        # the tail stays on the builder: a second register() adds it again, as in RedisGears
        if to_text:
            self._steps.append(Step("map", str))
        if collect:
            self._steps.append(Step("collect"))
        return tuple(self._steps)

    def _script(self, mode: str) -> Any:
        if not isinstance(mode, str):
            raise GearsError("execution mode must be a string")
        if mode not in MODES:
            raise GearsError("unknown execution mode")
        script = current().script
        if script is None:
            raise GearsError("run and register can be called only while a script is executed by RG.PYEXECUTE")
        return script


def _count(accumulated: int | None, record: Any) -> int:  # noqa: ARG001
    return (accumulated or 0) + 1


def _sum(accumulated: int | None, record: int) -> int:
    return (accumulated or 0) + record
