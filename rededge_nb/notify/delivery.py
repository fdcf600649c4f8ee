"""Sends events to one target, in a thread of its own, in the order of each camera, at least once each.

A receiver that is away, or does not answer, is tried without end, with growing delays: the events wait in their
streams, within the bounds of these. An event that the receiver answers with an error for a long time, or refuses, is
put aside in the stream `rededge:dead_letters:<target>`, so that the others do not wait for it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis

from rededge_nb import schema, streams
from rededge_nb.edge.client import is_transient
from rededge_nb.edge.client.shard import key_here
from rededge_nb.notify.configuration import TargetConfig
from rededge_nb.notify.event_queue import EventQueue
from rededge_nb.notify.message import Message, message_of, snapshot_of
from rededge_nb.notify.targets import FailedError, RefusedError, Target, UnavailableError
from rededge_nb.reading.events import Event
from rededge_nb.reading.recordings import with_positions

logger = logging.getLogger(__name__)

FIRST_DELAY, MAX_DELAY = 0.5, 30.0
"""Seconds until a message is tried again the first time; each further delay is twice as long."""
REFUSED_TRIES: Final = 3
DEAD_LETTERS_KEPT: Final = 1000
GROUPED: Final = ("camera_silent", "camera_back", "gear_failing", "gear_paused", "gear_works", "gear_unpaused")
"""Events of these kinds of several cameras that happen together are one message: they have one cause."""
GROUP_WAIT: Final = 1.5
"""Seconds to wait for more of them."""
CAMERAS_INTERVAL: Final = 2.0
"""Seconds between two looks for new cameras."""


@dataclass
class Delivery:
    """Sends events to one target until `stop` is set.

    Attributes:
        client: A client for blocking reads, which nobody else uses.
        config: What the target gets.
        target: Sends the messages.
        stop: Ends the thread, also while a message is tried again.
        hidden: Removes secrets from a text.
    """

    client: redis.Redis
    config: TargetConfig
    target: Target
    stop: threading.Event
    hidden: Callable[[str], str]

    def __post_init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._problem = ""
        self._known = False
        """Whether the target's groups were made or found before."""

    def run(self) -> None:
        """Send events as they happen."""
        while not self.stop.is_set():
            try:
                self._run_connected()
            except redis.RedisError as error:
                logger.log(
                    logging.INFO if is_transient(error) else logging.ERROR,
                    "target %s: Redis is not available (%s): trying again until it is",
                    self.config.name,
                    error,
                )
                self.stop.wait(FIRST_DELAY)
            except Exception:
                logger.exception("target %s: an error of the notifier, which goes on", self.config.name)
                self.stop.wait(MAX_DELAY)
        self.target.close()

    def _run_connected(self) -> None:
        queue = EventQueue(self.client, self.config.name, known=self._known)
        self._waiting.clear()
        next_look = 0.0
        while not self.stop.is_set():
            if time.monotonic() >= next_look:
                queue.follow_new_cameras()
                self._known = True
                next_look = time.monotonic() + CAMERAS_INTERVAL
            if not self._waiting:
                self._fetch(queue)
            if self._waiting:
                self._deliver(queue, self._next_group(queue))
            else:
                self._refresh()

    def _fetch(self, queue: EventQueue) -> None:
        found = queue.read()
        unwanted = [event for event in found if not self.config.wants(event)]
        if unwanted:
            queue.acknowledge(unwanted)
        self._waiting.extend(event for event in found if self.config.wants(event))

    def _next_group(self, queue: EventQueue) -> list[Event]:
        """The next event, with those of other cameras that happened together with it."""
        first = self._waiting.popleft()
        if first.kind not in GROUPED or not first.camera:
            return [first]
        now_ms = _server_ms(self.client)
        if now_ms - streams.time_ms(first.id) < 1000 * GROUP_WAIT and not self.stop.wait(GROUP_WAIT):
            self._fetch(queue)
        group, others, busy = [first], deque[Event](), {first.camera}
        for event in self._waiting:
            together = event.kind == first.kind and event.severity == first.severity
            if together and event.camera and event.camera not in busy:
                group.append(event)
            else:
                others.append(event)
            busy.add(event.camera)  # a later event of a camera must not overtake an earlier one
        self._waiting = others
        return group

    def _deliver(self, queue: EventQueue, events: list[Event]) -> None:
        """Send events until the target has them, or they are put aside."""
        events = with_positions(self.client, events)
        snapshot = snapshot_of(self.client, events[0]) if self.config.snapshot and len(events) == 1 else None
        message = message_of(events, self.config, snapshot)
        began, tries, refused = time.monotonic(), 0, 0
        while not self.stop.is_set():
            tries += 1
            try:
                self.target.send(message)
                self._note_problem("")
                queue.acknowledge(events)
                return
            except UnavailableError as error:
                reason = self._note_problem(str(error))
            except FailedError as error:
                reason = self._note_problem(str(error))
                if self._is_late(message):
                    self._put_aside(queue, message, reason)
                    return
            except RefusedError as error:
                refused, reason = refused + 1, self.hidden(str(error))
                if refused >= REFUSED_TRIES:
                    self._put_aside(queue, message, reason)
                    return
            queue.look_for_gaps = queue.look_for_gaps or time.monotonic() - began > MAX_DELAY
            self.stop.wait(min(FIRST_DELAY * 2 ** min(tries - 1, 10), MAX_DELAY))

    def _refresh(self) -> None:
        try:
            self.target.refresh(self.client)
        except (UnavailableError, FailedError, RefusedError) as error:
            self._note_problem(str(error))
        else:
            self._note_problem("")

    def _is_late(self, message: Message) -> bool:
        age_ms = _server_ms(self.client) - streams.time_ms(message.events[0].id)
        return age_ms > 1000 * self.config.give_up_after

    def _put_aside(self, queue: EventQueue, message: Message, reason: str) -> None:
        logger.error("target %s: the event %s is put aside: %s", self.config.name, message.id, reason)
        key = key_here(self.client, schema.dead_letters_key(self.config.name))
        fields: Any = {"id": message.id, "reason": reason, "message": json.dumps(message.as_dict())}
        self.client.xadd(key, fields, maxlen=DEAD_LETTERS_KEPT)
        queue.acknowledge(message.events)

    def _note_problem(self, text: str) -> str:
        """Log a problem when it begins or changes, and when it ends; returns it without secrets."""
        text = self.hidden(text)
        if text != self._problem:
            if text:
                logger.warning("target %s: %s; trying again", self.config.name, text)
            else:
                logger.info("target %s: messages are sent again", self.config.name)
        self._problem = text
        return text


def _server_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
