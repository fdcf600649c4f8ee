"""The gears of one worker: executes scripts and chains, and runs what is registered.

The RG.* commands work with the engine. Gear code and runners see only parts of it, by the protocols Executor and
GearExecutor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import InvalidStateError
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import redis

from rededge_nb import settings
from rededge_nb.edge.client import COMMAND_TIMEOUT, key_names, worker_client
from rededge_nb.edge.client.kept_connections import KeptConnections
from rededge_nb.edge.client.state_database import database_of, state_client
from rededge_nb.edge.gears.chain.profiles import Profiles
from rededge_nb.edge.gears.chain.readers import READERS
from rededge_nb.edge.gears.chain.run import ChainOptions, Outcome, describe_steps, run_chain
from rededge_nb.edge.gears.runners.runners import Runners
from rededge_nb.edge.gears.runners.timers import Timers
from rededge_nb.edge.gears.runners.triggers import Trigger, hook_reply_of, reply_of
from rededge_nb.edge.gears.runtime.context import Context, Script, current, entered, set_fallback
from rededge_nb.edge.gears.runtime.errors import (
    SCRIPT_FILE_NAME,
    ExecutionAbortedError,
    GearsError,
    GearsForceStopped,
    NestedError,
    ServerAwayError,
    error_text,
    own_server,
)
from rededge_nb.edge.gears.runtime.futures import Slots
from rededge_nb.edge.gears.runtime.gear import Draft, Run
from rededge_nb.edge.gears.runtime.hooked import CANNOT_WAIT, MAX_DEPTH, HookedCommand
from rededge_nb.edge.gears.runtime.host import Host
from rededge_nb.edge.gears.runtime.live import LiveExecution, LiveExecutions, SessionSummary
from rededge_nb.edge.gears.runtime.values import from_redis, reply_for_gear
from rededge_nb.edge.gears.script import modules
from rededge_nb.edge.gears.script.api import script_globals
from rededge_nb.edge.gears.state import registrations, remote, statistics
from rededge_nb.edge.gears.state.crashes import RetrySlot
from rededge_nb.edge.gears.state.executions import (
    fields_of,
    save_unregistered,
)
from rededge_nb.edge.gears.state.former_database import move_state
from rededge_nb.edge.gears.state.ids import Ids
from rededge_nb.edge.gears.state.leases import Leases
from rededge_nb.edge.gears.state.leftovers import Leftovers
from rededge_nb.edge.gears.state.options import DEFAULTS, Options
from rededge_nb.edge.gears.state.registrations import Session
from rededge_nb.edge.switchboard.calls import CommandError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Engine:
    """Executes scripts and chains, and has the objects that this needs."""

    def __init__(self, host: Host) -> None:
        settings.limit_image_size()
        modules.install()
        self.host = host
        self.raw_client = worker_client(host.url, name="rededge-worker-gears", timeout=COMMAND_TIMEOUT)
        self.raw_client.response_callbacks.clear()
        self.state_client = state_client(self.raw_client)
        move_state(self.raw_client)
        self.connections = KeptConnections(worker_client(host.url, name="rededge-worker-gears").connection_pool)
        """The connections that gear code uses."""
        self.state_connections = KeptConnections(self.state_client.connection_pool)
        self.leases = Leases(self.state_client, host.id)
        self.execution_ids = Ids(self.state_client, key_names.next_execution, block=64)
        self.registration_ids = Ids(self.state_client, key_names.next_registration)
        self.options = Options(self.state_client)
        self.live = LiveExecutions()
        self.retry_slot = RetrySlot(cautious=settings.after_death())
        self.slots = Slots(int(DEFAULTS["ExecutionThreads"]))
        self.profiles = Profiles()
        self._timers = Timers(self)
        self.runners = Runners(self)
        set_fallback(Context(self))

    def next_registration_id(self) -> str:
        """The id of a new registration."""
        with own_server():
            return self.registration_ids.next()

    def new_execution(self, registration_id: str | None = None, steps: tuple[Any, ...] = ()) -> LiveExecution:
        """An execution that has not begun."""
        execution = LiveExecution(self.execution_ids.next(), registration_id, steps)
        execution.session = self.runners.session_of(registration_id) if registration_id is not None else None
        return execution

    def housekeeping(self) -> tuple[Callable[[], None], ...]:
        """Functions that follow what others have changed. Each has to be called a few times a second."""
        return (
            self.options.refresh,
            self.runners.follow_changes,
            self._timers.follow,
            Leftovers(self.state_client).delete,
        )

    def publish_executions(self) -> None:
        """Publish the executions that run here, for other workers."""
        remote.publish_executions(self.state_client, self.host.id, self._summary())

    def live_executions(self) -> remote.Summary:
        """The executions that run in any worker, with the worker's id as `worker`."""
        here = {name: one | {"worker": self.host.id} for name, one in self._summary().items()}
        return remote.executions_elsewhere(self.state_client, self.host) | here

    def abort_execution(self, execution_id: str) -> None:
        """Interrupt an execution, in whichever worker it runs."""
        live = self.live.find(execution_id)
        if live is not None:
            live.abort()
        else:
            remote.ask_to_abort(self.state_client, execution_id)

    def listen_for_aborts(self, stopping: threading.Event) -> None:
        """Abort the executions here that other workers ask to abort, until `stopping` is set."""

        def abort(execution_id: str) -> None:
            live = self.live.find(execution_id)
            if live is not None:
                live.abort()

        remote.listen_for_aborts(self.host.url, abort, stopping)

    def user_option(self, name: str) -> str | None:
        """An option that a user set with RG.CONFIGSET."""
        return self.options.users_own(name)

    def start_timer(self, seconds: float, function: Callable[[], Any], key: str | None) -> None:
        """Call a function every `seconds`; with a key the timer is stored in Redis.

        Raises:
            GearsError: the function cannot be stored.
        """
        self._timers.start(seconds, function, key)

    def slot_released(self, execution: LiveExecution | None) -> contextlib.AbstractContextManager[None]:
        """Let another execution use this one's slot inside the block."""
        return self.slots.released(execution)

    def _summary(self) -> remote.Summary:
        return {
            execution.id: {
                "status": execution.status,
                "seconds": round(execution.seconds, 1),
                "registration": execution.registration_id,
                "session": execution.session_id,
                "registered": execution.session,
                "steps": describe_steps(execution.steps),
            }
            for execution in self.live.all()
        }

    def execute_script(self, source: str, session_id: str, execution: LiveExecution) -> Script:
        """Execute a gear script; returns what it asked for, of which nothing has begun.

        Raises:
            GearsError: the script raised. The text is RedisGears' reply.
        """
        script = Script(session_id)
        context = Context(self, script, session_id, execution)

        def work() -> None:
            exec(compile(source, SCRIPT_FILE_NAME, "exec"), script_globals())  # noqa: S102 - the user's own gear

        with entered(context):
            try:
                execution.perform(work)
            except ServerAwayError:
                raise
            except ExecutionAbortedError:
                raise GearsError("execution aborted") from None
            except BaseException as error:
                raise GearsError(error_text(error, with_traceback=self._chain_options().tracebacks)) from error
            finally:
                script.ended = True
        return script

    def execute(
        self,
        context: Context,
        draft: Draft,
        records: Callable[[], Iterable[Any]],
        execution: LiveExecution | None = None,
    ) -> tuple[str, Outcome]:
        """Execute a registration once, in this thread; returns the execution's id and its outcome."""
        execution = execution or self.new_execution(draft.id, draft.steps)
        context.execution, context.future = execution, None
        with self.live.hold(execution):
            try:
                outcome = self._perform(context, execution, records, draft.steps)
            finally:
                context.forget_changes()
            execution.end(outcome.status)
        return execution.id, outcome

    def run(self, execution: LiveExecution, run: Run, session_id: str | None) -> Outcome:
        """Run what a script asked for, in this thread."""
        context = Context(self, session_id=session_id, execution=execution)
        execution.steps = run.steps
        reader = READERS[run.reader].run
        if reader is None:
            raise GearsError("Given reader do not support run or not exists")
        with entered(context), self.live.hold(execution):
            records = partial(reader, partial(_send, context), run.argument, run.keywords)
            outcome = self._perform(context, execution, records, run.steps)
            execution.end(outcome.status)
        if not run.future.cancelled():
            run.future.set_result([outcome.results, outcome.errors])
        return outcome

    def run_unblocking(self, run: Run, session_id: str | None, session: SessionSummary | None = None) -> str:
        """Run in a thread of its own, as soon as a slot is free; returns the execution's id at once.

        Args:
            run: What to run.
            session_id: The session whose functions run.
            session: That session, if it has registrations.
        """
        execution = self.new_execution(steps=run.steps)
        execution.session = session
        keep = self.options.number("MaxExecutions")
        created = fields_of(execution.id, "created", self.host.id, None, run.steps)
        save_unregistered(self.state_client, created, keep=keep)

        def work() -> None:
            with self.live.hold(execution):
                try:
                    with self.slots.held(execution):
                        outcome = self.run(execution, run, session_id)
                except ExecutionAbortedError:
                    outcome = Outcome(status="aborted")
                    _fail(run, "execution aborted")
                except BaseException as error:  # noqa: BLE001 - it becomes the outcome
                    outcome = Outcome(errors=[error_text(error, with_traceback=False)])
                    _fail(run, outcome.errors[0])
                try:
                    ended = fields_of(execution.id, outcome.status, self.host.id, outcome, run.steps)
                    save_unregistered(self.state_client, ended, keep=keep)
                except redis.RedisError:
                    logger.exception("the outcome of execution %s could not be stored", execution.id)

        threading.Thread(target=work, name=f"execution-{execution.id}", daemon=True).start()
        return execution.id

    def run_nested(self, run: Run) -> None:
        """Start a run that code inside an execution asked for. The run's future gets the results."""
        with own_server():
            around = current()
            session = None if around.execution is None else around.execution.session
            self.run_unblocking(run, around.session_id, session)

    def register(
        self, session: Session, drafts: list[Draft], replaced: Callable[[registrations.Sessions], Session | None]
    ) -> None:
        """Store a script's registrations and start running them; `replaced` is that of save_session()."""
        registrations.save_session(self.state_client, session, drafts, replaced)
        self.runners.synchronize()

    def register_now(self, draft: Draft, session_id: str | None) -> None:
        """Add a registration to the session of running gear code, and start running it.

        Raises:
            GearsError: the trigger's name is taken, or others change the session at the same time.
        """
        with own_server():
            sessions = registrations.load_sessions(self.state_client)
        session = sessions.get(session_id or "")
        drafts = [] if session is None else list(registrations.load_code(self.state_client, session).values())
        new = registrations.new_session(session_id or "", None, (), [draft], database=database_of(self.raw_client))
        if session is not None:
            new = replace(session, registrations=(*session.registrations, *new.registrations))

        def replaced(now: registrations.Sessions) -> Session | None:
            if now.get(new.id) != session:
                raise GearsError("the session was changed while the gear registered: try again")
            registrations.check_triggers([draft], list(now.values()))
            return None

        self.register(new, [*drafts, draft], replaced)

    def run_hooks(self, words: Sequence[bytes], *, in_place: bool) -> list[Any] | None:
        """Run the hooks of a command that gear code sends; returns its reply in a list, or None if it has none.

        Raises:
            GearsError: there are hooks, and they cannot run in place, as inside of an atomic block.
        """
        hooks = self.runners.hooks_on(words)
        if not hooks:
            return None
        if not in_place:
            raise GearsError(CANNOT_WAIT)
        following = tuple(hook.draft.id for hook in hooks[1:])
        hooked = HookedCommand(words[0].decode(errors="replace"), following, None)
        return [self._run_in_place(hooks[0], words, hooked)]

    def call_next(self, hooked: HookedCommand, words: Sequence[bytes]) -> Any:
        """Run the next hook of a command, or have it executed; returns the reply as gear code gets it."""
        if hooked.next_hooks:
            hook = self.hook(hooked.next_hooks[0])
            following = replace(hooked, next_hooks=hooked.next_hooks[1:])
            return self._run_in_place(hook, [hooked.name.encode(), *words], following)
        if hooked.call_id is None:
            return from_redis(current().command(hooked.name, *words))
        return from_redis(current().command("EDGE.CALL", hooked.call_id, *words))

    def run_trigger(self, words: Sequence[bytes]) -> Any:
        """Run a sync trigger in place; returns the reply of RG.TRIGGER as gear code gets it."""
        found = self.runners.trigger(words[1].decode(errors="replace"))
        if found is None:
            raise GearsError("ERR subcommand not found")
        return self._run_in_place(found, words[1:], None)

    def hook(self, registration_id: str) -> Trigger:
        """The hook of a registration, which may have been registered a moment ago.

        Raises:
            GearsError: it does not run in this worker.
        """
        found = self.runners.hook(registration_id)
        if found is None:
            self.runners.follow_changes()
            found = self.runners.hook(registration_id)
        if found is None:
            raise GearsError(
                f"ERR Could not run the hook of registration {registration_id} in worker {self.host.id}: what it "
                "requires is being installed there, or lastError in RG.DUMPREGISTRATIONS has the reason"
            )
        return found

    def _run_in_place(self, found: Trigger, words: Sequence[bytes], hooked: HookedCommand | None) -> Any:
        """Run a trigger or hook for gear code, in its thread; returns the reply as gear code gets it."""
        if found.draft.mode != "sync" and (hooked is None or hooked.call_id is None):
            raise GearsError(CANNOT_WAIT)
        around = current()
        if around.depth >= MAX_DEPTH:
            raise GearsError(f"hooks and triggers call each other more than {MAX_DEPTH} levels deep")
        depth, can_wait = around.depth + 1, not _in_event_loop()
        context = Context(self, hooked=hooked, depth=depth, quiet=around.quiet, can_wait=can_wait)
        outcome = found.run(context, self.new_execution(found.draft.id, found.draft.steps), words)
        found.count(outcome)
        try:
            return reply_for_gear(reply_of(outcome) if hooked is None else hook_reply_of(outcome))
        except CommandError as error:
            raise (NestedError if around.depth else GearsError)(str(error)) from None

    def pause(self, registration_id: str, reason: str | None = None) -> None:
        """Pause a registration from inside its own runner, which ends by itself."""
        if reason is not None:  # before the pause: who sees the pause will read the reason
            logger.error("registration %s: %s", registration_id, reason)
            self.report(registration_id, reason)
        registrations.set_paused(self.state_client, [registration_id], paused=True)
        self.runners.forget(registration_id)

    def pause_code(self, draft: Draft, reason: str) -> None:
        """Pause all registrations with the same code as this one, from inside its own runner."""
        ids = {draft.id, *self.runners.stop_same_code(draft)}
        logger.error("registrations %s: %s", ", ".join(sorted(ids)), reason)
        for registration_id in ids:
            self.report(registration_id, reason)
        registrations.set_paused(self.state_client, sorted(ids), paused=True)
        for registration_id in ids:
            self.runners.forget(registration_id)

    def abort(self, registration_id: str) -> None:
        """Stop a registration in all workers until it is unpaused; from inside its own runner, which ends by itself."""
        registrations.set_aborted(self.state_client, registration_id)
        self.runners.forget(registration_id)

    def report(self, registration_id: str, reason: str) -> None:
        """Show in lastError why a registration cannot run."""
        statistics.report(self.state_client, registration_id, reason)

    def _perform(
        self,
        context: Context,
        execution: LiveExecution,
        records: Callable[[], Iterable[Any]],
        steps: tuple[Any, ...],
    ) -> Outcome:
        options, session_id = self._chain_options(), context.session_id

        def work() -> Outcome:
            if options.profile and session_id is not None:
                return self.profiles.run(session_id, lambda: run_chain(records, steps, options))
            return run_chain(records, steps, options)

        try:
            return execution.perform(work)
        except ExecutionAbortedError:
            return Outcome(status="aborted")
        except GearsForceStopped as error:  # it struck before the first step or after the last
            return Outcome(errors=[error_text(error, with_traceback=options.tracebacks)])

    def _chain_options(self) -> ChainOptions:
        return ChainOptions(
            tracebacks=bool(self.options.number("PythonAttemptTraceback")),
            profile=bool(self.options.number("ProfileExecutions")),
        )


def _send(context: Context, *words: Any) -> Any:
    """Send a command for a reader. An error is that of Redis alone, without a traceback through the client library."""
    try:
        return context.command(*words)
    except redis.ResponseError as error:
        raise GearsError(str(error)) from None


def _in_event_loop() -> bool:
    """Whether this thread runs an event loop: then it cannot wait for a coroutine of the same loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _fail(run: Run, reason: str) -> None:
    """Let code that waits for a run's results raise."""
    with contextlib.suppress(InvalidStateError):  # the run was cancelled, or has ended
        run.future.set_exception(GearsError(reason))
