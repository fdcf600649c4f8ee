"""Images for viewers without JavaScript: frames with their boxes drawn in, and a text where there is no frame."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np

from rededge_nb.display import drawing
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, encode_jpeg
from rededge_nb.live.follow import FrameWithDetections

JPEG_QUALITY = 85
TEXT_IMAGE_WH = (768, 432)

_JPEG_START = b"\xff\xd8\xff"
_GROUND = (28, 22, 18)
_INK = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_COLUMNS = 44
_LINE_HEIGHT = 34


def render_jpeg(camera: str, found: FrameWithDetections | None, notice: str, silent: bool) -> bytes:
    """JPEG of the frame with its boxes and the notice, or of the notice alone; gray if the camera is silent."""
    if found is None:
        return text_jpeg(f"camera {camera}", notice)
    if found.detections is None and not notice and found.frame.jpeg.startswith(_JPEG_START):
        return found.frame.jpeg
    try:
        image = found.frame.image()
    except (SourceError, cv2.error) as error:
        return text_jpeg(f"camera {camera}", str(error))
    if found.detections is not None:
        image = drawing.draw_detections(image, found.detections, trails=found.trails)
    if silent:
        image = drawing.without_colour(image)
    if notice:
        image = drawing.draw_notice(image, _printable(notice))
    return encode_jpeg(image, quality=JPEG_QUALITY)


def text_jpeg(title: str, text: str) -> bytes:
    """JPEG of a text below a title."""
    width, height = TEXT_IMAGE_WH
    image: Image = np.full((height, width, 3), _GROUND, np.uint8)
    lines = textwrap.wrap(_printable(text), _COLUMNS)[:6]
    top = (height - _LINE_HEIGHT * (len(lines) + 1)) // 2
    _line(image, _printable(title), top, scale=0.95, ink=drawing.BOX_COLOR)
    for number, line in enumerate(lines, 1):
        _line(image, line, top + 10 + number * _LINE_HEIGHT, scale=0.75, ink=_INK)
    return encode_jpeg(image, quality=JPEG_QUALITY)


def _line(image: Image, text: str, top: int, *, scale: float, ink: drawing.Color) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    left = (image.shape[1] - width) // 2
    cv2.putText(image, text, (left, top + height), _FONT, scale, ink, 1, cv2.LINE_AA)


def _printable(text: str) -> str:
    """The text with `?` for characters that OpenCV's fonts lack: they have only ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
