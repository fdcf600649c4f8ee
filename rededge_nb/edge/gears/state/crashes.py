"""What a worker was about to do when it died: so that a gear that kills its worker is paused, not tried for ever."""

from __future__ import annotations

import json
from enum import Enum

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.runtime.host import Host

MAX_CRASHES = 2
"""Workers that may die in a row over the same thing."""
ON_PURPOSE = ""
"""Stands for the worker where a batch was left pending by a failure policy: nobody died."""


class Verdict(Enum):
    """What Attempts.begin comes to."""

    GO = "go"
    """Try it; Attempts.end says that the worker has survived."""
    WAIT = "wait"
    """Another worker has it in hand, or died a moment ago: ask again."""
    CRASHED = "crashed"
    """It has killed MAX_CRASHES workers in a row."""


class Attempts:
    """The things that one registration tries whose outcome is in doubt, by place: a stream, or `onRegistered`."""

    def __init__(self, client: redis.Redis, host: Host, registration_id: str) -> None:
        self._client = client
        self._host = host
        self._registration_id = registration_id

    def begin(self, place: str, thing: str, *, crashes: int = 0) -> Verdict:
        """Note that this worker tries `thing`; `crashes` is how many died over it if nothing is noted."""
        noted = self._client.execute_command("HGET", self._key(), place)
        if noted is not None and (found := json.loads(noted))["thing"] == thing:
            crashes, tried_by = found["crashes"], found["worker"]
            if tried_by not in (ON_PURPOSE, self._host.id):
                if self._host.alive(tried_by):
                    return Verdict.WAIT
                crashes += 1
        if crashes >= MAX_CRASHES:
            self.end(place)  # whoever lets it go on tries anew
            return Verdict.CRASHED
        self._note(place, thing, self._host.id, crashes)
        return Verdict.GO

    def leave(self, place: str, thing: str) -> None:
        """Note that `thing` is left for later although it killed nobody."""
        self._note(place, thing, ON_PURPOSE, 0)

    def end(self, place: str) -> None:
        """Note that the worker has survived."""
        self._client.execute_command("HDEL", self._key(), place)

    def _note(self, place: str, thing: str, worker: str, crashes: int) -> None:
        noted = json.dumps({"thing": thing, "worker": worker, "crashes": crashes})
        self._client.execute_command("HSET", self._key(), place, noted)

    def _key(self) -> str:
        return key_names.registration_keys(self._client, self._registration_id)["attempts"]
