"""Registrations, and the sessions that they belong to, as Redis stores them.

A session is what one RG.PYEXECUTE created: one globals dict, and its registrations. It is stored in two keys and in a
copy that survives FLUSHALL (vault.py): its description as JSON, and its code, which is the callbacks with the globals
that they use (stored_code.py). Who may write these keys can run code in the workers, like somebody who may call
RG.PYEXECUTE: grant access to `rededge:*` to the same people.

All sessions have one version number. Every change is a transaction that watches it, so that a trigger's name is never
given twice, and an upgrade replaces a session in one step. Workers read the number to find out what has changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import redis

from rededge_nb.edge.client import key_names, pairs
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft, Step
from rededge_nb.edge.gears.runtime.live import SessionSummary
from rededge_nb.edge.gears.state import hooks, stored_code, vault


@dataclass(frozen=True)
class Registration:
    """A registration without its code."""

    id: str
    session_id: str
    reader: str
    description: str | None
    mode: str
    arguments: dict[str, Any]
    paused: bool = False
    aborted: bool = False
    """Whether it failed with onFailedPolicy abort. Nothing runs until it is unpaused."""
    database: int = 0
    """The database of clients, from which it gets keyspace events."""

    @property
    def stopped(self) -> bool:
        """Whether no worker may run it."""
        return self.paused or self.aborted

    @property
    def hook(self) -> str | None:
        """Its hook, for the switchboard; None if it has none."""
        if self.stopped and self.reader == "StreamReader":
            return None  # clients do not wait for a gear that somebody has paused
        return hooks.hook_spec(self.reader, self.mode, self.arguments, self.database)


@dataclass(frozen=True)
class Session:
    """What one RG.PYEXECUTE registered."""

    id: str
    description: str | None
    python: str
    """Version, as major.minor, of the Python that stored the code."""
    requirements: tuple[str, ...]
    registrations: tuple[Registration, ...]
    format: int = 0
    """How the code is stored: stored_code.FORMAT of the version that registered it."""

    def json(self) -> bytes:
        """The session as it is stored."""
        return json.dumps(asdict(self)).encode()


Sessions = dict[str, Session]


def current_version(client: redis.Redis) -> bytes:
    """The version of the sessions. If FLUSHALL has deleted them, they are written again first."""
    version: bytes | None = client.execute_command("GET", key_names.sessions_version(client))
    return version if version is not None else _restore(client)


def load_sessions(client: redis.Redis) -> Sessions:
    """All sessions, by id."""
    current_version(client)
    flat = client.execute_command("HGETALL", key_names.sessions(client))
    return {name.decode(): _session_from_json(text) for name, text in pairs(flat).items()}


def all_registrations(sessions: Sessions) -> list[Registration]:
    """The registrations of all sessions."""
    return [registration for session in sessions.values() for registration in session.registrations]


def summary(session: Session) -> SessionSummary:
    """What an execution remembers of its session."""
    return {
        "id": session.id,
        "description": session.description,
        "requirements": list(session.requirements),
        "registrations": [one.id for one in session.registrations],
    }


def load_code(client: redis.Redis, session: Session) -> dict[str, Draft]:
    """A session's registrations with their callbacks, by id; one globals dict for all of them.

    Raises:
        GearsError: they were stored by another version of Python or by a newer one of this package, or are gone.
        Exception: whatever is raised while the code is loaded, such as ImportError.
    """
    stored_code.check_loadable(session.format, session.python)
    key = key_names.session_code(client, session.id)
    stored = client.execute_command("GET", key)
    if stored is None:
        raise GearsError(f"its code is gone ({key})")
    code = stored_code.loads(stored)
    if isinstance(code, tuple):  # format 0
        return {draft.id: draft for draft in code}
    known = {registration.id: registration for registration in session.registrations}
    return {
        registration_id: _draft(known[registration_id], content)
        for registration_id, content in code.items()
        if registration_id in known
    }


def find_unchanged(session: Session, drafts: Iterable[Draft]) -> dict[str, Registration]:
    """The registrations of a session that a script has made again as they were, by the id of the new one."""
    present = {_what(one): one for one in session.registrations}
    return {draft.id: found for draft in drafts if (found := present.pop(_what(draft), None)) is not None}


def trigger_names(registered: Iterable[Registration | Draft]) -> set[str]:
    """The names of triggers; a hook has none, although RG.DUMPREGISTRATIONS shows its command as one."""
    return {
        str(one.arguments["trigger"])
        for one in registered
        if one.reader == "CommandReader" and "hook" not in one.arguments
    }


def check_triggers(drafts: Iterable[Draft], others: Iterable[Session]) -> None:
    """Refuse names of triggers that other sessions have.

    Raises:
        GearsError: one is taken.
    """
    if trigger_names(drafts) & trigger_names(one for session in others for one in session.registrations):
        raise GearsError("trigger already registered")


def new_session(
    session_id: str,
    description: str | None,
    requirements: Iterable[str],
    drafts: Iterable[Draft],
    kept: Iterable[Registration] = (),
    *,
    database: int = 0,
) -> Session:
    """The session with the registrations that a script has made; those in `kept` stay paused if they were.

    `database` is that of clients.
    """
    known = {one.id: one for one in kept}
    return Session(
        id=session_id,
        description=description,
        python=stored_code.python_version(),
        format=stored_code.FORMAT,
        requirements=tuple(requirements),
        registrations=tuple(
            known.get(draft.id)
            or Registration(
                draft.id, session_id, draft.reader, draft.description, draft.mode, draft.arguments, database=database
            )
            for draft in drafts
        ),
    )


def save_session(
    client: redis.Redis,
    session: Session,
    drafts: Iterable[Draft],
    replaced: Callable[[Sessions], Session | None],
) -> None:
    """Store a session and its code in one step, and set its hooks.

    Args:
        client: A connection to the server.
        session: The session.
        drafts: Its registrations, with their code.
        replaced: Gets all sessions and returns the one to remove, or raises an error that this function passes on.

    Raises:
        GearsError: The switchboard refuses a hook. Nothing of the session is stored then.
    """
    stored = stored_code.dumps({draft.id: _code_of(draft) for draft in drafts})

    def edit(sessions: Sessions) -> Sessions:
        gone = replaced(sessions)
        kept = {name: other for name, other in sessions.items() if gone is None or name != gone.id}
        return kept | {session.id: session}

    try:
        _change(client, edit, {session.id: stored})
    except redis.ResponseError as error:
        for registration in session.registrations:
            remove_registration(client, registration.id)
        raise GearsError(str(error)) from error


def announce_hooks(client: redis.Redis, sessions: Sessions) -> None:
    """Set the hooks of all registrations again: an earlier version did not, or FLUSHALL has deleted them.

    Nothing is done if somebody changes the sessions at the same time; whoever follows their version calls this again.

    Raises:
        redis.ResponseError: The switchboard does not know hooks: it is that of an earlier version.
    """
    specs = _hooks_of(sessions)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(key_names.sessions_version(client))
        if load_sessions(client) != sessions:
            return
        stale = hooks.stored_hooks(client) - specs.keys()
        pipeline.multi()
        for registration_id in stale:
            hooks.queue_removal(pipeline, registration_id)
        for registration_id, spec in specs.items():
            hooks.queue_hook(pipeline, registration_id, spec)
        if stale or specs:
            try:
                pipeline.execute()
            except redis.WatchError:
                return


def remove_registration(client: redis.Redis, registration_id: str) -> bool:
    """Remove one registration, and with the last one its session; False if there is none of that id."""
    found = False

    def edit(sessions: Sessions) -> Sessions:
        nonlocal found
        edited = {}
        for name, session in sessions.items():
            kept = tuple(other for other in session.registrations if other.id != registration_id)
            found = found or len(kept) < len(session.registrations)
            if kept:
                edited[name] = replace(session, registrations=kept)
        return edited

    _change(client, edit, {})
    return found


def set_paused(client: redis.Redis, registration_ids: Iterable[str], *, paused: bool) -> None:
    """Pause or unpause registrations, in one step. Unpausing continues aborted ones, too."""
    _edit_each(
        client,
        registration_ids,
        lambda one: replace(one, paused=paused, aborted=one.aborted and paused),
    )


def set_aborted(client: redis.Redis, registration_id: str) -> None:
    """Store that a registration failed with onFailedPolicy abort."""
    _edit_each(client, [registration_id], lambda one: replace(one, aborted=True))


def _edit_each(
    client: redis.Redis, registration_ids: Iterable[str], changed: Callable[[Registration], Registration]
) -> None:
    """Change registrations in one step."""
    ids = set(registration_ids)

    def edit(sessions: Sessions) -> Sessions:
        return {
            name: replace(
                session,
                registrations=tuple(
                    changed(registration) if registration.id in ids else registration
                    for registration in session.registrations
                ),
            )
            for name, session in sessions.items()
        }

    _change(client, edit, {})


def _change(client: redis.Redis, edit: Callable[[Sessions], Sessions], code: dict[str, bytes]) -> None:
    """Replace the sessions by what `edit` returns for them, in one step, and again if others have changed them.

    Args:
        client: A connection to the server.
        edit: Makes the new sessions. It may be called several times.
        code: Code of sessions that are new, by session's id. All others keep theirs.
    """
    while True:
        before = load_sessions(client)
        with client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key_names.sessions_version(client))
            if load_sessions(client) != before:
                continue
            after = edit(before)
            gone = {one.id for one in all_registrations(before)} - {one.id for one in all_registrations(after)}
            old_hooks, new_hooks = _hooks_of(before), _hooks_of(after)
            changed = {name: one for name, one in after.items() if one != before.get(name) or name in code}
            pickled = {name: code.get(name) or _code(client, name) for name in changed}
            pipeline.multi()
            for name in before.keys() - after.keys():
                pipeline.execute_command("HDEL", key_names.sessions(client), name)
                pipeline.execute_command("DEL", key_names.session_code(client, name))
                vault.queue_removal(pipeline, name)
            for name, session in changed.items():
                _queue_session(pipeline, session, pickled[name])
                vault.queue_store(pipeline, name, session.json(), pickled[name])
            for registration_id in gone:
                pipeline.execute_command("DEL", *key_names.registration_keys(client, registration_id).values())
            for registration_id in old_hooks.keys() - new_hooks.keys():
                hooks.queue_removal(pipeline, registration_id)
            for registration_id, spec in new_hooks.items():
                if old_hooks.get(registration_id) != spec:
                    hooks.queue_hook(pipeline, registration_id, spec)
            pipeline.execute_command("INCR", key_names.sessions_version(client))
            try:
                pipeline.execute()
            except redis.WatchError:
                continue
            return


def _hooks_of(sessions: Sessions) -> dict[str, str]:
    """The hooks of all registrations, by id."""
    return {one.id: one.hook for one in all_registrations(sessions) if one.hook is not None}


def _restore(client: redis.Redis) -> bytes:
    """Write the sessions' keys from the vault, unless another worker does; returns their version."""
    stored = [(_session_from_json(description), code) for description, code in vault.load_all(client)]
    numbers = [int(one.id.rpartition("-")[2]) for session, _ in stored for one in session.registrations]
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(key_names.sessions_version(client))
        version: bytes | None = client.execute_command("GET", key_names.sessions_version(client))
        if version is not None:
            return version
        # the time in milliseconds, so that no version number is used twice
        version = str(int(time.time() * 1000)).encode()
        pipeline.multi()
        for session, code in stored:
            _queue_session(pipeline, session, code)
        if numbers:
            pipeline.execute_command("SET", key_names.next_registration(client), max(numbers) + 1)
        pipeline.execute_command("SET", key_names.sessions_version(client), version)
        try:
            pipeline.execute()
        except redis.WatchError:
            return current_version(client)
    return version


