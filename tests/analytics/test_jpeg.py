"""The end of a JPEG, whatever follows it, and none where it is cut off."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rededge_nb.analytics.jpeg import JpegWalk, find_jpeg_end

NOISE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
KINDS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
    "optimized": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "best": [cv2.IMWRITE_JPEG_QUALITY, 100],
}


def encoded(options: list[int]) -> bytes:
    return bytes(cv2.imencode(".jpg", NOISE, options)[1].tobytes())


def with_thumbnail(jpeg: bytes) -> bytes:
    """A JPEG that holds another one, end marker and all, as those of phones do."""
    inner = bytes(cv2.imencode(".jpg", NOISE[:8, :8])[1].tobytes())
    return jpeg[:2] + b"\xff\xe1" + (2 + len(inner)).to_bytes(2) + inner + jpeg[2:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trailer", [b"", bytes(6000), b"\xff\xd9", b"\xff\xd8\xff\xe0 another", b"ftypmp42" * 500])
def test_the_end_is_found_whatever_follows(kind: str, trailer: bytes) -> None:
    for jpeg in (encoded(KINDS[kind]), with_thumbnail(encoded(KINDS[kind]))):
        assert find_jpeg_end(jpeg + trailer) == len(jpeg)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_one_has_no_end_whatever_follows(kind: str) -> None:
    jpeg = with_thumbnail(encoded(KINDS[kind]))
    for length in (*range(0, len(jpeg), 97), len(jpeg) - 2, len(jpeg) - 1):
        assert find_jpeg_end(jpeg[:length]) is None
        # one of those bytes may complete a marker
        assert find_jpeg_end(jpeg[:length] + bytes(9000)) is None
    assert find_jpeg_end(jpeg[: len(jpeg) // 2] + encoded([])) is None


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_that_come_little_by_little(step: int) -> None:
    jpeg = with_thumbnail(encoded(KINDS["progressive"]))
    walk = JpegWalk()
    data = bytearray()
    for at in range(0, len(jpeg), step):
        assert walk.find_end(data) is None
        data += jpeg[at : at + step]
    assert walk.find_end(data + b"more") == len(jpeg)
    assert walk.size_wh == (64, 48)
    assert walk.has_huffman_tables


def test_tables_that_are_missing_are_noticed() -> None:
    jpeg = encoded([])
    at = jpeg.index(b"\xff\xc4")
    length = int.from_bytes(jpeg[at + 2 : at + 4])
    walk = JpegWalk()
    without = jpeg
    while (at := without.find(b"\xff\xc4")) >= 0:
        length = int.from_bytes(without[at + 2 : at + 4])
        without = without[:at] + without[at + 2 + length :]
    assert walk.find_end(without) == len(without)
    assert not walk.has_huffman_tables


def test_damage_is_told_from_a_lack_of_data() -> None:
    jpeg = encoded([])
    with pytest.raises(ValueError, match="another image begins"):
        JpegWalk().find_end(jpeg[:-100] + jpeg)
    with pytest.raises(ValueError, match="no valid length"):
        JpegWalk().find_end(b"\xff\xd8\xff\xe0\0\0")
    assert find_jpeg_end(b"\x89PNG") is None
    assert find_jpeg_end(b"") is None
