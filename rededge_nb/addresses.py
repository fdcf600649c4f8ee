"""How addresses are shown in messages and logs: scheme, host, port and path, and never what may be a secret.

A password can be in many places of an address: before the `@`, in the query (`?password=…`, as redis-py accepts it),
or in the path of a camera (`/user=admin&password=…`). If it has characters that should be percent-encoded, or if the
scheme is misspelled, a parser puts it somewhere else and quotes it in its error message. So this module does not parse
an address by its rules. It shows the parts that look like a host, a port and a path, and omits everything else.
"""

from __future__ import annotations

import re

OMITTED = "…"
"""Is shown in place of what may be secret."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15})://")
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{0,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9._{}+,~ -]{0,64}")


def shown_address(address: str) -> str:
    """An address as it may be shown to anybody.

    Args:
        address: A Redis address, the address of a camera, or what somebody typed in its place.
    """
    scheme = _SCHEME.match(address)
    begin = scheme[0] if scheme else ""
    rest = address[len(begin) :]
    before, at, location = rest.rpartition("@")
    if "?" in before or "#" in before:
        return begin + OMITTED  # the `@` is in the query, or a password has a `?`: what follows may be a part of it
    location = re.split(r"[?#]", location, maxsplit=1)[0]
    host, slash, path = location.partition("/")
    if not _HOST.fullmatch(host) or not (scheme or at or ":" in host or host == "localhost"):
        return begin + OMITTED
    if begin.lower() in ("redis://", "rediss://") and path and not path.isdigit():
        return begin + host + slash + OMITTED  # it should be the number of a database
    return begin + host + slash + _shown_path(path)


def has_unencoded_characters(address: str) -> bool:
    """Whether a user name or password has characters that must be percent-encoded, so that a parser misreads it."""
    scheme = _SCHEME.match(address)
    before, at, _ = address[scheme.end() if scheme else 0 :].rpartition("@")
    return bool(at) and re.search(r"[/?#@\s\\]", before) is not None


def _shown_path(path: str) -> str:
    """The path up to the first part that may be a secret, such as `user=admin&password=x`."""
    shown: list[str] = []
    for segment in path.split("/"):
        if not _PLAIN_SEGMENT.fullmatch(segment):
            return "/".join([*shown, OMITTED])
        shown.append(segment)
    return "/".join(shown)
