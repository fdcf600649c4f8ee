"""Writes the events that no frame can show: cameras that are silent and back, gears that are paused or fail, a full
memory or disk.

One worker does it, the one that holds a lease, once a second, in a thread of its own: a gear that hangs must not
silence the alarm. What was reported of a camera is in `camera:<id>:watched`, and changes in one transaction with the
event, so that a worker that dies neither loses an event nor writes it twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import redis

from rededge_nb import schema
from rededge_nb.analytics.alarms import AlarmChange, AlarmState, read_alarm_state, watch_silence
from rededge_nb.analytics.events import event_commands
from rededge_nb.analytics.rules import DEFAULT_SILENCE, SilenceRule
from rededge_nb.analytics.scene import parse_scene
from rededge_nb.analytics.scene_events import Fields
from rededge_nb.edge.client import COMMAND_TIMEOUT, even_if_full, key_names, worker_client
from rededge_nb.edge.client.shard import key_here
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.state.leases import Leases
from rededge_nb.edge.worker.gear_watch import OK, GearWatch, gear_event
from rededge_nb.edge.worker.server_watch import ServerWatch
from rededge_nb.edge.worker.silence import Signs, Silence, order, silence_of
from rededge_nb.errors import SceneError

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two looks."""
GAP_MS: Final = 5_000
"""After a longer time without a look, silence counts from the next one: the server was away, and cameras, too."""
_HOLDER, _LEASE = "watch", "watch of the cameras"


@dataclass
class _Watched:
    """What was reported of a camera."""

    silence: AlarmState = field(default_factory=AlarmState)
    gear: str = OK

    def to_text(self) -> str:
        return json.dumps({"silence": self.silence.to_data(), "gear": self.gear}, separators=(",", ":"))


class CameraWatch:
    """Watches the cameras of one shard while this worker holds the lease.

    Args:
        url: Address of the server.
        leases: Those of this worker.
        registrations: A client of the workers' state whose replies are as Redis sends them.
    """

    def __init__(self, url: str, leases: Leases, registrations: redis.Redis) -> None:
        self._client = worker_client(url, name="rededge-worker-watch", timeout=COMMAND_TIMEOUT)
        self._leases = leases
        self._newest: dict[str, str] = {}
        """The newest frame of each camera that is known."""
        self._silent_since: dict[str, int] = {}
        """Since when each camera was silent when it was looked at; a camera is not looked at before this can matter."""
        self._gears = GearWatch(registrations)
        self._server = ServerWatch(self._client)

    def look(self) -> None:
        """Look at all cameras once, and write events; called once a second."""
        if not self._leases.acquire(_HOLDER, _LEASE):
            self._newest.clear()
            self._silent_since.clear()
            return
        now_ms = _server_ms(self._client)
        floor_ms = self._floor(now_ms)
        self._server.look(now_ms)
        members: Any = self._client.smembers(key_here(self._client, schema.CAMERAS_KEY))
        cameras = sorted(member.decode(errors="replace") for member in members)
        for known in (self._newest, self._silent_since):
            for camera in set(known) - set(cameras):
                del known[camera]
        gears = self._gears.look(cameras)
        pipeline = self._client.pipeline(transaction=False)
        for camera in cameras:
            pipeline.mget(schema.scene_key(camera), schema.watched_key(camera))
        for camera, (scene, text) in zip(cameras, pipeline.execute(), strict=True):
            watched = _read(text)
            events = self._silence_events(camera, _silence_rules(scene or b""), watched, now_ms, floor_ms)
            state, reason = gears.get(camera, (watched.gear, ""))
            if state != watched.gear:
                events.append(gear_event(watched.gear, state, reason, now_ms))
                watched.gear = state
            if events:
                self._write(camera, text, watched, events, now_ms)

    def _floor(self, now_ms: int) -> int:
        """Since when somebody has been watching without a gap."""
        state = state_client(self._client)
        key = key_names.watch(state)
        known: Any = state.hmget(key, "at", "floor")
        at_ms, floor_ms = (int(value or 0) for value in known)
        if not -GAP_MS <= now_ms - at_ms <= GAP_MS:
            floor_ms = now_ms
        state.execute_command(*even_if_full(key, "HSET", key, "at", now_ms, "floor", floor_ms))
        return floor_ms

    def _silence_events(
        self, camera: str, rules: Sequence[SilenceRule], watched: _Watched, now_ms: int, floor_ms: int
    ) -> list[Fields]:
        limits = [rule.after for rule in rules if rule.enabled]
        silent_since = self._silent_since.get(camera)
        if not watched.silence.active():
            if not limits:
                return []
            if silent_since is not None and now_ms - silent_since < 1000 * min(limits):
                return []
        silence = silence_of(self._signs(camera), now_ms, floor_ms)
        self._silent_since.pop(camera, None)
        if silence.since_ms is not None:
            self._silent_since[camera] = silence.since_ms
        seconds = None if silence.since_ms is None else max(0, now_ms - silence.since_ms) / 1000
        changes, after = watch_silence(rules, watched.silence, now_ms, seconds)
        watched.silence = after
        return [_silence_event(change, silence) for change in changes]

    def _signs(self, camera: str) -> Signs:
        """What is in Redis about a camera. The newest frame is read only if it is another one: it has an image."""
        known, frames = self._newest.get(camera, ""), schema.frames_key(camera)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xrevrange(frames, min=f"({known}" if known else "-", count=1)
        pipeline.xlen(frames)
        pipeline.xrevrange(schema.detections_key(camera), count=1)
        pipeline.xrevrange(schema.errors_key(camera), count=1)
        pipeline.hmget(schema.capture_key(camera), "since_ms", "pace", "problem")
        pipeline.xrevrange(schema.captures_key(camera), count=1)
        newest, length, detections, errors, feeding, ended = pipeline.execute()
        self._newest[camera] = newest[0][0].decode() if newest else known if length else ""
        since, pace, problem = (value.decode(errors="replace") if value else "" for value in feeding)
        error = _fields(errors)
        at_decoding = error.get("step") == "read"
        return Signs(
            frame=self._newest[camera],
            detected=_fields(detections).get(schema.REF, ""),
            undecodable=error.get(schema.REF, "") if at_decoding else "",
            undecodable_at=order(errors[0][0].decode())[0] if at_decoding else 0,
            undecodable_reason=error.get(schema.REASON, ""),
            feeding_since=int(since) if since.isdigit() else None,
            pace=pace,
            problem=problem,
            ended_at=_fields(ended).get("last_id", ""),
            ended_problem=_fields(ended).get("problem", ""),
        )

    def _write(self, camera: str, text: bytes | None, watched: _Watched, events: list[Fields], now_ms: int) -> None:
        """Write events and what was reported in one transaction, unless another worker has done it meanwhile."""
        watched_key, events_key = schema.watched_key(camera), schema.events_key(camera)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.watch(watched_key, events_key)
            if pipeline.get(watched_key) != text:
                return
            newest: Any = pipeline.xrevrange(events_key, count=1)
            for event in events:
                _add_duration(event, pipeline.hget(schema.alarms_key(camera), str(event.get("alarm"))), now_ms)
            last = newest[0][0].decode() if newest else ""
            pipeline.multi()
            for command in event_commands(schema.frames_key(camera), events, last, now_ms):
                pipeline.execute_command(*command)
            pipeline.set(watched_key, watched.to_text())
            try:
                pipeline.execute()
            except redis.WatchError:
                return  # the gear has written an event at the same moment: the next look writes these
        for event in events:
            logger.info("camera %s: %s %s", camera, event["kind"], event.get("reason", ""))


