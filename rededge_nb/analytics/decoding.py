"""From the bytes of an image to its pixels, or a reason why not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.jpeg import JPEG_START, find_jpeg_end

IMAGE_BYTES_MOST = 64 * 1024 * 1024


def decode_image(image: bytes | bytearray | str | None) -> NDArray[np.uint8]:
    """The pixels of an image in any format that OpenCV reads; `uint8`, shape (height, width, 3), BGR.

    Args:
        image: The field `image` of a frame's entry. A gear gets text where the bytes happen to be text.

    Raises:
        ValueError: There is none, or it cannot be decoded completely.
    """
    if image is None:
        raise ValueError("the entry has no field 'image'")
    if len(image) > IMAGE_BYTES_MOST:
        raise ValueError(f"the image is too large: {len(image)} bytes, more than {IMAGE_BYTES_MOST}")
    image = image.encode() if isinstance(image, str) else image
    # OpenCV fills the rest of a truncated JPEG with grey, and says nothing
    if image.startswith(JPEG_START) and find_jpeg_end(image) is None:
        raise ValueError(f"the JPEG is truncated or damaged: it has {len(image)} bytes and no end marker")
    try:
        frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    except cv2.error as error:
        if "MAX_IMAGE" in error.err:  # OpenCV looks at an image's header first, and at OPENCV_IO_MAX_IMAGE_PIXELS
            raise ValueError(f"the image would be too large: {len(image)} bytes, and {error.err}") from error
        raise
    if frame is None:
        raise ValueError(f"field 'image' is not an image that can be decoded ({len(image)} bytes)")
    return np.asarray(frame, np.uint8)
