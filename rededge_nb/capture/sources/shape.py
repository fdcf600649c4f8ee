"""What is done to images on their way: shrinking and mirroring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from rededge_nb.capture.sources.problems import BadImageError
from rededge_nb.capture.values import parse_size
from rededge_nb.errors import SourceError
from rededge_nb.images import ImageOrJpeg, checked_size_wh, decode_image


@dataclass(frozen=True)
class Shape:
    """The size that images must fit in, if any, and whether left and right are swapped."""

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
        """The size that an image of `size_wh` gets: its sides keep their ratio, and never grow."""
        width, height = size_wh
        if self.size_wh is None or not width or not height:
            return size_wh
        scale = min(1.0, self.size_wh[0] / width, self.size_wh[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def apply(self, image: ImageOrJpeg) -> ImageOrJpeg:
        """The image in this shape, or the very same JPEG if nothing needs to be done to it.

        Raises:
            BadImageError: it has to be decoded for this, and cannot be.
        """
        if self.size_wh is None and not self.flip:
            return image
        try:
            if isinstance(image, bytes):
                size_wh = checked_size_wh(image, "the image")
                if not self.flip and self.fitted(size_wh) == size_wh:
                    return image
            decoded = decode_image(image, "the image")
        except SourceError as error:
            raise BadImageError(str(error)) from error
        height, width = decoded.shape[:2]
        size_wh = self.fitted((width, height))
        if size_wh != (width, height):
            decoded = np.asarray(cv2.resize(decoded, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        return cv2.flip(decoded, 1) if self.flip else decoded
