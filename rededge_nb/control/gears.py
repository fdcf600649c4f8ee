"""Gears: register, list, pause and unregister them with RG.* commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import redis

from rededge_nb.errors import GearError

CANNOT_RUN = "cannot run on worker"
"""How `last_error` begins where a worker could not start a registration; as in edge/gears/state/statistics.py."""

_CAMERAS = "camera:*"
_CELL = re.compile(r"Cell In\[\d+\]")


@dataclass(frozen=True)
class RegistrationInfo:
    """A registered gear, as RG.DUMPREGISTRATIONS describes it.

    Attributes:
        id: Id of the registration.
        session: Id of the session that registered it.
        stream: Key of its stream, or a prefix with `*` at the end.
        status: `OK`, or for example `PAUSED`.
        triggered: Number of executions; `succeeded`, `failed` and `aborted` count their results.
        average_ms: Average duration of an execution in milliseconds.
        lag_ms: Average milliseconds from the arrival of an entry until its batch was processed.
        last_error: The newest error; empty if there was none. A line of a gear that a cell has registered is called
            `Cell In[5], line 3`.
        trims: Whether it deletes the entries of its stream that it has processed.
    """

    id: str
    session: str
    session_description: str
    reader: str
    description: str
    stream: str
    status: str
    triggered: int
    succeeded: int
    failed: int
    aborted: int
    average_ms: float
    lag_ms: float
    last_error: str
    trims: bool

    @property
    def cannot_run(self) -> bool:
        """Whether the last error is the reason why a worker could not start it."""
        return self.last_error.startswith(CANNOT_RUN)


def register_gear(
    client: redis.Redis, script: str, *, session: str, description: str = "", keep_unchanged: bool = False
) -> None:
    """Register a gear script under a session id. It replaces the registrations that the session has.

    Args:
        client: Connected to the server.
        script: Text of the script.
        session: Id of the session.
        description: Description of the session.
        keep_unchanged: Do not interrupt the registrations that the script makes again with the same arguments.

    Raises:
        GearError: the script raised an exception, or the server refused it. The message has the script's traceback.
    """
    words = ["RG.PYEXECUTE", script, "ID", session, "DESCRIPTION", description, "UPGRADE"]
    words += ["KEEP_UNCHANGED"] if keep_unchanged else []
    try:
        client.execute_command(*words)
    except redis.ResponseError as error:
        raise GearError(f"the gear {session!r} was not registered:\n{readable_error(str(error))}") from error


def register_gear_file(client: redis.Redis, path: Path, *, session: str, description: str = "") -> None:
    """Register a gear script from a file; see `register_gear`.

    Raises:
        GearError: the file cannot be read, the script raised an exception, or the server refused it.
    """
    register_gear(client, read_script(path), session=session, description=description)


def read_script(path: Path) -> str:
    """Read the text of a gear script.

    Raises:
        GearError: the file cannot be read.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise GearError(f"the gear script {path} cannot be read: {error}") from error


def list_registrations(client: redis.Redis) -> list[RegistrationInfo]:
    """Return all registrations, sorted by stream."""
    found = [_registration(entry) for entry in client.execute_command("RG.DUMPREGISTRATIONS")]
    return sorted(found, key=lambda registration: (registration.stream, registration.id))


def find_registrations(client: redis.Redis, name: str) -> list[RegistrationInfo]:
    """Return the registration with this id, or all registrations of the session with this id.

    Raises:
        GearError: there is no such registration.
    """
    registrations = list_registrations(client)
    found = [each for each in registrations if name in (each.id, each.session)]
    if not found:
        known = ", ".join(sorted({each.session or each.id for each in registrations})) or "none"
        raise GearError(f"no gear {name!r} is registered, as registration or session; registered are: {known}")
    return found


def on_one_stream(registrations: Iterable[RegistrationInfo]) -> list[tuple[RegistrationInfo, RegistrationInfo]]:
    """Find pairs of gears that read the same stream. As in RedisGears, only one of two gets its entries."""
    readers = [each for each in registrations if each.reader == "StreamReader"]
    return [pair for pair in combinations(readers, 2) if _overlap(pair[0].stream, pair[1].stream)]


