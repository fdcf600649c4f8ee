"""What headers tell of images, before anything is decoded."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from rededge_nb.image_headers import image_kind, image_size_wh, is_animated


def encoded(suffix: str, size_wh: tuple[int, int] = (30, 20)) -> bytes:
    image = np.full((size_wh[1], size_wh[0], 3), 100, np.uint8)
    return bytes(cv2.imencode(suffix, image[:, :, 0] if suffix == ".pgm" else image)[1].tobytes())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif", ".gif", ".jp2", ".ppm", ".pgm", ".avif"])
@pytest.mark.parametrize("size_wh", [(64, 48), (257, 1031)])
def test_headers_tell_the_size(suffix: str, size_wh: tuple[int, int]) -> None:
    data = encoded(suffix, size_wh)
    assert image_size_wh(data) == size_wh
    for length in range(min(len(data), 500)):
        assert image_size_wh(data[:length]) in (None, size_wh, (0, 0))


def test_headers_of_rarer_kinds() -> None:
    lossless = cv2.imencode(".webp", np.zeros((20, 30, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert image_size_wh(lossless) == (30, 20)
    transparent = cv2.imencode(".webp", np.full((20, 30, 4), 90, np.uint8))[1].tobytes()
    assert image_size_wh(transparent) == (30, 20)
    progressive = cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert image_size_wh(progressive) == (30, 20)
    extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (999).to_bytes(3, "little") + (499).to_bytes(3, "little")
    assert image_size_wh(extended) == (1000, 500)
    upside_down = b"BM" + bytes(12) + struct.pack("<Iii", 40, 30, -20)
    assert image_size_wh(upside_down) == (30, 20)
    padded = b"\xff\xd8" + b"\xff" * 5 + encoded(".jpg")[3:]
    assert image_size_wh(padded) == (30, 20)
    big_endian = b"MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIHHHHIHH", 256, 3, 1, 30, 0, 257, 3, 1, 20, 0) + bytes(4)
    assert image_size_wh(big_endian) == (30, 20)
    assert image_size_wh(b"P6 # a comment\n30\n20 255\n") == (30, 20)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", None),
        (b"text", None),
        (b"P6 is a name", None),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", None),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"RIFF\0\0\0\0AVI LIST", None),
    ],
)
def test_kinds(data: bytes, kind: str | None) -> None:
    assert image_kind(data) == kind
    assert image_size_wh(data) is None


def test_animated_images_are_recognized() -> None:
    assert not is_animated(encoded(".png"))
    assert not is_animated(encoded(".webp"))
    assert not is_animated(encoded(".jpg"))
    assert is_animated(encoded(".gif"))
    png = encoded(".png")
    assert is_animated(png[:33] + b"\0\0\0\x08acTL" + bytes(12) + png[33:])
