"""What the header of an encoded image tells before anything is decoded: its kind, its size, whether it is animated."""

from __future__ import annotations

import re
import struct

_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_MARKERS_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_LONG = 256, 257, 4
_WEBP_ANIMATED = 0x02
_AVIF_BRANDS, _HEIC_BRANDS = (b"avif", b"avis"), (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_STARTS = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"BM", "BMP"),
)
_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")


def image_kind(data: bytes) -> str | None:
    """The kind of image that data begins as: JPEG, PNG, GIF, TIFF, JPEG 2000, BMP, WebP, AVIF, HEIC or PNM."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        brands = data[8:12], data[16 : max(16, int.from_bytes(data[:4]))]
        if any(brand in part for brand in _AVIF_BRANDS for part in brands):
            return "AVIF"
        return "HEIC" if data[8:12] in _HEIC_BRANDS else None
    return "PNM" if _PNM.match(data) else None


def image_size_wh(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of an image tells; None where it tells none, or its kind is not known."""
    read_size = {
        "JPEG": _jpeg_size_wh,
        "PNG": _png_size_wh,
        "GIF": _gif_size_wh,
        "TIFF": _tiff_size_wh,
        "JPEG 2000": _jpeg_2000_size_wh,
        "BMP": _bmp_size_wh,
        "WebP": _webp_size_wh,
        "AVIF": _avif_size_wh,
        "PNM": _pnm_size_wh,
    }.get(image_kind(data) or "")
    try:
        return read_size(data) if read_size else None
    except struct.error:
        return None


def is_animated(data: bytes) -> bool:
    """Whether an image may have more than one frame."""
    match image_kind(data):
        case "GIF":
            return True
        case "PNG":
            control, pixels = data.find(b"acTL"), data.find(b"IDAT")
            return 0 < control < pixels
        case "WebP":
            return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & _WEBP_ANIMATED)
        case "AVIF":
            return data[8:12] == b"avis"
    return False


def _jpeg_size_wh(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _JPEG_MARKERS_ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _png_size_wh(data: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", data, 16)


def _gif_size_wh(data: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", data, 6)


def _tiff_size_wh(data: bytes) -> tuple[int, int] | None:
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    sizes = {}
    for entry in range(count):
        tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            (sizes[tag],) = struct.unpack_from(order + ("I" if kind == _TIFF_LONG else "H"), data, at + 10 + 12 * entry)
    return (sizes[_TIFF_WIDTH], sizes[_TIFF_HEIGHT]) if len(sizes) == 2 else None


def _jpeg_2000_size_wh(data: bytes) -> tuple[int, int] | None:
    at = data.find(b"ihdr")
    if at < 0:
        return None
    height, width = struct.unpack_from(">II", data, at + 4)
    return width, height


def _bmp_size_wh(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    # A negative height means rows from top to bottom.
    return abs(width), abs(height)


def _webp_size_wh(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8X":
        low, high = data[24:27], data[27:30]
        if len(high) == 3:
            return int.from_bytes(low, "little") + 1, int.from_bytes(high, "little") + 1
    return None


def _avif_size_wh(data: bytes) -> tuple[int, int] | None:
    """The largest of the sizes in it: parts and thumbnails have sizes of their own."""
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data[: 1 << 16])]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _pnm_size_wh(data: bytes) -> tuple[int, int] | None:
    found = _PNM.match(data)
    return (int(found[1]), int(found[2])) if found else None
