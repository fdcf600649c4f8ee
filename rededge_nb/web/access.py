"""Who may use the web server, and the headers that tell browsers to keep other sites out.

Without a token, only this computer is served. A page of another site cannot read what the server sends, but it could
reach it by a host name of its own that resolves to 127.0.0.1 (DNS rebinding): requests with such a Host are refused.
With a token, every request needs it, whatever its host name and whatever proxy it passed.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest, split_host_and_port

from rededge_nb import settings
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ConfigurationError

TOKEN_FILE = "web_token"  # noqa: S105 - the name of the file
MIN_TOKEN_LENGTH = 16

_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{MIN_TOKEN_LENGTH},}}")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refusal(NamedTuple):
    """Why a request is refused."""

    status: int
    reason: str


class Access:
    """Decides whether a request is answered.

    Args:
        token: The token that a request must have; None if everybody on the loopback interface is served.
        port: Port of the server. It is a part of the cookie's name: browsers send cookies to all ports of a host.
    """

    def __init__(self, token: str | None, port: int) -> None:
        self.token = token
        self.cookie_name = f"rededge_web_{port}"

    def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        """Why a request must be refused; None if it may be answered."""
        if self.token is None:
            name = split_host_and_port(request.host.lower())[0].strip("[]")
            if name == "localhost" or _is_loopback(name):
                return None
            return Refusal(
                403,
                "this server is only for its own computer: use 127.0.0.1 or localhost, or start it with a token",
            )
        if self.has_header(request) or self.has_query(request) or self._has_cookie(request):
            return None
        return Refusal(
            401, "a token is needed: open the address with ?token=..., or send the header Authorization: Bearer ..."
        )

    def has_header(self, request: HTTPServerRequest) -> bool:
        """Whether the Authorization header has the token. A page of another site cannot set this header."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_token(value.strip().encode(errors="replace"))

    def has_query(self, request: HTTPServerRequest) -> bool:
        """Whether the address has the token."""
        return any(self._is_token(value) for value in request.query_arguments.get("token", []))

    def same_origin(self, request: HTTPServerRequest, origin: str) -> bool:
        """Whether a page of `origin` may open a WebSocket."""
        try:
            page = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return self.has_header(request) or page == request.host.lower()

    def _has_cookie(self, request: HTTPServerRequest) -> bool:
        found = request.cookies.get(self.cookie_name)
        return found is not None and self._is_token(found.value.encode(errors="replace"))

    def _is_token(self, value: bytes) -> bool:
        return self.token is not None and hmac.compare_digest(value, self.token.encode())


class Token(NamedTuple):
    """A token, and whether it was created just now."""

    value: str
    is_new: bool


def token_for(bound: socket.socket, given: str | None, folder: StateFolder) -> Token | None:
    """The token of a server: the given one, else none on the loopback interface, else the one in the state folder.

    Raises:
        ConfigurationError: the given token is too short, or has a character that a header cannot have.
        ServerError: the token cannot be written to the state folder.
    """
    if given is not None:
        return Token(_checked(given), is_new=False)
    if _is_loopback(str(bound.getsockname()[0])):
        return None
    folder.create()
    file = folder.path / TOKEN_FILE
    try:
        return Token(_checked(file.read_text().strip()), is_new=False)
    except FileNotFoundError:
        token = Token(secrets.token_urlsafe(32), is_new=True)
        folder.write_private(file, token.value + "\n")
        return token


def _checked(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"the token with {len(token)} characters is not usable: it needs at least {MIN_TOKEN_LENGTH} letters, "
            f"digits, '-', '.', '_' or '~'; without {settings.WEB_TOKEN} one is created"
        )
    return token


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
