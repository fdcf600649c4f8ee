"""A lease: a key in Redis that one process holds at a time, and that tells who.

The holder renews the key every second. If the process ends without giving it back, the key expires after a few seconds.
A process that finds the lease held watches it for a moment: if nobody renews it, its holder is gone, and the lease can
be had as soon as it expires, or at once if the holder was a process of this machine that has ended.

No Lua is used: the user `notebook` of the embedded server must not run scripts.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from rededge_nb.edge.client import client_like, is_transient
from rededge_nb.errors import RedEdgeError, WaitTimeoutError

TTL = 6.0
"""Seconds after which a lease expires that is not renewed."""
RENEW_INTERVAL = 1.0
"""Seconds between two renewals."""

_ID, _HOST, _PID, _SINCE, _STOP, _RENEWED = "id", "host", "pid", "since", "stop", "renewed"
_POLL = 0.1
_MOST_TRIES = 20
"""How often a transaction is repeated because the key changed."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        id: A new one for each lease.
        host: Name of the machine.
        pid: Process id there.
        since_ms: When it got the lease, by the server's clock, in milliseconds since the epoch.
        renewed: Number of renewals.
        stop: Who asked it to end, in words; empty if nobody did.
        details: What it says about itself.
    """

    id: str
    host: str
    pid: int
    since_ms: int
    renewed: int
    stop: str
    details: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.where}, since {self.since:%Y-%m-%d %H:%M:%S}"

    @property
    def since(self) -> datetime:
        """When it got the lease, in local time."""
        return datetime.fromtimestamp(self.since_ms / 1000, UTC).astimezone()

    @property
    def where(self) -> str:
        """The process, in words."""
        here = " (this process)" if self.is_here and self.pid == os.getpid() else ""
        return f"process {self.pid} on {self.host}{here}"

    @property
    def is_here(self) -> bool:
        """Whether its process is one of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether its process is one of this machine that has ended."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class Lease:
    """A lease on a key.

    Args:
        client: A client of the server.
        key: The key, a hash.
        details: What to say about oneself.

    Attributes:
        id: A new one for each lease.
        since_ms: When it was acquired, by the server's clock, in milliseconds since the epoch.
    """

    def __init__(self, client: redis.Redis, key: str, details: Mapping[str, str]) -> None:
        self.id = secrets.token_hex(6)
        self.key = key
        self._client = client
        self._details = dict(details)
        self.since_ms = 0
        self._renewed = 0
        self._keeper: threading.Thread | None = None
        self._released = threading.Event()

    def acquire(
        self,
        *,
        timeout: float,
        stop: threading.Event | None = None,
        replace: Callable[[Holder], str] = lambda _: "",
    ) -> Holder | None:
        """Get the lease; None if that was done, and else who holds it.

        Args:
            timeout: Seconds to wait for a holder that was asked to end; after them the lease is taken from it.
            stop: Ends the waiting.
            replace: The words with which to ask a holder to end, to take the lease from it; none to leave it alone.
        """
        began = time.monotonic()
        first: Holder | None = None
        words = ""
        while True:
            try:
                holder = self._try(taken_from=None)
            except redis.ResponseError as error:
                holder = read_holder(self._client, self.key)
                if holder is None and is_transient(error):
                    return None  # the server is full: `keep` gets the lease once there is room
                if holder is None:
                    raise
            if holder is None:
                return None
            if holder.is_gone or (words and time.monotonic() - began > timeout):
                holder = self._try(taken_from=holder.id)
                if holder is None:
                    return None
            if first is None or first.id != holder.id:
                first, seen_at = holder, time.monotonic()
                words = replace(holder)
                if words:
                    ask_to_stop(self._client, self.key, words)
            alive = holder.renewed != first.renewed or time.monotonic() - seen_at > TTL
            if alive and not words:
                return holder
            if (stop or self._released).wait(_POLL):
                return holder

    def keep(self, on_lost: Callable[[str], None], report: Callable[[redis.Redis], Mapping[str, str]]) -> None:
        """Renew the lease in a thread of its own, until it is released.

        Args:
            on_lost: Called once, with the reason, when the holder has to end.
            report: Gives the present details; called with a client for this thread, whose errors it may raise.
        """
        self._keeper = threading.Thread(
            target=self._keep, args=(on_lost, report), name=f"rededge lease {self.key}", daemon=True
        )
        self._keeper.start()

    def release(self) -> None:
        """Give the lease back, if it is still held. May be called twice."""
        self._released.set()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(RENEW_INTERVAL)
        with suppress(redis.RedisError), client_like(self._client) as own:
            self._in_transaction(own, lambda holder, pipe: pipe.delete(self.key) if _is(holder, self.id) else None)

    def _keep(self, on_lost: Callable[[str], None], report: Callable[[redis.Redis], Mapping[str, str]]) -> None:
        with client_like(self._client) as own:
            while not self._released.wait(RENEW_INTERVAL):
                try:
                    self._details = dict(report(own))
                    self._renewed += 1
                    holder = self._try(taken_from=None, client=own) or read_holder(own, self.key)
                except (redis.RedisError, RedEdgeError):
                    continue  # the server is away; the holder waits for it, too, and says so
                if holder is not None and holder.id != self.id:
                    on_lost(f"{holder.where} has taken its place")
                    return
                if holder is not None and holder.stop:
                    on_lost(holder.stop)
                    return

    def _try(self, *, taken_from: str | None, client: redis.Redis | None = None) -> Holder | None:
        """Get or renew the lease, if it is free, ours, or that of `taken_from`; else who holds it."""
        client = client or self._client
        if not self._renewed:
            seconds, microseconds = client.time()
            self.since_ms = seconds * 1000 + microseconds // 1000
        ours = {_ID: self.id, _HOST: socket.gethostname(), _PID: os.getpid(), _SINCE: self.since_ms}
        fields: dict[str, Any] = {**self._details, **ours, _RENEWED: self._renewed}

        def write(holder: Holder | None, pipe: Any) -> Any:
            if holder is not None and holder.id not in (self.id, taken_from):
                return None
            if holder is None or holder.id != self.id:
                pipe.delete(self.key)
            pipe.hset(self.key, mapping=fields)
            return pipe.pexpire(self.key, round(TTL * 1000))

        return self._in_transaction(client, write)

    def _in_transaction(self, client: redis.Redis, write: Callable[[Holder | None, Any], Any]) -> Holder | None:
        """Write to the key, depending on who holds it now; returns the holder if nothing was written."""
        for _ in range(_MOST_TRIES):
            with client.pipeline() as pipe:
                pipe.watch(self.key)
                holder = _holder(pipe.hgetall(self.key))
                pipe.multi()
                if write(holder, pipe) is None:
                    return holder
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                except redis.exceptions.ExecAbortError as error:
                    raise error.__context__ or error from None
                return None
        return read_holder(client, self.key)


