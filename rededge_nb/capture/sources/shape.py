"""What is done to pictures on their way: shrinking and mirroring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from rededge_nb.capture.values import parse_size
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, ImageOrJpeg, checked_size_wh


@dataclass(frozen=True)
class Shape:
    """The size that pictures must fit in, if any, and whether left and right are swapped."""

    size_wh: tuple[int, int] | None = None
    flip: bool = False

    @classmethod
    def of(cls, size: str | tuple[int, int] | None, *, flip: bool) -> Self:
        """A shape from the options of `open_source`.

        Raises:
            ConfigurationError: the size is not usable.
        """
        return cls(None if size is None else parse_size(size), flip)

    def fitted(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """The size that a picture of `size_wh` gets: its sides keep their ratio, and never grow."""
        width, height = size_wh
        if self.size_wh is None or not width or not height:
            return size_wh
        scale = min(1.0, self.size_wh[0] / width, self.size_wh[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def apply(self, picture: ImageOrJpeg) -> ImageOrJpeg:
        """The picture in this shape: an image, or the very same JPEG if nothing needs to be done to it.

        Raises:
            SourceError: it must be decoded for this, and cannot be.
        """
        if self.size_wh is None and not self.flip:
            return picture
        if isinstance(picture, bytes):
            size_wh = checked_size_wh(picture, "the picture")
            if not self.flip and self.fitted(size_wh) == size_wh:
                return picture
            decoded: Image | None = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                raise SourceError("a JPEG of the source cannot be decoded, so that it cannot be shrunk or mirrored")
            picture = decoded
        height, width = picture.shape[:2]
        size_wh = self.fitted((width, height))
        image: Image = picture
        if size_wh != (width, height):
            image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
        return cv2.flip(image, 1) if self.flip else image
