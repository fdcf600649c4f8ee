"""Which cameras' gears are paused or fail."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

import redis

from rededge_nb import schema
from rededge_nb.analytics.scene_events import Fields
from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.registrations import Registration
from rededge_nb.edge.gears.state.statistics import CANNOT_RUN

OK: Final = "ok"
PAUSED: Final = "paused"
FAILING: Final = "failing"
FAILING_S: Final = 5.0
"""A gear counts as failing after it has only tried again for so long: one failure is often repaired by the next try."""
_RETRYING: Final = b"WAITING_FOR_RETRY_ON_FAILURE"


class GearWatch:
    """Looks at the registrations.

    Args:
        client: Of the database with the workers' state; its replies are as Redis sends them.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._version: bytes | None = None
        self._registrations: list[Registration] = []
        self._failing_since: dict[str, float] = {}
        """By registration."""

    def look(self, cameras: Iterable[str]) -> Mapping[str, tuple[str, str]]:
        """By camera the state of its gear, and why it fails. Cameras without a gear are left out."""
        version = registrations.current_version(self._client)
        if version != self._version:
            self._registrations = [
                one
                for one in registrations.all_registrations(registrations.load_sessions(self._client))
                if one.reader == "StreamReader"
            ]
            self._version = version
        pipeline = self._client.pipeline(transaction=False)
        for one in self._registrations:
            key = key_names.registration_keys(self._client, one.id)["statistics"]
            pipeline.hmget(key, "status", "last_error")
        states = dict(zip([one.id for one in self._registrations], pipeline.execute(), strict=True))
        self._failing_since = {known: at for known, at in self._failing_since.items() if known in states}
        by_stream = {str(one.arguments.get("stream", "")): one for one in self._registrations}
        found: dict[str, tuple[str, str]] = {}
        for camera in cameras:
            registration = by_stream.get(schema.frames_key(camera)) or by_stream.get("camera:*")
            if registration is not None:
                found[camera] = self._state(registration, *states[registration.id])
        return found

    def _state(self, registration: Registration, status: bytes | None, last_error: bytes | None) -> tuple[str, str]:
        error = (last_error or b"").decode(errors="replace").strip()
        if registration.stopped:
            return PAUSED, error.splitlines()[-1] if registration.aborted and error else ""
        if status != _RETRYING and not error.startswith(CANNOT_RUN):
            self._failing_since.pop(registration.id, None)
            return OK, ""
        since = self._failing_since.setdefault(registration.id, time.monotonic())
        return (FAILING, error.splitlines()[-1]) if error and time.monotonic() - since >= FAILING_S else (OK, "")


def gear_event(before: str, state: str, reason: str, now_ms: int) -> Fields:
    """The event of a gear whose state has changed."""
    kinds: dict[str, tuple[str, str]] = {PAUSED: ("gear_paused", "warning"), FAILING: ("gear_failing", "alarm")}
    kind, severity = kinds.get(state, ("gear_unpaused" if before == PAUSED else "gear_works", "info"))
    event: Fields = {"kind": kind, "severity": severity, "ts": now_ms}
    return event | ({"reason": reason[:1000]} if reason else {})
