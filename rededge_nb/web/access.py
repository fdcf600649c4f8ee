"""Who may ask the web server for something, and what browsers are told to keep others out.

Without a token it serves the loopback interface alone. A page from elsewhere cannot read what it serves, but could
reach it by a name of its own that it lets point to 127.0.0.1: such names are refused. With a token nobody gets
anything without it, by whatever name, and whatever proxy stands between.
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
    """Why a request is not answered."""

    status: int
    reason: str


class Access:
    """Decides about requests.

    Args:
        token: What a request must carry; None where whoever reaches the loopback interface may ask.
        port: Where the server listens; cookies do not tell ports apart by themselves.
    """

    def __init__(self, token: str | None, port: int) -> None:
        self.token = token
        self.cookie_name = f"rededge_web_{port}"

    def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        """Why a request must not be answered; None if it may."""
        if self.token is None:
            name = split_host_and_port(request.host.lower())[0].strip("[]")
            if name == "localhost" or _is_loopback(name):
                return None
            return Refusal(
                403, "this server is for its own machine: ask for 127.0.0.1 or localhost, or give it a token"
            )
        if self.has_header(request) or self.has_query(request) or self._has_cookie(request):
            return None
        return Refusal(
            401, "a token is needed: open the address with ?token=..., or send the header Authorization: Bearer ..."
        )

    def has_header(self, request: HTTPServerRequest) -> bool:
        """Whether the token stands in the Authorization header, which a page of another site cannot set."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_token(value.strip().encode(errors="replace"))

    def has_query(self, request: HTTPServerRequest) -> bool:
        """Whether the token stands in the address."""
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
    """A token, and whether it was made just now."""

    value: str
    is_new: bool


def token_for(bound: socket.socket, given: str | None, folder: StateFolder) -> Token | None:
    """The token that a server asks for: the one given, else none on the loopback interface, else one of its own.

    Raises:
        ConfigurationError: the token given is too short, or cannot stand in a header.
        ServerError: its own cannot be kept in the state folder.
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
            f"a token of {len(token)} characters is not usable: take at least {MIN_TOKEN_LENGTH} letters, digits, "
            f"'-', '.', '_' or '~', or give none (without {settings.WEB_TOKEN}) and let one be made"
        )
    return token


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