def _what(one: Registration | Draft) -> str:
    """What a registration does, apart from its code."""
    return json.dumps([one.reader, one.description, one.mode, one.arguments], sort_keys=True)


def _code(client: redis.Redis, session_id: str) -> Any:
    return client.execute_command("GET", key_names.session_code(client, session_id))


def _queue_session(pipeline: Any, session: Session, code: bytes) -> None:
    pipeline.execute_command("SET", key_names.session_code(pipeline, session.id), code)
    pipeline.execute_command("HSET", key_names.sessions(pipeline), session.id, session.json())


def _session_from_json(text: bytes) -> Session:
    """A stored session. Format 0 has no number; fields of later formats are left out."""
    content = json.loads(text)
    content["registrations"] = tuple(Registration(**_known(Registration, one)) for one in content["registrations"])
    content["requirements"] = tuple(content.get("requirements", ()))
    return Session(**_known(Session, content))


def _known(kind: Any, content: dict[str, Any]) -> dict[str, Any]:
    return {field.name: content[field.name] for field in fields(kind) if field.name in content}


def _code_of(draft: Draft) -> dict[str, Any]:
    """What of a registration only stored code can hold, as plain data; the rest is in the session's JSON."""
    return {
        "steps": [(step.kind, step.callback, step.argument) for step in draft.steps],
        "on_registered": draft.on_registered,
        "on_unregistered": draft.on_unregistered,
    }


def _draft(registration: Registration, code: dict[str, Any]) -> Draft:
    return Draft(
        id=registration.id,
        reader=registration.reader,
        description=registration.description,
        mode=registration.mode,
        arguments=registration.arguments,
        steps=tuple(Step(kind, callback, argument) for kind, callback, argument in code["steps"]),
        on_registered=code["on_registered"],
        on_unregistered=code["on_unregistered"],
    )
