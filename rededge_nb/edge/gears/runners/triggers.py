"""CommandReader registrations: gears that RG.TRIGGER runs."""

from __future__ import annotations

import threading
from typing import Any

from rededge_nb.edge.client import transact
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.live import LiveExecution
from rededge_nb.edge.gears.runtime.values import to_reply
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.switchboard.calls import CommandError


class Trigger:
    """One registration. Any worker answers a call; each has its own globals of the session."""

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self.draft = draft
        self._executor = executor
        self._session_id = session_id
        self._running = 0
        self._lock = threading.Lock()
        self._turns = Turns() if draft.arguments["inorder"] or draft.mode == "sync" else None

    @property
    def busy(self) -> int:
        """How many executions are running."""
        return self._running

    def stop(self, timeout: float) -> bool:
        """Nothing to do: running executions end by themselves, and their callers wait for them."""
        return timeout >= 0

    def call(self, execution: LiveExecution, turn: int, words: list[bytes]) -> Any:
        """Run over one command; `turn` is from take_turn().

        Raises:
            CommandError: the gear failed, with the text of its error.
        """
        with self._lock:
            self._running += 1
        try:
            if self._turns is not None:
                # the queue may go on meanwhile: the call before may wait for a future that a later call continues
                execution.idle.set()
                self._turns.wait_for(turn)
            engine, context = self._executor, Context(self._executor, session_id=self._session_id)
            with entered(context):
                record = [word.split(b"\0", 1)[0].decode(errors="replace") for word in words]
                _, outcome = engine.execute(context, self.draft, lambda: [record], execution)
            transact(engine.state_client, statistics.count_outcome(engine.state_client, self.draft.id, outcome))
        finally:
            if self._turns is not None:
                self._turns.end(turn)
            with self._lock:
                self._running -= 1
        if outcome.status == "aborted":
            raise CommandError("execution aborted")
        if outcome.errors:
            raise CommandError(outcome.errors[0])
        return [to_reply(result) for result in outcome.results]

    def take_turn(self) -> int:
        """The number of a call among those that arrived in this worker; 0 where the order does not matter."""
        return self._turns.take() if self._turns is not None else 0


class Turns:
    """Lets callers go one after another, in the order in which they took a number."""

    def __init__(self) -> None:
        self._next = 0
        self._ended: set[int] = set()
        self._now = 0
        self._changed = threading.Condition()

    def take(self) -> int:
        """The next number."""
        with self._changed:
            self._next += 1
            return self._next - 1

    def wait_for(self, number: int) -> None:
        """Return when all lower numbers have ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._now >= number)

    def end(self, number: int) -> None:
        """Let the caller with the next number go."""
        with self._changed:
            self._ended.add(number)
            while self._now in self._ended:
                self._ended.discard(self._now)
                self._now += 1
            self._changed.notify_all()
