"""Addresses of cameras in the network, and how they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from rededge_nb.addresses import shown_address
from rededge_nb.errors import SourceError

HTTP = frozenset({"http", "https"})
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
"""Schemes over TCP, and where a server listens when the address does not say."""
SCHEMES = frozenset(DEFAULT_PORTS) | {"udp"}
_NOT_IN_EVERY_BUILD = frozenset({"srt"})
"""Schemes that FFmpeg knows if it was built with a library for them."""
_MUST_BE_ENCODED = re.compile(r'[\s<>"{}\\^`|]')
_EXAMPLE = "rtsp://user:password@192.168.1.20:554/stream1"


def is_address(text: str) -> bool:
    """Whether a source is an address rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


@dataclass(frozen=True)
class Address:
    """An address in its parts. Only `shown` may appear in messages.

    Attributes:
        url: The whole address, with user and password.
        bare_url: The same without them.
        shown: Without all that may be a secret; see `rededge_nb.addresses`.
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
        """Take an address apart. Nothing is looked up in the network.

        Raises:
            SourceError: it cannot be used. The message does not show it: it may hold a password.
        """
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme not in SCHEMES | _NOT_IN_EVERY_BUILD:
            raise SourceError(
                f"addresses that begin with {scheme}:// are not known: take {', '.join(sorted(SCHEMES))}, or a path"
            )
        if "@" in re.split(r"[/?#]", rest, maxsplit=1)[-1] and re.search(r"[/?#]", rest):
            raise SourceError(
                f"the {scheme}:// address has an @ behind its host: write a /, ? or # of the user name or the password "
                "as %2F, %3F or %23, and an @ of the path as %40"
            )
        # Errors of the parser are not chained: they quote the address, and with it the password.
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        # `udp://@:5004` is how players say that they listen at this port
        listens = scheme == "udp" and rest.startswith("@") and port is not None
        if not (host or listens) or not (url.isascii() and url.isprintable()) or _MUST_BE_ENCODED.search(url):
            example = "udp://127.0.0.1:5004" if scheme == "udp" else _EXAMPLE
            raise SourceError(
                f"the {scheme}:// address has no host, a port that is no number, or characters that must be "
                f"percent-encoded: take one like {example}"
            )
        netloc = parts.netloc if listens else parts.netloc.rpartition("@")[2]
        return cls(
            url=url,
            scheme=scheme,
            host=host,
            port=port or DEFAULT_PORTS.get(scheme),
            bare_url=urlunsplit((scheme, netloc, parts.path, parts.query, "")),
            user=None if not parts.username else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            shown=urlunsplit((scheme, netloc, parts.path, "", "")) if listens else shown_address(url),
        )

    def redirected(self, target: str) -> Address:
        """The address that a server refers to.

        User and password are kept on the same host and port, and from there to https on the same host.

        Raises:
            SourceError: the address cannot be used.
        """
        found = Address.parse(target)
        same = (found.scheme, found.port) == (self.scheme, self.port)
        secured = (self.scheme, found.scheme) == ("http", "https")
        if self.user is None or found.user is not None or found.host != self.host or not (same or secured):
            return found
        credentials = quote(self.user, safe="") + ":" + quote(self.password or "", safe="")
        scheme, _, rest = found.bare_url.partition("://")
        return Address.parse(f"{scheme}://{credentials}@{rest}")
