"""Which certificates of cameras are trusted: those of the usual authorities, or one that the user names.

Most cameras have a certificate that they signed themselves. It can be named by its SHA-256 fingerprint, or by a file
that holds it, or the one of an authority of one's own.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import re
import ssl
from pathlib import Path
from typing import Any

import certifi

from rededge_nb.errors import ConfigurationError

_FINGERPRINT = re.compile(r"(?:sha-?256[:=])?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)


@functools.cache
def tls_context(certificate: str | None) -> ssl.SSLContext:
    """What a connection has to look like to be trusted.

    Args:
        certificate: A SHA-256 fingerprint in hexadecimal digits, with or without colons, or the path of a file in PEM
            format; None for the usual authorities.

    Raises:
        ConfigurationError: it is neither.
    """
    if certificate is None:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context
    found = _FINGERPRINT.fullmatch(certificate.strip())
    if found:
        return _PinnedContext.naming(frozenset({found[1].replace(":", "").lower()}), None)
    path = Path(certificate).expanduser()
    try:
        text = path.read_text(encoding="ascii")
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
        named = frozenset(fingerprint(ssl.PEM_cert_to_DER_cert(block)) for block in blocks)
        if not named:
            raise ValueError("it has no certificate in PEM format")
        return _PinnedContext.naming(named, path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"certificate is {certificate!r}: take a SHA-256 fingerprint (64 hexadecimal digits), or a PEM file "
            f"({getattr(error, 'strerror', None) or error})"
        ) from error


def is_fingerprint(certificate: str) -> bool:
    """Whether a certificate is named by its fingerprint, and not by a file."""
    return _FINGERPRINT.fullmatch(certificate.strip()) is not None


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a certificate in DER format, in hexadecimal digits."""
    return hashlib.sha256(certificate).hexdigest()


class _PinnedContext(ssl.SSLContext):
    """Accepts the certificates that were named, and with a file those that they have signed."""

    _named: frozenset[str]
    _by_file: bool

    @classmethod
    def naming(cls, named: frozenset[str], path: Path | None) -> _PinnedContext:
        """A context for certificates with these fingerprints, and those signed with the certificates of a file."""
        self = cls(ssl.PROTOCOL_TLS_CLIENT)
        self._named = named
        self._by_file = path is not None
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE
        if path is not None:
            self.verify_mode = ssl.CERT_REQUIRED
            self.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            self.load_verify_locations(path)
        return self

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Connect, and see whose certificate it is before anything is sent."""
        connected = super().wrap_socket(*arguments, **options)
        shown = fingerprint(connected.getpeercert(binary_form=True) or b"")
        host = str(options.get("server_hostname") or "")
        if shown not in self._named and not (self._by_file and _is_for(connected.getpeercert() or {}, host)):
            connected.close()
            raise ssl.SSLCertVerificationError(f"it shows another certificate, with the SHA-256 fingerprint {shown}")
        return connected


def _is_for(certificate: Any, host: str) -> bool:
    """Whether a certificate is one of a host, as its alternative names say."""
    names = [value.lower() for _, value in certificate.get("subjectAltName", ())]
    return any(fnmatch.fnmatchcase(host.lower(), name) and name.count(".") == host.count(".") for name in names)
