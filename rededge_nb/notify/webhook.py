"""Sends messages as JSON to a web server.

With a `secret`, the header `X-Rededge-Signature` has `sha256=` and the HMAC of the body in hexadecimal digits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from typing import Final

import httpx
import redis

from rededge_nb._version import __version__
from rededge_nb.errors import ConfigurationError
from rededge_nb.notify.configuration import TargetConfig
from rededge_nb.notify.message import Message
from rededge_nb.notify.targets import FailedError, RefusedError, UnavailableError

_MAY_GO_AWAY: Final = (408, 425, 429)
"""Answers of 400 to 499 that are not about this message."""


class Webhook:
    """A web server that gets each message with POST.

    Raises:
        ConfigurationError: Its address cannot be used.
    """

    def __init__(self, config: TargetConfig) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address, which may contain a token
        try:
            self._url = httpx.URL(config.options["url"])
        except httpx.InvalidURL:  # its text quotes a part of the address
            raise ConfigurationError(f"the url of the target {config.name} is no address of a web server") from None
        self._secret: str = config.options["secret"]
        agent = {"User-Agent": f"rededge_nb/{__version__}", "Content-Type": "application/json"}
        self._client = httpx.Client(timeout=config.timeout, headers={**agent, **config.options["headers"]})

    def send(self, message: Message) -> None:
        """Send a message; see `Target`."""
        content = message.as_dict()
        if message.snapshot is not None:
            content["snapshot"] = base64.b64encode(message.snapshot).decode()
        body = json.dumps(content).encode()
        headers = {"X-Rededge-Id": message.id}
        if self._secret:
            headers["X-Rededge-Signature"] = signature(self._secret, body)
        try:
            # the answer's body is not read: a receiver may send one without end
            with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                status = answer.status_code
        except httpx.HTTPError as error:
            raise UnavailableError(f"{type(error).__name__}: {error}") from error
        if status >= 500 or status in _MAY_GO_AWAY:
            raise FailedError(f"the receiver answers {status}")
        if not 200 <= status < 300:
            raise RefusedError(f"the receiver answers {status}")

    def refresh(self, client: redis.Redis) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def signature(secret: str, body: bytes) -> str:
    """The value of the header `X-Rededge-Signature`; receivers compare it with their own."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
