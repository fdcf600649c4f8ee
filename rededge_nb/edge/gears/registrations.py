"""Registrations: what a gear waits for and how it fared, and how both are kept in Redis.

A session is what one RG.PYEXECUTE created: one globals dict and its registrations. Its description is JSON; its code,
callbacks with the globals they use, is pickled by cloudpickle, as RedisGears does. Whoever may write these keys can
run code in the workers, like whoever may call RG.PYEXECUTE: grant `rededge:*` to neither less nor more people.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import cloudpickle
import redis

from rededge_nb.edge.gears.errors import GearsError
from rededge_nb.edge.gears.operations import Step

SESSIONS_KEY = "rededge:gears:sessions"
"""Hash of session id -> JSON description."""
VERSION_KEY = "rededge:gears:version"
"""Counter that grows with every change of the sessions; workers look at it."""
PAUSED_KEY = "rededge:gears:paused"
"""Set of the ids of paused registrations."""
NEXT_REGISTRATION_KEY = "rededge:gears:next_registration"
SHARD_ID = "0" * 40
"""The shard id outside a cluster."""
KEPT_EXECUTIONS = 100
"""Executions remembered per registration."""

Callback = TypeVar("Callback", bound=Callable[..., Any])


@dataclass(frozen=True)
class Draft:
    """A registration as the script made it, callbacks included."""

    id: str
    reader: str
    description: str | None
    mode: str
    arguments: dict[str, Any]
    steps: tuple[Step, ...]
    on_registered: Callable[[], Any] | None


@dataclass(frozen=True)
class Registration:
    """What is known of a registration without its code."""

    id: str
    session_id: str
    reader: str
    description: str | None
    mode: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Session:
    """One RG.PYEXECUTE with registrations."""

    id: str
    description: str | None
    python: str
    """Version of the Python that pickled the code."""
    registrations: tuple[Registration, ...]


def checked_callback(callback: Callback) -> Callback:
    """The callback, once it is known to outlive this process.

    Raises:
        GearsError: it holds on to something that cannot be stored.
    """
    try:
        cloudpickle.dumps(callback)
    except Exception as error:
        name = getattr(callback, "__name__", repr(callback))
        raise GearsError(f"Error occured when serialized a python callback, callback={name} error={error}") from error
    return callback


def next_registration_id(client: redis.Redis) -> str:
    """A new registration's id."""
    return f"{SHARD_ID}-{client.execute_command('INCR', NEXT_REGISTRATION_KEY) - 1}"


def code_key(session_id: str) -> str:
    """Key of a session's pickled code."""
    return f"rededge:gears:session:{session_id}:code"


def statistics_key(registration_id: str) -> str:
    """Key of a registration's counters."""
    return f"rededge:gears:registration:{registration_id}:statistics"


def executions_key(registration_id: str) -> str:
    """Key of the stream of a registration's last executions."""
    return f"rededge:gears:registration:{registration_id}:executions"


def load_sessions(client: redis.Redis) -> dict[str, Session]:
    """All sessions, by id."""
    flat = client.execute_command("HGETALL", SESSIONS_KEY)
    return {name.decode(): _session_from_json(text) for name, text in zip(flat[::2], flat[1::2], strict=True)}


def load_code(client: redis.Redis, session: Session) -> dict[str, Draft]:
    """A session's registrations with their callbacks, by id.

    Raises:
        GearsError: they were stored by another version of Python, or are gone.
    """
    if session.python != platform.python_version():
        raise GearsError(
            f"session {session.id} was registered under Python {session.python}, and this worker runs "
            f"{platform.python_version()}: register it again"
        )
    pickled = client.execute_command("GET", code_key(session.id))
    if pickled is None:
        raise GearsError(f"the code of session {session.id} is gone ({code_key(session.id)}): register it again")
    drafts: tuple[Draft, ...] = cloudpickle.loads(pickled)
    return {draft.id: draft for draft in drafts}


def save_session(
    client: redis.Redis, session_id: str, description: str | None, drafts: Iterable[Draft], *, replaces: Session | None
) -> Session:
    """Store a session and its code in one step, in place of the one it replaces."""
    drafts = tuple(drafts)
    session = Session(
        id=session_id,
        description=description,
        python=platform.python_version(),
        registrations=tuple(
            Registration(draft.id, session_id, draft.reader, draft.description, draft.mode, draft.arguments)
            for draft in drafts
        ),
    )
    pickled = cloudpickle.dumps(drafts)
    pipeline = client.pipeline(transaction=True)
    if replaces is not None:
        _queue_removal(pipeline, replaces, replaces.registrations)
    pipeline.execute_command("SET", code_key(session_id), pickled)
    pipeline.execute_command("HSET", SESSIONS_KEY, session_id, json.dumps(asdict(session)))
    pipeline.execute_command("INCR", VERSION_KEY)
    pipeline.execute()
    return session


def remove_registration(client: redis.Redis, session: Session, registration: Registration) -> None:
    """Remove one registration, and with the last one its session."""
    kept = tuple(other for other in session.registrations if other != registration)
    pipeline = client.pipeline(transaction=True)
    if kept:
        _queue_removal_of_one(pipeline, registration)
        shrunk = Session(session.id, session.description, session.python, kept)
        pipeline.execute_command("HSET", SESSIONS_KEY, session.id, json.dumps(asdict(shrunk)))
    else:
        _queue_removal(pipeline, session, (registration,))
    pipeline.execute_command("INCR", VERSION_KEY)
    pipeline.execute()


def load_paused(client: redis.Redis) -> set[str]:
    """Ids of the paused registrations."""
    return {registration_id.decode() for registration_id in client.execute_command("SMEMBERS", PAUSED_KEY)}


def set_paused(client: redis.Redis, registration_ids: Iterable[str], *, paused: bool) -> None:
    """Pause registrations, or let them go on, all in one step."""
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("SADD" if paused else "SREM", PAUSED_KEY, *registration_ids)
    pipeline.execute_command("INCR", VERSION_KEY)
    pipeline.execute()


def _queue_removal(pipeline: Any, session: Session, registrations: Iterable[Registration]) -> None:
    pipeline.execute_command("HDEL", SESSIONS_KEY, session.id)
    pipeline.execute_command("DEL", code_key(session.id))
    for registration in registrations:
        _queue_removal_of_one(pipeline, registration)


def _queue_removal_of_one(pipeline: Any, registration: Registration) -> None:
    pipeline.execute_command("DEL", statistics_key(registration.id), executions_key(registration.id))
    pipeline.execute_command("SREM", PAUSED_KEY, registration.id)


def _session_from_json(text: bytes) -> Session:
    fields = json.loads(text)
    fields["registrations"] = tuple(Registration(**registration) for registration in fields["registrations"])
    return Session(**fields)
