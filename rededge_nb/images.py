"""Images: their types, reading the size from a file's header without decoding it, and encoding as JPEG."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.errors import SourceError
from rededge_nb.settings import MAX_PIXELS

Image = NDArray[np.uint8]
"""Pixels: uint8 of shape (height, width, 3), in the order blue, green, red."""
ImageOrJpeg = Image | bytes
"""An image, or one that is encoded as JPEG."""

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
IMAGE_SUFFIXES = JPEG_SUFFIXES | {".png", ".bmp", ".webp"}

MAX_IMAGE_FILE_BYTES = 64 * 1024 * 1024
"""Size above which an encoded image is refused."""

_JPEG_START = b"\xff\xd8"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Every start-of-frame marker; C4, C8 and CC are something else.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKERS_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def is_jpeg(data: bytes) -> bool:
    """Whether the data begins like a JPEG."""
    return data.startswith(_JPEG_START)


def image_size_wh(data: bytes) -> tuple[int, int] | None:
    """Width and height in the header of a JPEG, PNG, BMP or WebP image; None if it has none."""
    try:
        if data.startswith(_JPEG_START):
            return _jpeg_size_wh(data)
        if data.startswith(_PNG_START):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"BM"):
            return _bmp_size_wh(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size_wh(data)
    except struct.error:
        return None
    return None


def checked_size_wh(data: bytes, what: str) -> tuple[int, int]:
    """The size of an image, if it may be decoded.

    Args:
        data: The encoded image.
        what: Its name, for the message.

    Raises:
        SourceError: It is not an image, or too large.
    """
    size_wh = image_size_wh(data)
    if size_wh is None or not size_wh[0] or not size_wh[1]:
        raise SourceError(f"{what} is not an image, or is damaged: repair or remove it")
    check_size(size_wh, what)
    return size_wh


def check_size(size_wh: tuple[int, int], what: str) -> None:
    """Refuse an image that would use too much memory.

    Raises:
        SourceError: It has more than MAX_PIXELS.
    """
    width, height = size_wh
    if width * height > MAX_PIXELS:
        raise SourceError(
            f"{what} has {width}x{height} pixels, more than the {MAX_PIXELS // 1_000_000} million that are allowed: "
            "make it smaller"
        )


def decode_image(image: ImageOrJpeg, what: str) -> Image:
    """The pixels of an image or a JPEG.

    Args:
        image: Pixels are returned as they are.
        what: Its name, for the message.

    Raises:
        SourceError: the JPEG is too large or cannot be decoded.
    """
    if not isinstance(image, bytes):
        return image
    checked_size_wh(image, what)
    decoded: Image | None = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise SourceError(f"{what} is not an image that can be decoded")
    return decoded


def encode_jpeg(image: Any, *, quality: int) -> bytes:
    """Encode an image.

    Raises:
        SourceError: JPEG does not support its size or type.
    """
    try:
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise SourceError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be a JPEG: {error}"
        ) from error
    if not ok:
        raise SourceError(f"an image of shape {image.shape} and type {image.dtype} cannot be encoded as JPEG")
    return bytes(data)


def _jpeg_size_wh(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _MARKERS_ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _bmp_size_wh(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    # A negative height means rows from top to bottom.
    return abs(width), abs(height)


def _webp_size_wh(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8X":
        low, high = data[24:27], data[27:30]
        if len(high) == 3:
            return int.from_bytes(low, "little") + 1, int.from_bytes(high, "little") + 1
    return None
