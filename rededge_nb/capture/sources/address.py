"""Addresses of cameras in the network, and how they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from rededge_nb.errors import SourceError

HTTP = frozenset({"http", "https"})
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
"""Schemes over TCP, and where a server listens when the address does not say."""
SCHEMES = frozenset(DEFAULT_PORTS) | {"srt", "udp"}


def is_address(text: str) -> bool:
    """Whether a source is an address rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


@dataclass(frozen=True)
class Address:
    """An address in its parts. Only `shown` may appear in messages.

    Attributes:
        url: The whole address, with user and password.
        bare_url: The same without them.
        shown: Without the query as well, which often holds a password too.
    """

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int | None
    bare_url: str = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    shown: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take an address apart.

        Raises:
            SourceError: it cannot be used.
        """
        scheme = url.partition(":")[0].lower()
        if scheme not in SCHEMES:
            raise SourceError(
                f"addresses that begin with {scheme}:// are not known: take {', '.join(sorted(SCHEMES))}, or a path"
            )
        # Errors of the parser are not chained: they quote the address, and with it the password.
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or not (url.isascii() and url.isprintable()) or " " in url:
            raise SourceError(
                f"the {scheme}:// address has no host, a port that is no number, or characters that must be "
                "percent-encoded: take one like rtsp://user:password@192.168.1.20:554/stream1"
            )
        netloc = parts.netloc.rpartition("@")[2]
        return cls(
            url=url,
            scheme=scheme,
            host=host,
            port=port or DEFAULT_PORTS.get(scheme),
            bare_url=urlunsplit((scheme, netloc, parts.path, parts.query, "")),
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            shown=urlunsplit((scheme, netloc, parts.path, "", "")),
        )
