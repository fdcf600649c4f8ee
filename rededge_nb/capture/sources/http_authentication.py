"""Signing in to a camera over HTTP: the best of the ways that it offers is taken.

Cameras offer several at once, in several headers or in one: Digest with SHA-256, Digest with MD5, Basic. The
computation is that of httpx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

_STRENGTH = {"MD5": 1, "MD5-SESS": 1, "SHA": 2, "SHA-SESS": 2, "SHA-256": 3, "SHA-256-SESS": 3}
_STRENGTH |= {"SHA-512": 4, "SHA-512-SESS": 4}
"""Algorithms of Digest that httpx knows."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?!\s*=)[ \t]*")
_PARAMETER = re.compile(rf"[\s,]*({_WORD})\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s,]*)")


@dataclass(frozen=True)
class Offer:
    """One way to sign in, as a server offers it."""

    scheme: str
    header: str
    parameters: dict[str, str]

    @property
    def strength(self) -> int:
        """How good it is; 0 where it cannot be used."""
        if self.scheme == "basic":
            return 1
        if self.scheme != "digest" or not {"realm", "nonce"} <= self.parameters.keys():
            return 0
        qop = self.parameters.get("qop", "")
        if qop and "auth" not in [each.strip() for each in qop.lower().split(",")]:
            return 0
        strength = _STRENGTH.get(self.parameters.get("algorithm", "MD5").upper(), 0)
        return strength and 1 + strength


def parse_offers(headers: list[str]) -> list[Offer]:
    """The offers in the headers `WWW-Authenticate`, each of which may hold several."""
    offers = []
    for header in headers:
        at = 0
        while found := _SCHEME.match(header, at):
            start, at = found.start(1), found.end()
            parameters = {}
            while parameter := _PARAMETER.match(header, at):
                name, value = parameter.groups()
                parameters[name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
                at = parameter.end()
            offers.append(Offer(found[1].lower(), header[start:at], parameters))
    return offers


def best_offer(headers: list[str]) -> Offer | None:
    """The best offer that can be used; None if there is none."""
    usable = [offer for offer in parse_offers(headers) if offer.strength]
    return max(usable, key=lambda offer: offer.strength, default=None)


def sign(request: httpx.Request, offer: Offer, user: str, password: str) -> None:
    """Add the header `Authorization` to a request.

    Raises:
        httpx.ProtocolError: the offer is malformed.
    """
    if offer.scheme == "basic":
        next(httpx.BasicAuth(user, password).auth_flow(request))
        return
    flow = httpx.DigestAuth(user, password).auth_flow(request)
    next(flow)
    flow.send(httpx.Response(401, headers={"WWW-Authenticate": offer.header}, request=request))
