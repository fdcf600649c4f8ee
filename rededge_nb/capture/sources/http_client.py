"""Requests to cameras over HTTP, with httpx: signing in, redirects, certificates, and the cause of every refusal."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx

from rededge_nb.capture.sources.address import Address
from rededge_nb.capture.sources.certificates import fingerprint, tls_context
from rededge_nb.capture.sources.http_authentication import Offer, best_offer, parse_offers, sign
from rededge_nb.errors import SourceError

CONNECT_TIMEOUT = 5.0
"""Seconds in which a camera has to answer."""
READ_TIMEOUT = 10.0
"""Seconds without data after which a connection is given up."""

_MOST_REQUESTS = 8
"""Redirects and requests to sign in, until the camera sends something else."""
_SLOW_HEADERS = 3
"""Times CONNECT_TIMEOUT: an answer is given up whose headers arrive more slowly than that."""
_NO_AUTHENTICATION = httpx.Auth()
"""Keeps httpx from looking for passwords in files of the user."""


class _SecretFilter(logging.Filter):
    """Drops what httpx and httpcore log about requests of ours: the addresses and headers may hold passwords."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not getattr(self.threads, "unlogged", False)


_secret_filter = _SecretFilter()
for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_secret_filter)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Do something with httpx that must not be logged."""
    _secret_filter.threads.unlogged = True
    try:
        yield
    finally:
        _secret_filter.threads.unlogged = False


class HttpClient:
    """One request at a time, which another thread can break off.

    Args:
        address: Where the camera is.
        certificate: See `tls_context`.

    Attributes:
        address: Where the camera is, after redirects.
    """

    def __init__(self, address: Address, certificate: str | None) -> None:
        self.address = address
        self._certificate = certificate
        self._socket: socket.socket | None = None
        self._closed = False
        self._client: httpx.Client | None = None

    def get(self, headers: dict[str, str] | None = None) -> httpx.Response:
        """Ask for the content of the address; returns the answer once its headers are there.

        Raises:
            SourceError: the camera does not answer, or refuses. The message names the cause.
            ConfigurationError: the certificate that the user named cannot be used.
        """
        slow = threading.Timer(_SLOW_HEADERS * CONNECT_TIMEOUT, self._break_off)
        slow.daemon = True
        slow.start()
        try:
            with unlogged():
                return self._get(headers or {})
        finally:
            slow.cancel()

    def close(self) -> None:
        """Break off whatever is being waited for. For any thread."""
        self._closed = True
        self._break_off()

    def release(self) -> None:
        """Free the connection. For the thread that asked."""
        if self._client is not None:
            with contextlib.suppress(httpx.HTTPError, OSError, RuntimeError), unlogged():
                self._client.close()
            self._client = None

    def _get(self, headers: dict[str, str]) -> httpx.Response:
        offer: Offer | None = None
        for _ in range(_MOST_REQUESTS):
            response = self._send(headers, offer)
            if response.is_success:
                # from now on silence is that of a camera which has answered
                response.request.extensions["timeout"]["read"] = READ_TIMEOUT
                return response
            response.close()
            if response.status_code == httpx.codes.UNAUTHORIZED:
                offer = self._choose_offer(response, offer)
            elif response.has_redirect_location:
                offer = None
                self._redirect(response)
            else:
                raise SourceError(self._refusal(response))
        raise SourceError(f"{self.address.shown} redirects again and again: see the address")

    def _send(self, headers: dict[str, str], offer: Offer | None) -> httpx.Response:
        if self._client is None:
            over_tls = self.address.scheme == "https"
            self._client = httpx.Client(verify=tls_context(self._certificate) if over_tls else False)
        try:
            request = self._client.build_request(
                "GET",
                self.address.bare_url,
                headers={"User-Agent": "rededge", "Accept": "*/*", "Accept-Encoding": "identity"} | headers,
                timeout=CONNECT_TIMEOUT,
                extensions={"trace": self._note_socket},
            )
            if offer is not None:
                sign(request, offer, self.address.user or "", self.address.password or "")
            return self._client.send(request, stream=True, auth=_NO_AUTHENTICATION, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._unreachable(error) from None

    def _choose_offer(self, response: httpx.Response, answered: Offer | None) -> Offer:
        """The offer to answer.

        Raises:
            SourceError: there is none that can be answered, or the answer was refused.
        """
        shown, headers = self.address.shown, response.headers.get_list("www-authenticate")
        offers = " and ".join(sorted({each.scheme.capitalize() for each in parse_offers(headers)})) or "nothing"
        if self.address.user is None:
            raise SourceError(f"{shown} answers 401 and asks for user and password: put them into the address")
        offer = best_offer(headers)
        if offer is None:
            raise SourceError(f"{shown} answers 401 and offers {offers} to sign in, which is not known here")
        outdated = offer.parameters.get("stale", "").lower() == "true"
        if answered is not None and not outdated:
            raise SourceError(f"{shown} answers 401 and refuses user and password ({offers}): see those in the address")
        return offer

    def _redirect(self, response: httpx.Response) -> None:
        target = str(httpx.URL(self.address.bare_url).join(response.headers["location"]))
        try:
            found = self.address.redirected(target)
        except SourceError as error:
            raise SourceError(f"{self.address.shown} redirects to an address that cannot be used: {error}") from None
        if found.scheme not in ("http", "https"):
            raise SourceError(f"{self.address.shown} redirects to {found.shown}: take that address")
        if found.scheme != self.address.scheme:
            self.release()
        self.address = found

    def _refusal(self, response: httpx.Response) -> str:
        code = response.status_code
        hints = {
            403: "the user of the address may not see this",
            404: "see the path of the address",
            503: "the camera may have too many viewers",
        }
        hint = hints.get(code, "see the address" if code < 500 else "the camera has a problem")
        return f"{self.address.shown} answers {code} {response.reason_phrase}: {hint}"

    def _unreachable(self, error: Exception) -> SourceError:
        refused = _cause(error, ssl.SSLCertVerificationError)
        if refused is not None:
            reason = getattr(refused, "verify_message", None) or str(refused)
            return SourceError(
                f"the certificate of {self.address.shown} is not trusted ({reason}): if it is the camera's own, trust "
                f"it with the option `certificate` and its SHA-256 fingerprint{self._shown_fingerprint()}"
            )
        if _cause(error, ssl.SSLError) is not None:
            return SourceError(
                f"{self.address.shown} answers, but not with TLS that can be used ({_reason(error)}): see whether the "
                "address begins with https: or http:"
            )
        if isinstance(error, httpx.ProxyError):
            return SourceError(f"the proxy of the environment refuses {self.address.shown}: {_reason(error)}")
        if isinstance(error, httpx.ProtocolError | httpx.InvalidURL | httpx.DecodingError):
            return SourceError(f"{self.address.shown} answers, but not as HTTP does ({_reason(error)})")
        return unreachable(self.address.shown, error)

    def _shown_fingerprint(self) -> str:
        """The fingerprint of the certificate that the camera shows, for a message."""
        try:
            text = ssl.get_server_certificate((self.address.host, self.address.port or 443), timeout=CONNECT_TIMEOUT)
            digits = fingerprint(ssl.PEM_cert_to_DER_cert(text)).upper()
        except (OSError, ValueError):
            return ""
        pairs = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
        return f" (it shows {pairs}; compare that with the camera's own page)"

    def _note_socket(self, event: str, info: dict[str, Any]) -> None:
        """Remember the socket of a connection, to break it off. Called by httpx at every step."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._closed:
                self._break_off()

    def _break_off(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # that of the plain socket: the one for TLS is not made for two threads
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def unreachable(shown: str, error: Exception) -> SourceError:
    """The error for a camera that does not answer."""
    return SourceError(
        f"{shown} does not answer ({_reason(error)}): see whether the camera is on and the address right"
    )


def read_error(shown: str, error: Exception) -> SourceError:
    """The error for a camera that stops sending in the middle."""
    return SourceError(f"{shown} sends no more ({_reason(error)})")


def _reason(error: Exception) -> str:
    """The cause of an error, in words."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "it was silent for too long"
    inner = _cause(error, OSError)
    return getattr(inner, "strerror", None) or str(error) or type(error).__name__


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The first error of a kind among an error and its causes."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
