"""Images: their types, checks before they are decoded, and encoding as JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.errors import SourceError
from rededge_nb.image_headers import image_size_wh
from rededge_nb.settings import MAX_PIXELS

Image = NDArray[np.uint8]
"""Pixels: shape (height, width, 3), blue first."""
ImageOrJpeg = Image | bytes
"""An image, or one that is encoded as JPEG."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif", ".jp2"}
    | {".pbm", ".pgm", ".ppm", ".pnm", ".avif"}
)
"""Ends of the names of image files that can be read, in lower case."""

MAX_IMAGE_FILE_BYTES = 64 * 1024 * 1024
"""Size of an encoded image above which it is refused."""


def size_of(image: ImageOrJpeg) -> tuple[int, int]:
    """Width and height of an image; (0, 0) where an encoded one does not tell."""
    if isinstance(image, bytes):
        return image_size_wh(image) or (0, 0)
    height, width = image.shape[:2]
    return width, height


def checked_size_wh(data: bytes, what: str) -> tuple[int, int]:
    """The size of an encoded image that may be decoded.

    Args:
        data: The encoded image.
        what: Its name, for the message.

    Raises:
        SourceError: it is no image, or too large.
    """
    size_wh = image_size_wh(data)
    if size_wh is None or not size_wh[0] or not size_wh[1]:
        raise SourceError(f"{what} is not an image that can be read, or is damaged: repair it or leave it out")
    check_size(size_wh, what)
    return size_wh


def check_size(size_wh: tuple[int, int], what: str) -> None:
    """Refuse what would take too much memory.

    Raises:
        SourceError: the size is above `MAX_PIXELS`.
    """
    width, height = size_wh
    if width * height > MAX_PIXELS:
        raise SourceError(
            f"{what} has {width}x{height} pixels, more than the {MAX_PIXELS // 1_000_000} million that are allowed: "
            "make it smaller"
        )


def decode_image(image: ImageOrJpeg, what: str) -> Image:
    """The pixels of an image or of an encoded one.

    Args:
        image: Pixels are returned as they are.
        what: Its name, for the message.

    Raises:
        SourceError: it is too large or cannot be decoded.
    """
    if not isinstance(image, bytes):
        return image
    checked_size_wh(image, what)
    try:
        decoded: Image | None = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise SourceError(f"{what} is not an image that can be decoded, or is damaged: repair it or leave it out")
    return decoded


def encode_jpeg(image: Any, *, quality: int) -> bytes:
    """Encode an image.

    Raises:
        SourceError: it has a size or type that JPEG cannot hold.
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
