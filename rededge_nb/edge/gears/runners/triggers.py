"""CommandReader registrations: gears that RG.TRIGGER runs, and hooks, which run in place of a command."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from rededge_nb.edge.client import CommandArgs, transact
from rededge_nb.edge.gears.chain.run import Outcome
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

    @property
    def is_hook(self) -> bool:
        """Whether it runs in place of a command, and not for RG.TRIGGER."""
        return "hook" in self.draft.arguments

    def is_on(self, words: Sequence[bytes]) -> bool:
        """Whether this hook is for a command with these words, by its keys."""
        arguments = self.draft.arguments
        if arguments["keyprefix"] is None:
            return True
        first, last, step = arguments["positions"]
        prefix = arguments["keyprefix"].encode()
        end = len(words) + last if last < 0 else last
        return any(word.startswith(prefix) for word in words[first : end + 1 : step]) if first and step else False

    def stop(self, timeout: float) -> bool:
        """Nothing to do: running executions end by themselves, and their callers wait for them."""
        return timeout >= 0

    def call(self, execution: LiveExecution, turn: int, words: list[bytes]) -> Any:
        """Run over one command; `turn` is from take_turn().

        Raises:
            CommandError: the gear failed, with the text of its error.
        """
        turns = self._turns
        try:
            if turns is not None:
                # the queue may go on meanwhile: the call before may wait for a future that a later call continues
                execution.become_idle()
                turns.wait_for(turn)
                if self.draft.mode == "sync" and not self.draft.arguments["inorder"]:
                    # in RedisGears it holds the server's main thread until it waits, and goes on like async_local
                    execution.when_waiting = partial(turns.end, turn)
            outcome = self.run(Context(self._executor, session_id=self._session_id), execution, words)
            self.count(outcome)
        finally:
            if turns is not None:
                turns.end(turn)
        return reply_of(outcome)

    def run(self, context: Context, execution: LiveExecution, words: Sequence[bytes]) -> Outcome:
        """Run over one command in this thread, without waiting for others and without counting it."""
        with self._lock:
            self._running += 1
        try:
            context.session_id = self._session_id
            with entered(context):
                record = [word.split(b"\0", 1)[0].decode(errors="replace") for word in words]
                return self._executor.execute(context, self.draft, lambda: [record], execution)[1]
        finally:
            with self._lock:
                self._running -= 1

    def count(self, outcome: Outcome) -> None:
        """Count an execution in the statistics."""
        transact(self._executor.state_client, self.counts(outcome))

    def counts(self, outcome: Outcome) -> list[CommandArgs]:
        """The commands that count an execution in the statistics."""
        return statistics.count_outcome(self._executor.state_client, self.draft.id, outcome)

    def take_turn(self) -> int:
        """The number of a call among those that arrived in this worker; 0 where the order does not matter."""
        return self._turns.take() if self._turns is not None else 0


def reply_of(outcome: Outcome) -> list[object]:
    """The reply of RG.TRIGGER.

    Raises:
        CommandError: the gear failed, with the text of its error.
    """
    if outcome.status == "aborted":
        raise CommandError("execution aborted")
    if outcome.errors:
        raise CommandError(outcome.errors[0])
    return [to_reply(result) for result in outcome.results]


def hook_reply_of(outcome: Outcome) -> object:
    """The reply of a hook, which is its one result.

    Raises:
        CommandError: the gear failed, or has none or several results.
    """
    results = reply_of(outcome)
    if len(results) != 1:
        raise CommandError("Command hook must return exactly one result")
    return results[0]


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
            if number < self._now:  # it has ended before
                return
            self._ended.add(number)
            while self._now in self._ended:
                self._ended.discard(self._now)
                self._now += 1
            self._changed.notify_all()