def trimming_warnings(client: redis.Redis, session: str) -> list[str]:
    """A sentence for each registration of a session that deletes the frames or detections of a camera.

    RedisGears deletes the entries that a gear has processed, unless the gear says otherwise.
    """
    return [
        f"warning: this gear deletes the entries of {each.stream} that it has processed, so that nobody else can read "
        "them; to keep them, register it with trimStream=False"
        for each in list_registrations(client)
        if each.session == session and each.trims and _overlap(each.stream, _CAMERAS)
    ]


def unregister_gear(client: redis.Redis, registration_id: str) -> None:
    """Remove a registration. The batch in progress is completed.

    Raises:
        GearError: there is no registration with this id.
    """
    _on_registration(client, "RG.UNREGISTER", registration_id)


def pause_gear(client: redis.Redis, registration_id: str) -> None:
    """Pause a registration. The batch in progress is completed; new entries wait in the stream.

    Raises:
        GearError: there is no registration with this id.
    """
    _on_registration(client, "RG.PAUSEREGISTRATIONS", registration_id)


def unpause_gear(client: redis.Redis, registration_id: str) -> None:
    """Let a paused registration continue where it stopped.

    Raises:
        GearError: there is no registration with this id.
    """
    _on_registration(client, "RG.UNPAUSEREGISTRATIONS", registration_id)


def _overlap(one: str, other: str) -> bool:
    """Whether two registrations can read the same stream. Each names a key, or a prefix with `*` at the end."""
    if one.endswith("*"):
        return other.startswith(one[:-1]) or (other.endswith("*") and one.startswith(other[:-1]))
    return one == other or (other.endswith("*") and one.startswith(other[:-1]))


def _on_registration(client: redis.Redis, command: str, registration_id: str) -> None:
    try:
        client.execute_command(command, registration_id)
    except redis.ResponseError as error:
        raise GearError(f"{command} {registration_id}: {error}") from error


def readable_error(text: str) -> str:
    """Turn an error of RedisGears, which is the repr of a list of lines, into the traceback that it contains."""
    if not text.startswith("["):
        return text
    try:
        lines = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return "".join(str(line) for line in lines).rstrip()


def _registration(entry: list[object]) -> RegistrationInfo:
    fields = _fields(entry)
    data = _fields(fields["RegistrationData"])
    private = str(fields.get("PD") or "")
    session_description = _quoted_in(private, "sessionDescription")
    arguments = _fields(data["args"])
    return RegistrationInfo(
        id=str(fields["id"]),
        session=_quoted_in(private, "sessionName"),
        session_description=session_description,
        reader=str(fields["reader"]),
        description=str(fields["desc"] or ""),
        stream=str(arguments.get("stream", "")),
        status=str(data.get("status", "")),
        triggered=int(data["numTriggered"]),
        succeeded=int(data["numSuccess"]),
        failed=int(data["numFailures"]),
        aborted=int(data["numAborted"]),
        average_ms=float(data.get("avgRunDurationMS") or 0),
        lag_ms=float(data.get("avgEstimatedLagMS") or 0),
        last_error=_with_name_of_cell(readable_error(str(data["lastError"] or "")), session_description),
        trims=bool(arguments.get("trimStream")),
    )


def _with_name_of_cell(error: str, session_description: str) -> str:
    """A traceback that names the cell that has registered the gear: `%%gear` gives its name as description."""
    if not _CELL.fullmatch(session_description):
        return error
    return error.replace('File "<string>", line', f"{session_description}, line")


def _quoted_in(private: str, name: str) -> str:
    """Return a value from the field PD, which looks like a dict but is neither JSON nor Python."""
    found = re.search(rf"'{name}':'([^']*)'", private)
    return found.group(1) if found else ""


def _fields(flat: Any) -> dict[str, Any]:
    decoded = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in flat]
    return dict(zip(decoded[::2], decoded[1::2], strict=True))
