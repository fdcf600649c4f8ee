"""The pictures that are served as such: frames with their boxes burnt in, and words where there is no frame."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np

from rededge_nb.display import drawing
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, encode_jpeg
from rededge_nb.live.follow import Picture

JPEG_QUALITY = 85
WAITING_WH = (768, 432)

_JPEG_START = b"\xff\xd8\xff"
_GROUND = (28, 22, 18)
_INK = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_COLUMNS = 44
_LINE_HEIGHT = 34


def picture_jpeg(camera: str, picture: Picture | None, notice: str) -> bytes:
    """What a viewer of the camera sees: the frame with its boxes and what is wrong, or that alone, as JPEG."""
    if picture is None:
        return words_jpeg(f"camera {camera}", notice)
    if picture.detections is None and not notice and picture.frame.jpeg.startswith(_JPEG_START):
        return picture.frame.jpeg
    try:
        image = picture.frame.image()
    except (SourceError, cv2.error) as error:
        return words_jpeg(f"camera {camera}", str(error))
    if picture.detections is not None:
        image = drawing.draw_detections(image, picture.detections)
    if notice:
        image = drawing.draw_notice(image, _printable(notice))
    return encode_jpeg(image, quality=JPEG_QUALITY)


def words_jpeg(title: str, words: str) -> bytes:
    """A picture of words."""
    width, height = WAITING_WH
    image: Image = np.full((height, width, 3), _GROUND, np.uint8)
    lines = textwrap.wrap(_printable(words), _COLUMNS)[:6]
    top = (height - _LINE_HEIGHT * (len(lines) + 1)) // 2
    _line(image, _printable(title), top, scale=0.95, ink=drawing.BOX_COLOR)
    for number, text in enumerate(lines, 1):
        _line(image, text, top + 10 + number * _LINE_HEIGHT, scale=0.75, ink=_INK)
    return encode_jpeg(image, quality=JPEG_QUALITY)


def _line(image: Image, text: str, top: int, *, scale: float, ink: drawing.Color) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    left = (image.shape[1] - width) // 2
    cv2.putText(image, text, (left, top + height), _FONT, scale, ink, 1, cv2.LINE_AA)


def _printable(text: str) -> str:
    """OpenCV's letters are those of ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
