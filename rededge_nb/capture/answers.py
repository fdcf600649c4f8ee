"""What the gear says to the frames of a capture: detections, or an error."""

from __future__ import annotations

import time
from collections import deque

import redis

from rededge_nb import schema, streams
from rededge_nb.capture.sources import Captured
from rededge_nb.errors import WaitTimeoutError

_EXAMPLES = 3
"""Reasons that are shown; the others are only counted."""
_REMEMBERED = 100
"""Frames of which is remembered that they were refused."""


class Answers:
    """Which frames of an `asap` capture have no answer yet, neither a detection entry nor an error entry."""

    def __init__(self, client: redis.Redis, camera: str, *, stall_timeout: float) -> None:
        self._client = client
        self._camera = camera
        self._frames = schema.frames_key(camera)
        self._stall_timeout = stall_timeout
        self._waiting: dict[str, Captured] = {}
        self._heard = time.monotonic()
        keys = (schema.detections_key(camera), schema.errors_key(camera))
        self._seen = {key: streams.last_id(client, key) for key in keys}

    @property
    def waiting(self) -> list[str]:
        """Entry ids of the frames without answer, oldest first."""
        return list(self._waiting)

    def expect(self, entry_id: str, captured: Captured) -> None:
        """Note a frame that was sent."""
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting[entry_id] = captured

    def recover(self) -> list[Captured]:
        """Go on after the server was away; gives the frames that it lost, which are waited for no longer."""
        # a server that lost its last second, while the clock went back, gives out ids again
        seen = {
            key: min(last, streams.last_id(self._client, key), key=streams.id_order) for key, last in self._seen.items()
        }
        lost = [each for each in self._waiting if not self._client.xrange(self._frames, each, each)]
        self._seen = seen
        self._heard = time.monotonic()
        return [self._waiting.pop(each) for each in lost]

    def receive(self) -> bool:
        """Wait a little for answers; whether one came.

        Raises:
            WaitTimeoutError: none came for `stall_timeout` seconds.
        """
        left = self._heard + self._stall_timeout - time.monotonic()
        block_ms = min(streams.BLOCK_MS, max(1, round(left * 1000)))
        before = len(self._waiting)
        # A worker that takes over from a dead one answers some frames a second time; nobody waits for those.
        for _, (_, fields) in streams.new_entries(self._client, self._seen, block_ms=block_ms):
            self._waiting.pop(fields.get(schema.REF.encode(), b"").decode(errors="replace"), None)
        if len(self._waiting) < before:
            self._heard = time.monotonic()
            return True
        if time.monotonic() - self._heard >= self._stall_timeout:
            oldest = next(iter(self._waiting))
            if not self._client.xrange(self._frames, oldest, oldest):
                raise WaitTimeoutError(
                    f"frame {oldest} of camera {self._camera} left the stream before the gear answered it: another "
                    "client has added frames to it; end that one, or capture into a camera of your own"
                )
            raise WaitTimeoutError(
                f"no frame of camera {self._camera} was answered for {self._stall_timeout:g} s, {before} are waiting: "
                "see whether the gear is registered (RG.DUMPREGISTRATIONS, `rededge init`) and the worker runs "
                "(`rededge status`), or capture with pace 'realtime', which waits for nobody"
            )
        return False


class Refusals:
    """The frames of a capture that the gear could not process, and why. Read by one thread, counted by another.

    Attributes:
        count: How many.
        reasons: The first few different reasons.
    """

    def __init__(self, client: redis.Redis, camera: str, capture: str) -> None:
        self.count = 0
        self.reasons: tuple[str, ...] = ()
        self._more_reasons = False
        self._recent: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._key = schema.errors_key(camera)
        self._capture = capture.encode()
        self._seen = streams.last_id(client, self._key)

    def update(self, client: redis.Redis, first_id: str | None) -> None:
        """Count the errors that came since the last time.

        Args:
            client: A client of the server.
            first_id: Entry id of the capture's first frame.
        """
        if first_id is None:
            return
        for entry_id, fields in streams.entries(client, self._key, start=f"({self._seen}"):
            self._seen = entry_id
            # a gear of the user's may not copy the id of the capture
            if fields.get(schema.CAPTURE.encode(), self._capture) != self._capture or _is_before(fields, first_id):
                continue
            # a worker that takes over from a dead one refuses some frames a second time
            ref = fields.get(schema.REF.encode(), b"")
            if ref in self._recent:
                continue
            self._recent.append(ref)
            self.count += 1
            reason = fields.get(schema.REASON.encode(), b"no reason given").decode(errors="replace")
            if reason not in self.reasons:
                self._more_reasons = len(self.reasons) >= _EXAMPLES
                self.reasons = (*self.reasons, reason)[:_EXAMPLES]

    def sentences(self) -> list[str]:
        """The refusals in words; empty if there was none."""
        if not self.count:
            return []
        frames = "1 frame was" if self.count == 1 else f"{self.count} frames were"
        more = "; …" if self._more_reasons else ""
        return [f"{frames} refused by the gear: {'; '.join(self.reasons)}{more}"]


def _is_before(fields: dict[bytes, bytes], first_id: str) -> bool:
    """Whether an error is about a frame that was added before."""
    ref = fields.get(schema.REF.encode(), b"").decode(errors="replace")
    return streams.is_id(ref) and streams.id_order(ref) < streams.id_order(first_id)
