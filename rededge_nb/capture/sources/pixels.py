"""Decoded frames as images: colours to BGR, and upright.

It has to be impossible that an image holds anything but the frame. FFmpeg's conversion leaves its output as it was,
unset memory, where it cannot convert; PyAV raises an error then, which becomes one of ours.
"""

from __future__ import annotations

import struct

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from rededge_nb.errors import SourceError
from rededge_nb.images import Image

# Numbers of ITU-T H.273, as FFmpeg uses them.
_UNSPECIFIED, _BT2020, _BT2020_CONSTANT = 2, 9, 10
_DERIVED = frozenset({12, 13})
"""Matrices that follow from the primaries."""
_MATRIX_OF_PRIMARIES = {1: 1, 5: 5, 6: 6, 7: 7, 9: _BT2020}
_MATRIX_NAMES = {
    8: "YCgCo",
    11: "SMPTE ST 2085",
    12: "derived from the primaries",
    13: "derived from the primaries",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_QUARTER_TURN = 1 << 16
"""One, in the display matrix of a frame."""


class Converter:
    """Turns the frames of one video into images."""

    def __init__(self, describe: str) -> None:
        self._describe = describe
        self._reformatter = VideoReformatter()

    def image(self, frame: VideoFrame) -> Image:
        """The image of a frame, upright.

        Raises:
            SourceError: its colours cannot be converted.
        """
        frame.colorspace = _usable_matrix(frame.colorspace, frame.color_primaries)
        try:
            converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            matrix = _MATRIX_NAMES.get(frame.colorspace, str(frame.colorspace))
            raise SourceError(
                f"the colours of {self._describe} cannot be converted (pixel format {frame.format.name}, matrix "
                f"{matrix}): convert it, for example with `ffmpeg -i INPUT -vf format=yuv420p OUTPUT.mp4`"
            ) from error
        image: Image = converted.to_ndarray()  # type: ignore[assignment]
        return upright(image, display_matrix(frame))


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The first four numbers that say how a frame is to be turned; None where it is shown as it is."""
    if not frame.rotation and not frame.side_data:
        return None
    try:
        data = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", data)
    return a, b, c, d


def upright(image: Image, matrix: tuple[int, ...] | None) -> Image:
    """An image turned by quarters and mirrored as its display matrix says; other angles are ignored."""
    if matrix is None:
        return image
    a, b, c, d = (round(each / _QUARTER_TURN, 2) for each in matrix)
    if b == c == 0 and a and d:
        turned = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    elif a == d == 0 and b and c:
        turned = image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    else:
        return image
    return np.ascontiguousarray(turned)


def _usable_matrix(matrix: int, primaries: int) -> int:
    """The matrix to convert with. Constant luminance differs from the usual one in saturated colours only."""
    if matrix == _BT2020_CONSTANT:
        return _BT2020
    if matrix in _DERIVED:
        return _MATRIX_OF_PRIMARIES.get(primaries, _UNSPECIFIED if primaries == _UNSPECIFIED else matrix)
    return matrix