@contextmanager
def hold_lease(
    client: redis.Redis, key: str, *, timeout: float, on_wait: Callable[[Holder], None] = lambda _: None
) -> Iterator[None]:
    """Hold a lease for as long as the block lasts, after those who have it now.

    Args:
        client: A client of the server.
        key: The key of the lease.
        timeout: Seconds to wait for the others.
        on_wait: Is called once for each of the others.

    Raises:
        WaitTimeoutError: they take longer.
    """
    lease = Lease(client, key, {})
    holder = acquire_after_others(lease, timeout=timeout, on_wait=on_wait)
    if holder is not None:
        raise WaitTimeoutError(
            f"{holder.where} has held {key} since {holder.since:%H:%M:%S}, for more than {timeout:g} s: end it, or "
            "wait until it is done"
        )
    lease.keep(on_lost=lambda _: None, report=lambda _: {})
    try:
        yield
    finally:
        lease.release()


def acquire_after_others(lease: Lease, *, timeout: float, on_wait: Callable[[Holder], None]) -> Holder | None:
    """Get a lease after those who have it now; None if that was done, and else who holds it after the timeout.

    Args:
        lease: The lease.
        timeout: Seconds to wait for the others.
        on_wait: Is called once for each of the others.
    """
    deadline = time.monotonic() + timeout
    known = ""
    while (holder := lease.acquire(timeout=0)) is not None:
        if holder.id != known:
            known = holder.id
            on_wait(holder)
        if time.monotonic() > deadline:
            return holder
        time.sleep(_POLL)
    return None


def read_holder(client: redis.Redis, key: str) -> Holder | None:
    """Who holds a lease; None if nobody does."""
    return _holder(client.hgetall(key))


def ask_to_stop(client: redis.Redis, key: str, words: str) -> bool:
    """Ask the holder of a lease to end; False if there is none.

    Args:
        client: A client of the server.
        key: The key of the lease.
        words: Who asks, and why.
    """
    with client.pipeline() as pipe:
        pipe.watch(key)
        if not pipe.exists(key):
            return False
        pipe.multi()
        pipe.hset(key, _STOP, words)
        try:
            pipe.execute()
        except redis.WatchError:  # renewed just now
            return ask_to_stop(client, key, words)
    return True


def _is(holder: Holder | None, lease_id: str) -> bool:
    return holder is not None and holder.id == lease_id


def _holder(fields: Any) -> Holder | None:
    texts = {_text(name): _text(value) for name, value in dict(fields).items()}
    if _ID not in texts:
        return None
    known = (_ID, _HOST, _PID, _SINCE, _STOP, _RENEWED)
    return Holder(
        id=texts[_ID],
        host=texts.get(_HOST, ""),
        pid=_number(texts.get(_PID)),
        since_ms=_number(texts.get(_SINCE)),
        renewed=_number(texts.get(_RENEWED)),
        stop=texts.get(_STOP, ""),
        details={name: value for name, value in texts.items() if name not in known},
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) <= 18 else 0


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
