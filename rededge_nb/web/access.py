"""Who may use the web server, and the headers that tell browsers to keep other sites out.

Every request needs the token, on the loopback interface, too: other accounts of the computer can reach that. A page of
another site cannot send it: the cookie that keeps it is for this host name only (so a name of the other site that
resolves to 127.0.0.1 does not help), and browsers do not send it with requests that another site causes.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from rededge_nb import settings
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ConfigurationError

TOKEN_FILE = "web_token"  # noqa: S105 - the name of the file
EDIT_TOKEN_FILE = "web_edit_token"  # noqa: S105 - the name of the file
MIN_TOKEN_LENGTH = 16

_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{MIN_TOKEN_LENGTH},}}")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        # the images and clips of events arrive as data
        "img-src 'self' data: blob:; media-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    # only pages of the same site, such as Grafana on another port of the same host, may show these images
    "Cross-Origin-Resource-Policy": "same-site",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Access:
    """Decides whether a request is answered.

    Args:
        token: The token that a request must have.
        edit_token: The token of those who may also change lines and zones; None if nobody may.
        port: Port of the server. It is a part of the cookie's name: browsers send cookies to all ports of a host.
    """

    def __init__(self, token: str, port: int, edit_token: str | None = None) -> None:
        self.token = token
        self.edit_token = edit_token
        self.cookie_name = f"rededge_web_{port}"

    def allows(self, request: HTTPServerRequest) -> bool:
        """Whether a request has a token: in a header, in its address, or in the cookie."""
        return self.token_of(request) is not None

    def may_edit(self, request: HTTPServerRequest) -> bool:
        """Whether a request has the token of those who may change lines and zones."""
        return self.edit_token is not None and self.token_of(request) == self.edit_token

    def token_of(self, request: HTTPServerRequest) -> str | None:
        """The token that a request has; None if it has none that is right."""
        found = request.cookies.get(self.cookie_name)
        in_cookie = [] if found is None else [found.value.encode(errors="replace")]
        return self._known([_in_header(request), *request.query_arguments.get("token", []), *in_cookie])

    def has_header(self, request: HTTPServerRequest) -> bool:
        """Whether the Authorization header has a token. A page of another site cannot set this header."""
        return self._known([_in_header(request)]) is not None

    def has_query(self, request: HTTPServerRequest) -> bool:
        """Whether the address has a token."""
        return self._known(request.query_arguments.get("token", [])) is not None

    def same_origin(self, request: HTTPServerRequest, origin: str) -> bool:
        """Whether a page of `origin` may open a WebSocket."""
        try:
            page = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return self.has_header(request) or page == request.host.lower()

    def _known(self, values: Iterable[bytes]) -> str | None:
        """The token that is among these values, that of editors first."""
        given = list(values)
        for token in (self.edit_token, self.token):
            if token is not None and any(hmac.compare_digest(value, token.encode()) for value in given):
                return token
        return None


def _in_header(request: HTTPServerRequest) -> bytes:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip().encode(errors="replace") if kind.lower() == "bearer" else b""


class Token(NamedTuple):
    """A token, and whether it was created just now."""

    value: str
    is_new: bool


def token_for(given: str | None, folder: StateFolder, name: str = TOKEN_FILE) -> Token:
    """The token of a server: the given one, else the one in the state folder, which is created at the first start.

    Raises:
        ConfigurationError: the given token is too short, or has a character that a header cannot have.
        ServerError: the token cannot be written to the state folder.
    """
    if given is not None:
        return Token(_checked(given), is_new=False)
    folder.create()
    is_new = not (folder.path / name).exists()
    return Token(_checked(folder.secret(name, min_length=MIN_TOKEN_LENGTH)), is_new)


def _checked(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"the token with {len(token)} characters is not usable: it needs at least {MIN_TOKEN_LENGTH} letters, "
            f"digits, '-', '.', '_' or '~'; without {settings.WEB_TOKEN} one is created"
        )
    return token
