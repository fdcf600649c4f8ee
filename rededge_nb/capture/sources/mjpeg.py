"""Taking apart `multipart/x-mixed-replace`, in which network cameras send JPEG after JPEG."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rededge_nb.errors import SourceError
from rededge_nb.images import checked_size_wh, is_jpeg

MAX_PART_BYTES = 16 * 1024 * 1024
"""Size of a picture above which the stream is given up."""

_MAX_LINE_BYTES = 8 * 1024
_MAX_LINES = 1000


class Part(NamedTuple):
    """A JPEG, and when its first bytes had come."""

    jpeg: bytes
    ts_ms: int


class Parser:
    """Takes bytes as they come and gives the JPEG pictures in them; never holds more than one picture.

    The delimiter is the first line that begins with two dashes: what cameras announce in their `Content-Type` is too
    often not what they send. A part ends where its `Content-Length` says, or else at the next delimiter.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._data = bytearray()
        self._expects: Literal["delimiter", "headers", "body", "nothing"] = "delimiter"
        self._delimiter = b""
        self._lines = 0
        self._length: int | None = None
        self._wanted = True
        self._searched = 0
        self._ts_ms = 0

    def feed(self, data: bytes, ts_ms: int) -> list[Part]:
        """Take the next bytes, received at `ts_ms`; returns the pictures that they complete.

        Raises:
            SourceError: this is no such stream, or a picture in it is too large or no JPEG.
        """
        self._data += data
        parts: list[Part] = []
        while self._expects != "nothing":
            if self._expects == "body":
                body = self._take_body()
                if body is None:
                    break
                self._expects = "delimiter"
                if self._wanted and body:
                    parts.append(self._checked(body))
            else:
                line = self._take_line()
                if line is None:
                    break
                self._read_delimiter(line) if self._expects == "delimiter" else self._read_header(line, ts_ms)
        return parts

    def _take_line(self) -> bytes | None:
        end = self._data.find(b"\n", 0, _MAX_LINE_BYTES)
        if end < 0:
            if len(self._data) >= _MAX_LINE_BYTES:
                raise self._garbled()
            return None
        self._lines += 1
        if self._lines > _MAX_LINES:
            raise self._garbled()
        line = bytes(self._data[:end]).rstrip()
        del self._data[: end + 1]
        return line

    def _read_delimiter(self, line: bytes) -> None:
        if not self._delimiter and line.startswith(b"--") and len(line) > 2:
            self._delimiter = line
        if self._delimiter and line == self._delimiter + b"--":
            self._expects = "nothing"
        elif self._delimiter and line == self._delimiter:
            self._expects, self._length, self._wanted = "headers", None, True

    def _read_header(self, line: bytes, ts_ms: int) -> None:
        if not line:
            self._expects, self._lines, self._searched, self._ts_ms = "body", 0, 0, ts_ms
            return
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name == b"content-length":
            # Enough digits for any picture; `int` would take its time over a million of them.
            if not value.isdigit() or len(value) > 12:
                raise self._garbled()
            self._length = int(value)
            if self._length > MAX_PART_BYTES:
                raise self._too_large()
        elif name == b"content-type":
            self._wanted = value.lower().startswith(b"image/")

    def _take_body(self) -> bytes | None:
        if self._length is not None:
            end = after = self._length
            if len(self._data) < end:
                return None
        else:
            end = self._data.find(b"\n" + self._delimiter, self._searched)
            if end < 0:
                if len(self._data) > MAX_PART_BYTES:
                    raise self._too_large()
                self._searched = max(0, len(self._data) - len(self._delimiter))
                return None
            after = end + 1
        body = bytes(self._data[:end])
        del self._data[:after]
        return body if self._length is not None else body.removesuffix(b"\r")

    def _checked(self, body: bytes) -> Part:
        if not is_jpeg(body):
            raise SourceError(f"{self._what} sends pictures that are not JPEG: set the camera to MJPEG, or use RTSP")
        checked_size_wh(body, f"a picture of {self._what}")
        return Part(body, self._ts_ms)

    def _garbled(self) -> SourceError:
        return SourceError(f"{self._what} does not send its pictures as multipart MJPEG does: see its address")

    def _too_large(self) -> SourceError:
        return SourceError(
            f"{self._what} sends a picture of more than {MAX_PART_BYTES >> 20} MiB: lower the camera's resolution"
        )
