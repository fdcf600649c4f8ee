"""What all targets have in common: how one sends a message, and how it fails."""

from __future__ import annotations

from typing import Protocol

import redis

from rededge_nb.notify.message import Message


class UnavailableError(Exception):
    """The receiver cannot be reached, or does not answer in time: the same message is tried without end."""


class FailedError(Exception):
    """The receiver answers with an error that may go away: the message is tried for a limited time."""


class RefusedError(Exception):
    """The receiver refuses this message: it is tried a few times only."""


class Target(Protocol):
    """Sends messages; used by one thread."""

    def send(self, message: Message) -> None:
        """Send a message, and return when the receiver has it.

        Raises:
            UnavailableError, FailedError, RefusedError: It was not sent.
        """

    def refresh(self, client: redis.Redis) -> None:
        """Called about once a second while there is nothing to send."""

    def close(self) -> None:
        """Close the connections."""
