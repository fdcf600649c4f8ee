"""From the bytes of an image to its pixels, or a reason why not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.jpeg import JPEG_START, find_jpeg_end

IMAGE_BYTES_MOST = 64 * 1024 * 1024
SMALL_WIDTH = 64
"""Least width of the image in which movement is looked for, in pixels."""


def decode_image(image: bytes | bytearray | str | None) -> NDArray[np.uint8]:
    """The pixels of an image in any format that OpenCV reads; `uint8`, shape (height, width, 3), BGR.

    Args:
        image: The field `image` of a frame's entry. A gear gets text where the bytes happen to be text.

    Raises:
        ValueError: There is none, or it cannot be decoded completely.
    """
    data = _encoded(image)
    try:
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        if "MAX_IMAGE" in error.err:  # OpenCV looks at an image's header first, and at OPENCV_IO_MAX_IMAGE_PIXELS
            raise ValueError(f"the image would be too large: {data.size} bytes, and {error.err}") from error
        raise
    if frame is None:
        raise ValueError(f"field 'image' is not an image that can be decoded ({data.size} bytes)")
    return np.asarray(frame, np.uint8)


def decode_small(image: bytes | bytearray | str | None, frame_wh: tuple[int, int]) -> NDArray[np.uint8] | None:
    """A small grey image, to see whether something moves; `uint8`, shape (height, width).

    It has an eighth of the frame's width and height; a quarter or a half where that would be less than `SMALL_WIDTH`.
    The decoder of JPEG makes it without decoding everything.

    Args:
        image: As in `decode_image`.
        frame_wh: Width and height of the frame in pixels.

    Returns:
        None for what cannot be decoded: `decode_image` says why.
    """
    width = frame_wh[0]
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 if width >= 8 * SMALL_WIDTH else cv2.IMREAD_REDUCED_GRAYSCALE_4
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_2 if width < 4 * SMALL_WIDTH else flags
    try:
        small = cv2.imdecode(_encoded(image), flags)
    except (cv2.error, ValueError):
        return None
    return None if small is None else np.asarray(small, np.uint8)


def _encoded(image: bytes | bytearray | str | None) -> NDArray[np.uint8]:
    """The bytes of an image, which are complete as far as one can see without decoding.

    Raises:
        ValueError: They are missing, too many, or a JPEG that breaks off.
    """
    if image is None:
        raise ValueError("the entry has no field 'image'")
    if len(image) > IMAGE_BYTES_MOST:
        raise ValueError(f"the image is too large: {len(image)} bytes, more than {IMAGE_BYTES_MOST}")
    image = image.encode() if isinstance(image, str) else image
    # OpenCV fills the rest of a truncated JPEG with grey, and says nothing
    if image.startswith(JPEG_START) and find_jpeg_end(image) is None:
        raise ValueError(f"the JPEG is truncated or damaged: it has {len(image)} bytes and no end marker")
    return np.frombuffer(image, np.uint8)
