"""The content of an HTTP answer as a file, for PyAV: read as it arrives, and sought in by further requests."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx

from rededge_nb.capture.sources.address import HTTP, Address
from rededge_nb.capture.sources.http_client import HttpClient, read_error, unlogged
from rededge_nb.errors import SourceError

_HAS_INDEX = b"ftyp"
"""At byte 4 of formats such as MP4, whose index may be at the end: they can be played only by seeking."""


class HttpBody:
    """An answer's content. One that breaks off ends early, and says so in `error`: what has come is used first.

    Attributes:
        name: The address without credentials; PyAV takes it for the file's name, from which relative ones are resolved.
        length: Bytes in all; None where the camera does not tell.
        error: Why it broke off; None if it did not.
    """

    def __init__(self, client: HttpClient, response: httpx.Response) -> None:
        self.name = client.address.bare_url
        self.error: SourceError | None = None
        encoded = "content-encoding" in response.headers
        announced = response.headers.get("content-length", "")
        self.length = int(announced) if announced.isdigit() and not encoded else None
        self._client = client
        self._takes_ranges = response.headers.get("accept-ranges", "").lower() == "bytes"
        self._position = 0
        self._start(response)

    def peek(self, count: int) -> bytes:
        """The first bytes, which can be read again; fewer where there are no more."""
        while len(self._buffer) < count and (more := self._more()):
            self._buffer += more
        return bytes(self._buffer[:count])

    def chunks(self) -> Iterator[bytes]:
        """All bytes, as they arrive.

        Raises:
            SourceError: it broke off.
        """
        while data := self.read(1 << 16):
            yield data
        if self.error is not None:
            raise self.error

    def read(self, count: int = -1) -> bytes:
        """Some bytes, `count` at most; none at the end."""
        if not self._buffer:
            self._buffer += self._more()
        data = bytes(self._buffer[:count] if count >= 0 else self._buffer)
        del self._buffer[: len(data)]
        self._position += len(data)
        return data

    def seekable(self) -> bool:
        """Whether it makes sense to seek."""
        return self.length is not None and (self._takes_ranges or self.peek(8)[4:8] == _HAS_INDEX)

    def tell(self) -> int:
        """How many bytes from the start the next one is."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from another place, with a request of its own.

        Raises:
            OSError: the camera does not send parts.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length or 0}[whence]
        target = base + offset
        if 0 <= target - self._position <= len(self._buffer):
            del self._buffer[: target - self._position]
        elif self.length is not None and target >= self.length:
            self._start(None)
        else:
            self._response_close()
            response = self._client.get({"Range": f"bytes={target}-"} if target else None)
            self._start(response)
            if target and response.status_code != httpx.codes.PARTIAL_CONTENT:
                self._skip(target)
        self._position = target
        return target

    def close(self) -> None:
        """Free the connection."""
        self._response_close()
        self._client.release()

    def _start(self, response: httpx.Response | None) -> None:
        self._response = response
        self._chunks = response.iter_bytes() if response is not None else iter(())
        self._buffer = bytearray()

    def _skip(self, count: int) -> None:
        """Leave out the first bytes of an answer that has all of them."""
        while count > 0 and (data := self._more()):
            self._buffer += data[count:]
            count -= len(data)

    def _more(self) -> bytes:
        try:
            with unlogged():
                return next(self._chunks, b"")
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
            self.error = read_error(self._client.address.shown, error)
            return b""

    def _response_close(self) -> None:
        if self._response is not None:
            with unlogged():
                self._response.close()


def open_nested(address: Address, certificate: str | None, url: str) -> HttpBody:
    """A part of a stream, to which the playlist at an address refers.

    User and password are sent to the host of the playlist only.

    Raises:
        SourceError: it is not at an HTTP address, or cannot be had.
    """
    if url.startswith("crypto"):
        raise SourceError(f"the parts of {address.shown} are encrypted, which cannot be played here")
    found = address.redirected(url)
    if found.scheme not in HTTP:
        raise SourceError(f"{address.shown} refers to a {found.scheme}:// address, which is not followed")
    client = HttpClient(found, certificate)
    return HttpBody(client, client.get())
