"""JPEG after JPEG over HTTP, as network cameras send them, mostly as `multipart/x-mixed-replace`.

What cameras announce is often not what they send: a wrong boundary, a wrong length, blank lines, padding, or no parts
at all. So an image is found by its first bytes, FF D8 FF, and its end by its own markers (`analytics.jpeg`). The
delimiter is the first line that begins with two dashes, wherever it comes again. If it comes before the end of an
image, the image was cut off; what follows the end of an image, up to the next delimiter, belongs to that image.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from rededge_nb.analytics.jpeg import JpegWalk
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.errors import SourceError
from rededge_nb.images import checked_size_wh

MAX_IMAGE_BYTES = 16 * 1024 * 1024
"""Size of an image above which the stream is given up."""

_IMAGE_START = b"\xff\xd8\xff"
_MAX_TEXT_BYTES = 32 * 1024
"""Bytes at the start of a stream in which the first image has to begin."""
_FIRST_DELIMITER = re.compile(rb"(?:^|[\r\n])(--[^\s][^\r\n]{0,200}?)[ \t]*\r?\n")
_KIND = re.compile(rb"(?:^|\n)content-type:[ \t]*([^\s;]*)", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_MAY_BE_JPEG = (b"", b"image/jpeg", b"image/jpg", b"image/pjpeg", b"application/octet-stream")


class Part(NamedTuple):
    """A JPEG, and when its first bytes had come."""

    jpeg: bytes
    ts_ms: int


class MjpegParser:
    """Takes bytes as they come and gives the JPEG images in them; never holds more than one image.

    Attributes:
        ended: Whether the closing delimiter has come.
    """

    def __init__(self, describe: str, problems: Problems) -> None:
        self.ended = False
        self._describe = describe
        self._problems = problems
        self._data = bytearray()
        self._inside: Literal["text", "image", "rest"] = "text"
        """`text` is before an image; `rest` is what follows one, or a part that is none."""
        self._delimiter = b""
        self._had_image = False
        self._walk = JpegWalk()
        self._searched = 0
        self._ts_ms = 0

    def feed(self, data: bytes, ts_ms: int) -> list[Part]:
        """Take the next bytes, received at `ts_ms`; returns the images that they complete.

        Raises:
            SourceError: this is no such stream, or its images are too large or no JPEG.
        """
        self._data += data
        parts: list[Part] = []
        going_on = True
        while going_on and not self.ended:
            match self._inside:
                case "text":
                    going_on = self._read_text(ts_ms)
                case "image":
                    going_on = self._read_image(parts)
                case "rest":
                    going_on = self._skip_rest()
        return parts

    def _read_text(self, ts_ms: int) -> bool:
        """Read up to the next image or delimiter; False where more bytes are needed."""
        start = self._data.find(_IMAGE_START)
        until = start if start >= 0 else len(self._data)
        delimiter = self._find_delimiter(until)
        if delimiter is not None:
            self._note_part_without_image(bytes(self._data[: delimiter[0]]))
            self._pass_delimiter(*delimiter)
            return True
        if start >= 0:
            kind = self._kind_in(bytes(self._data[:start]))
            if kind not in _MAY_BE_JPEG:
                self._inside = "rest"
                return True
            del self._data[:start]
            self._inside, self._walk, self._searched, self._ts_ms = "image", JpegWalk(), 0, ts_ms
            return True
        if len(self._data) > _MAX_TEXT_BYTES:
            if not self._had_image and self._kind_in(bytes(self._data)) in _MAY_BE_JPEG:
                raise SourceError(f"{self._describe} does not send its images as MJPEG does: see its address")
            self._inside = "rest"
            return True
        return False

    def _read_image(self, parts: list[Part]) -> bool:
        """Look for the end of the image that the data begins with; False where more bytes are needed."""
        end, damage = None, ""
        try:
            end = self._walk.find_end(self._data)
        except ValueError as error:
            damage = str(error)
        cut_off = self._delimiter_in_image(len(self._data) if end is None else end)
        if cut_off is not None:
            self._leave_out(f"a JPEG of {self._describe} is cut off after {cut_off} bytes", cut_off)
            self._inside = "text"
            return True
        if damage:
            return self._leave_out(f"a JPEG of {self._describe} is damaged: {damage}", len(_IMAGE_START))
        if end is not None:
            jpeg = bytes(self._data[:end])
            try:
                checked_size_wh(jpeg, f"a JPEG of {self._describe}")
            except SourceError as error:
                return self._leave_out(str(error), end)
            parts.append(Part(jpeg, self._ts_ms))
            self._had_image = True
            self._go_behind_image(end)
            return True
        if len(self._data) > MAX_IMAGE_BYTES:
            raise SourceError(
                f"{self._describe} sends an image of more than {MAX_IMAGE_BYTES >> 20} MiB: lower the camera's "
                "resolution"
            )
        return False

    def _skip_rest(self) -> bool:
        """Leave out everything up to the next delimiter, or image if there are no delimiters."""
        if not self._delimiter:
            start = self._data.find(_IMAGE_START)
            del self._data[: start if start >= 0 else max(0, len(self._data) - len(_IMAGE_START))]
            self._inside = "text"
            return start >= 0
        found = self._find_delimiter(len(self._data))
        if found is None:
            del self._data[: max(0, len(self._data) - len(self._delimiter) - 4)]
            return False
        self._pass_delimiter(*found)
        return True

    def _leave_out(self, reason: str, count: int) -> bool:
        self._problems.skip(reason)
        self._go_behind_image(count)
        return True

    def _go_behind_image(self, count: int) -> None:
        del self._data[:count]
        self._inside = "rest" if self._delimiter else "text"

    def _find_delimiter(self, until: int) -> tuple[int, int, bool] | None:
        """Where the next delimiter begins, where its line ends, and whether it is the last one."""
        if not self._delimiter:
            first = _FIRST_DELIMITER.search(self._data, 0, until)
            if first is None:
                return None
            self._delimiter = bytes(first[1])
            return first.start(1), first.end(), False
        start = self._data.find(self._delimiter, 0, until)
        line = self._data.find(b"\n", start, start + len(self._delimiter) + 4) if start >= 0 else -1
        if line < 0:
            return None
        closing = self._data[start + len(self._delimiter) : line].startswith(b"--")
        return start, line + 1, closing

    def _pass_delimiter(self, _start: int, end: int, closing: bool) -> None:
        del self._data[:end]
        self._inside = "text"
        self.ended = closing

    def _delimiter_in_image(self, until: int) -> int | None:
        """Where a delimiter stands on a line of its own, in data that should be an image up to some byte."""
        if not self._delimiter:
            return None
        line = b"\n" + self._delimiter
        while (at := self._data.find(line, self._searched, until)) >= 0:
            after = self._data[at + len(line) : at + len(line) + 1]
            if not after:
                return None
            if after in b"\r\n-":
                return at + 1
            self._searched = at + 1
        self._searched = max(self._searched, until - len(line))
        return None

    def _note_part_without_image(self, text: bytes) -> None:
        """Count a part that should be an image and is none.

        Raises:
            SourceError: the camera sends images of another kind.
        """
        headers, _, body = text.partition(_blank_line_of(text))
        kind = self._kind_in(headers)
        if kind.startswith(b"image/") and kind not in _MAY_BE_JPEG:
            raise SourceError(
                f"{self._describe} sends {kind.decode(errors='replace')} images, which are not JPEG: set the camera to "
                "MJPEG, or use RTSP"
            )
        if kind in _MAY_BE_JPEG and body.strip():
            self._problems.skip(f"an image of {self._describe} is not JPEG ({len(body.strip())} bytes)")

    @staticmethod
    def _kind_in(headers: bytes) -> bytes:
        found = _KIND.search(headers)
        return found[1].lower() if found else b""


def _blank_line_of(text: bytes) -> bytes:
    """The blank line that ends the headers in a text."""
    found = _BLANK_LINE.search(text)
    return found[0] if found else b"\r\n\r\n"
