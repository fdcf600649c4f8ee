"""Pictures of a few hundred bytes that would take gigabytes: headers built by hand."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

SIDE = 60_000


def jpeg(width: int = SIDE, height: int = SIDE) -> bytes:
    """A real JPEG whose frame header tells another size; its end marker is there."""
    ok, encoded = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))
    assert ok
    data = bytearray(encoded.tobytes())
    struct.pack_into(">HH", data, data.find(b"\xff\xc0") + 5, height, width)
    return bytes(data)


def png(width: int = SIDE, height: int = SIDE) -> bytes:
    """A PNG that begins with a megabyte of black, which packs well."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def bmp(width: int = SIDE, height: int = SIDE) -> bytes:
    """A BMP with run-length coding, in which two bytes are up to 255 pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    data = header + bytes(1024) + b"\xff\x00" * 100 + b"\x00\x01"
    return b"BM" + struct.pack("<IHHI", 14 + len(data), 0, 0, 14 + 40 + 1024) + data


def webp(width: int = 16_384, height: int = 16_384) -> bytes:
    """A lossless WebP header with the largest sides that fit in it."""
    bits = (width - 1) | (height - 1) << 14
    payload = b"\x2f" + struct.pack("<I", bits) + bytes(32)
    chunk = b"VP8L" + struct.pack("<I", len(payload)) + payload + bytes(len(payload) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def tiff(width: int = SIDE, height: int = SIDE) -> bytes:
    """A TIFF of one packed strip."""
    strip = zlib.compress(bytes(100_000), 9)
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(strip)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BELOW_OPENCV_S_OWN_LIMIT = (20_000, 15_000)
ALL = {
    "jpeg": jpeg(),
    "png": png(),
    "jpeg of 300 Mpx": jpeg(*BELOW_OPENCV_S_OWN_LIMIT),
    "png of 300 Mpx": png(*BELOW_OPENCV_S_OWN_LIMIT),
    "bmp": bmp(),
    "webp": webp(),
    "tiff": tiff(),
}