def _silence_event(change: AlarmChange, silence: Silence) -> Fields:
    raised = change.change == "raised"
    event: Fields = {
        "kind": "camera_silent" if raised else "camera_back",
        "severity": change.severity if raised else "info",
        "ts": change.ts_ms,
        "alarm": change.id,
        "rule": change.rule,
        "condition": "silence",
        "since": change.since_ms,
    }
    if raised:
        event |= {"seconds": round(change.value or 0, 1), "reason": silence.reason}
    elif silence.since_ms is None and change.reason == "over":
        event["reason"] = silence.reason
    else:
        event["reason"] = "frames come again" if change.reason == "over" else change.reason
    return event


def _add_duration(event: Fields, alarm: Any, now_ms: int) -> None:
    """Let the event of a camera that is back say how long it was silent; `alarm` is the active alarm."""
    if event["kind"] != "camera_back" or not alarm:
        return
    try:
        since_ms = int(json.loads(alarm)["since"])
    except (KeyError, TypeError, ValueError):  # any client may write there
        return
    event["since"] = since_ms
    event["seconds"] = round((now_ms - since_ms) / 1000, 1)


@lru_cache(256)
def _silence_rules(scene: bytes) -> tuple[SilenceRule, ...]:
    """The rules about silence of a scene; the default one if it has none, or cannot be read."""
    try:
        rules = parse_scene(scene).rules if scene else ()
    except SceneError:
        rules = ()
    return tuple(rule for rule in rules if isinstance(rule, SilenceRule)) or (DEFAULT_SILENCE,)


def _read(text: bytes | None) -> _Watched:
    if text is None:
        return _Watched()
    try:
        stored = json.loads(text)
        return _Watched(read_alarm_state(stored["silence"]), str(stored["gear"]))
    except (SceneError, AttributeError, KeyError, TypeError, ValueError) as error:
        logger.warning("what was reported of a camera is damaged, and is reported again: %s", error)
        return _Watched()


def _fields(entries: Any) -> dict[str, str]:
    """The fields of the only entry; those with long values, such as boxes, are left out."""
    if not entries:
        return {}
    found: dict[bytes, bytes] = entries[0][1] or {}
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in found.items()
        if len(value) <= 2000
    }


def _server_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
