"""Where a JPEG ends.

OpenCV fills the missing part of a truncated JPEG with grey and reports no error, so that a frame would be counted that
is only partly there. To look for the end marker in the last bytes is not enough: phones and cameras append a video, a
second image or padding. So the markers are walked from the start of the image to its end, as ITU-T T.81, annex B,
describes them: every segment says how long it is, and only the compressed data of a scan has to be searched.
"""

from __future__ import annotations

import re

JPEG_START = b"\xff\xd8"

_END, _START, _SCAN, _HUFFMAN_TABLES = 0xD9, 0xD8, 0xDA, 0xC4
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment that states the size. C4, C8 and CC are something else."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In compressed data, FF 00 is a byte of the data, FF D0 to FF D7 are restarts, and FF FF is a fill byte."""


class JpegWalk:
    """Walks the markers of one JPEG, whose bytes may arrive little by little.

    Attributes:
        size_wh: Width and height, once the frame header was reached.
        has_huffman_tables: Whether it can be decoded by itself; frames of MJPEG videos may leave the tables out.
    """

    def __init__(self) -> None:
        self.size_wh: tuple[int, int] | None = None
        self.has_huffman_tables = False
        self._at = len(JPEG_START)
        self._in_scan = False

    def find_end(self, data: bytes | bytearray) -> int | None:
        """The number of bytes up to the end of the image; None where the data ends before.

        Args:
            data: The JPEG from its first byte on. At the next call it may only have grown.

        Raises:
            ValueError: the image is damaged.
        """
        while True:
            if self._in_scan:
                found = _MARKER_IN_SCAN.search(data, self._at)
                if found is None:
                    self._at = max(self._at, len(data) - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            at = self._at
            if at + 2 > len(data):
                return None
            marker = data[at + 1]
            if data[at] != 0xFF or marker == 0x00:
                raise ValueError("there is no marker where a segment ends")
            if marker == _END:
                return at + 2
            if marker == _START:
                raise ValueError("another image begins before its end")
            if marker == 0xFF:
                self._at += 1
            elif marker in _WITHOUT_LENGTH:
                self._at += 2
            elif not self._enter_segment(data, marker):
                return None

    def _enter_segment(self, data: bytes | bytearray, marker: int) -> bool:
        """Read a segment's length, and what is of interest in it; False where the data ends before."""
        at = self._at
        if at + 4 > len(data):
            return False
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2:
            raise ValueError("a segment has no valid length")
        if marker in _FRAME_HEADERS:
            if at + 9 > len(data):
                return False
            self.size_wh = int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if marker == _SCAN and self.size_wh is None:
            raise ValueError("it has no frame header")
        self.has_huffman_tables = self.has_huffman_tables or marker == _HUFFMAN_TABLES
        self._at = at + 2 + length
        self._in_scan = marker == _SCAN
        return True


def find_jpeg_end(data: bytes | bytearray) -> int | None:
    """The number of bytes of the JPEG that data begins with; None where it is truncated or damaged.

    What follows the image, such as padding or the video of a motion photo, is not counted.
    """
    if not data.startswith(JPEG_START):
        return None
    try:
        return JpegWalk().find_end(data)
    except ValueError:
        return None
