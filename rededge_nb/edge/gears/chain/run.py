"""Running records through a chain of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rededge_nb.edge.gears.chain.steps import chain, describe_step
from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, ServerAwayError, error_text
from rededge_nb.edge.gears.runtime.futures import FailedRecordError
from rededge_nb.edge.gears.runtime.gear import Step
from rededge_nb.edge.gears.runtime.values import encodable, to_reply


@dataclass
class Outcome:
    """How a chain ended: its results, and the texts of its errors."""

    status: str = "done"
    results: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    milliseconds: int = 0
    step_milliseconds: list[int] | None = None

    def reply(self) -> list[Any]:
        """The reply of RG.PYEXECUTE and RG.GETRESULTS."""
        return [[to_reply(result) for result in self.results], list(self.errors)]


@dataclass(frozen=True)
class ChainOptions:
    """The RG.CONFIGSET options that a chain depends on."""

    tracebacks: bool = True
    profile: bool = False


def run_chain(records: Callable[[], Iterable[Any]], steps: tuple[Step, ...], options: ChainOptions) -> Outcome:
    """Pull the records through the steps. The first error ends it; the results so far are kept.

    After a MemoryError no result is kept: they may be what fills the memory, and the reply would need as much again.

    Raises:
        ServerAwayError: Redis went away meanwhile. That is no failure of the gear: its records come again.
    """
    outcome = Outcome()
    started = time.monotonic()
    times = [0.0] * len(steps) if options.profile else None
    try:
        for record in chain(records(), steps, times):
            outcome.results.append(record)
    except ServerAwayError:
        raise
    except ExecutionAbortedError:
        outcome.status = "aborted"
    except FailedRecordError as error:
        outcome.errors.append(encodable(str(error)))
    except BaseException as error:  # noqa: BLE001 - a user's function may raise anything, asyncio.CancelledError too
        if isinstance(error, MemoryError):
            outcome.results.clear()
        outcome.errors.append(error_text(error, with_traceback=options.tracebacks))
    outcome.milliseconds = round((time.monotonic() - started) * 1000)
    if times is not None:
        outcome.step_milliseconds = [round(seconds * 1000) for seconds in times]
    return outcome


def describe_steps(steps: tuple[Step, ...], milliseconds: list[int] | None = None) -> list[Any]:
    """The steps as RG.GETEXECUTION shows them: the last one first."""
    durations = milliseconds or [0] * len(steps)
    return [describe_step(step, duration) for step, duration in reversed(list(zip(steps, durations, strict=True)))]
