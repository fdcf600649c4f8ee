"""Sends messages with Apprise: e-mail, ntfy, Telegram, Slack and about a hundred other services."""

from __future__ import annotations

import logging
from typing import Any

import redis

from rededge_nb.errors import ConfigurationError
from rededge_nb.notify.configuration import TargetConfig
from rededge_nb.notify.message import Message
from rededge_nb.notify.targets import FailedError

_TYPES = {"info": "info", "warning": "warning", "alarm": "failure"}


class Chat:
    """One or several addresses of Apprise.

    Raises:
        ConfigurationError: Apprise is not installed, or does not know an address.
    """

    def __init__(self, config: TargetConfig) -> None:
        try:
            import apprise
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"the target {config.name} needs the package apprise: pip install 'rededge_nb[notify]'"
            ) from error
        # its log has addresses, which may contain passwords
        logging.getLogger("apprise").propagate = False
        self._apprise: Any = apprise.Apprise()
        for number, url in enumerate(config.options["urls"]):
            if not self._apprise.add(url):
                raise ConfigurationError(
                    f"the target {config.name}: Apprise does not know the address urls[{number}]; "
                    "see https://appriseit.com for the addresses of services"
                )

    def send(self, message: Message) -> None:
        """Send a message; see `Target`."""
        from apprise.attachment.memory import AttachMemory

        options: dict[str, Any] = {}
        if message.snapshot is not None:
            attachment: Any = AttachMemory
            options["attach"] = attachment(content=message.snapshot, name="snapshot.jpg", mimetype="image/jpeg")
        kind = _TYPES.get(message.events[0].severity, "info")
        if not self._apprise.notify(title=message.title, body=message.text, notify_type=kind, **options):
            raise FailedError("the service has not accepted the message")

    def refresh(self, client: redis.Redis) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """There is nothing to close."""
