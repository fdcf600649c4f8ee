from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import mjpeg
from rededge_nb.capture.sources.mjpeg import Parser
from rededge_nb.errors import SourceError

ONE, TWO = (
    cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8))[1].tobytes()
    for seed in (1, 2)
)


def part(jpeg: bytes, *, delimiter: bytes = b"--b", length: bool = True, kind: bytes = b"image/jpeg") -> bytes:
    headers = b"Content-Type: %s\r\n" % kind + (b"Content-Length: %d\r\n" % len(jpeg) if length else b"")
    return delimiter + b"\r\n" + headers + b"\r\n" + jpeg + b"\r\n"


STREAMS = {
    "lengths": part(ONE) + part(TWO),
    "no lengths": part(ONE, length=False) + part(TWO, length=False) + b"--b\r\n",
    "dashes in the boundary": part(ONE, delimiter=b"----b", length=False) + part(TWO, delimiter=b"----b"),
    "bare newlines": (part(ONE) + part(TWO)).replace(b"jpeg\r\n", b"jpeg\n").replace(b"--b\r\n", b"--b\n"),
    "preamble": b"\r\nhello\r\n" + part(ONE) + b"\r\n\r\n" + part(TWO),
    "closing delimiter": part(ONE) + part(TWO) + b"--b--\r\n" + part(ONE),
    "sound between": part(ONE) + part(b"--b\r\nla la", kind=b"audio/basic") + part(TWO),
    "empty part": part(b"") + part(ONE) + part(TWO),
    "no type": b"--b\r\n\r\n" + ONE + b"\r\n" + part(TWO),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [1, 7, 1000, 1_000_000])
def test_every_way_of_sending_and_cutting(name: str, step: int) -> None:
    parser = Parser("the camera")
    stream = STREAMS[name]
    parts = [
        part
        for number, at in enumerate(range(0, len(stream), step))
        for part in parser.feed(stream[at : at + step], number)
    ]
    assert [part.jpeg for part in parts] == [ONE, TWO]
    assert parts[0].ts_ms <= parts[1].ts_ms


def test_a_picture_has_the_time_of_its_beginning() -> None:
    parser = Parser("the camera")
    stream = part(ONE)
    assert parser.feed(stream[:100], 1000) == []
    assert parser.feed(stream[100:-10], 2000) == []
    (found,) = parser.feed(stream[-10:], 3000)
    assert found == (ONE, 1000)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"<html>" * 3000, "does not send its pictures as multipart MJPEG"),
        (b"line\r\n" * 2000, "does not send its pictures as multipart MJPEG"),
        (b"--b\r\n" + b"X: y\r\n" * 2000, "does not send its pictures as multipart MJPEG"),
        (b"--b\r\nContent-Length: many\r\n", "does not send its pictures as multipart MJPEG"),
        (b"--b\r\nContent-Length: -1\r\n", "does not send its pictures as multipart MJPEG"),
        (b"--b\r\nContent-Length: 99999999\r\n", "a picture of more than 16 MiB"),
        (part(b"\x89PNG"), "are not JPEG"),
        (part(ONE[:30]), "is not an image, or is damaged"),
    ],
)
def test_what_is_no_such_stream_is_refused(stream: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        Parser("the camera").feed(stream, 0)


def test_an_endless_picture_is_refused_without_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg, "MAX_PART_BYTES", 10_000)
    parser = Parser("the camera")
    parser.feed(b"--b\r\n\r\n", 0)
    for _ in range(10):
        parser.feed(bytes(1000), 0)
    with pytest.raises(SourceError, match="the camera sends a picture of more than"):
        parser.feed(bytes(1), 0)


def test_a_picture_with_too_many_pixels_is_refused() -> None:
    header = ONE.index(b"\xff\xc0")
    bomb = ONE[: header + 5] + b"\xff\xff\xff\xff" + ONE[header + 9 :]
    with pytest.raises(SourceError, match="65535x65535 pixels, more than the 100 million"):
        Parser("the camera").feed(part(bomb), 0)


def test_damaged_streams_give_pictures_or_an_error_and_nothing_else() -> None:
    chance = random.Random(1)
    for _ in range(300):
        stream = bytearray(part(ONE, length=chance.random() < 0.5) + part(TWO))
        for _ in range(chance.randrange(1, 20)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        del stream[chance.randrange(len(stream)) :]
        try:
            found = Parser("the camera").feed(bytes(stream), 0)
        except SourceError:
            continue
        assert all(each.jpeg.startswith(b"\xff\xd8") for each in found)
