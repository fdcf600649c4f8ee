from __future__ import annotations

import random
import re

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import mjpeg
from rededge_nb.capture.sources.mjpeg import MjpegParser, Part
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.errors import SourceError

ONE, TWO = (
    cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8))[1].tobytes()
    for seed in (1, 2)
)


def part(
    jpeg: bytes,
    *,
    delimiter: bytes = b"--b",
    length: int | None = 0,
    kind: bytes = b"image/jpeg",
    blank: bytes = b"\r\n",
    after: bytes = b"\r\n",
) -> bytes:
    """A part whose announced length is off by `length`; None for none."""
    headers = b"Content-Type: %s\r\n" % kind if kind else b""
    headers += b"Content-Length: %d\r\n" % (len(jpeg) + length) if length is not None else b""
    return delimiter + b"\r\n" + headers + blank + jpeg + after


def parse(stream: bytes, step: int = 1 << 20) -> tuple[list[Part], Problems]:
    problems = Problems()
    parser = MjpegParser("the camera", problems)
    found = []
    for number, at in enumerate(range(0, len(stream), step)):
        found += parser.feed(stream[at : at + step], number)
    return found, problems


STREAMS = {
    "lengths": part(ONE) + part(TWO),
    "no lengths": part(ONE, length=None) + part(TWO, length=None) + b"--b\r\n",
    "dashes in the boundary": part(ONE, delimiter=b"----b", length=None) + part(TWO, delimiter=b"----b"),
    "bare newlines": (part(ONE) + part(TWO)).replace(b"jpeg\r\n", b"jpeg\n").replace(b"--b\r\n", b"--b\n"),
    "preamble": b"\r\nhello\r\n" + part(ONE) + b"\r\n\r\n" + part(TWO),
    "closing delimiter": part(ONE) + part(TWO) + b"--b--\r\n" + part(ONE),
    "sound between": part(ONE) + part(b"--b\r\nla la", kind=b"audio/basic") + part(TWO),
    "empty part": part(b"") + part(ONE) + part(TWO),
    "no type": b"--b\r\n\r\n" + ONE + b"\r\n" + part(TWO),
    "octets": part(ONE, kind=b"application/octet-stream") + part(TWO, kind=b"application/octet-stream"),
    "a blank line too many": part(ONE, blank=b"\r\n\r\n") + part(TWO, blank=b"\r\n\r\n"),
    "a length too long": part(ONE, length=2) + part(TWO, length=2),
    "a length too short": part(ONE, length=-100) + part(TWO, length=-100),
    "an absurd length": part(ONE, length=10**9) + part(TWO),
    "a length that is no number": part(ONE).replace(b"Length: ", b"Length: x") + part(TWO),
    "padding": part(ONE + bytes(8192)) + part(TWO + bytes(8192)),
    "a trailer with another image": part(ONE + b"trailer" + TWO[:50] + ONE) + part(TWO),
    "no line end behind an image": part(ONE, after=b"") + part(TWO, after=b""),
    "no line end and no length": part(ONE, length=None, after=b"") + part(TWO, length=None, after=b""),
    "no parts at all": ONE + TWO,
    "no parts, with padding": ONE + bytes(99) + TWO + bytes(99),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [1, 7, 1000, 1_000_000])
def test_every_way_of_sending_and_cutting(name: str, step: int) -> None:
    parts, problems = parse(STREAMS[name], step)
    assert [part.jpeg for part in parts] == [ONE, TWO]
    assert parts[0].ts_ms <= parts[1].ts_ms
    assert problems.skipped == 0


def test_only_the_closing_delimiter_is_the_end() -> None:
    problems = Problems()
    parser = MjpegParser("the camera", problems)
    parser.feed(part(ONE), 0)
    assert not parser.ended
    parser.feed(b"--b--\r\n", 0)
    assert parser.ended


def test_an_image_has_the_time_of_its_beginning() -> None:
    parser = MjpegParser("the camera", Problems())
    stream = part(ONE)
    assert parser.feed(stream[:100], 1000) == []
    assert parser.feed(stream[100:-10], 2000) == []
    (found,) = parser.feed(stream[-10:], 3000)
    assert found == (ONE, 1000)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (part(b"BROKEN"), "is not JPEG"),
        (part(ONE[:300]), "is cut off after"),
        (part(ONE[:300], length=None), "is cut off after"),
        (part(ONE[:-2] + bytes(500)), "is cut off after"),
        (part(b"\0\0" + ONE[2:]), "is not JPEG"),
        (part(ONE[:-100] + TWO), "cut off|another image begins before its end"),
        (part(ONE[:200] + TWO), "cut off|is damaged"),
        (
            part(ONE.replace(b"\xff\xc0\x00\x11\x08\x00\x28\x00\x32", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff")),
            "65535x65535",
        ),
    ],
)
@pytest.mark.parametrize("step", [13, 1_000_000])
def test_one_bad_image_is_left_out_and_counted(bad: bytes, reason: str, step: int) -> None:
    parts, problems = parse(part(ONE) + bad + part(TWO) + part(ONE), step)
    assert [part.jpeg for part in parts] == [ONE, TWO, ONE]
    assert problems.skipped == 1
    assert re.search(reason, problems.reason)


def test_a_stream_without_parts_leaves_out_what_is_cut_off() -> None:
    parts, problems = parse(ONE[:300] + TWO + ONE)
    assert [part.jpeg for part in parts] == [TWO, ONE]
    assert problems.skipped == 1


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"<html>" * 9000, "does not send its images as MJPEG does"),
        (b"line\r\n" * 9000, "does not send its images as MJPEG does"),
        (b"--b\r\n" + b"X: y\r\n" * 9000, "does not send its images as MJPEG does"),
        (
            2 * part(b"\x89PNG", kind=b"image/png"),
            "sends image/png images, which are not JPEG: set the camera to MJPEG",
        ),
    ],
)
@pytest.mark.parametrize("step", [4096, 1_000_000])
def test_what_is_no_such_stream_is_refused(stream: bytes, message: str, step: int) -> None:
    with pytest.raises(SourceError, match=message):
        parse(stream, step)


def test_an_endless_image_is_refused_without_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg, "MAX_IMAGE_BYTES", 10_000)
    parser = MjpegParser("the camera", Problems())
    parser.feed(ONE[:-2], 0)
    for _ in range(5):
        parser.feed(bytes(1000), 0)
    with pytest.raises(SourceError, match="the camera sends an image of more than"):
        parser.feed(bytes(9000), 0)


def test_sound_without_end_is_not_kept() -> None:
    parser = MjpegParser("the camera", Problems())
    parser.feed(part(ONE) + part(b"", kind=b"audio/basic", length=None, after=b""), 0)
    for _ in range(100):
        assert parser.feed(bytes(10_000), 0) == []
    assert len(parser._data) < 40_000
    assert [each.jpeg for each in parser.feed(b"\r\n" + part(TWO), 0)] == [TWO]


def test_damaged_streams_give_whole_images_or_an_error_and_nothing_else() -> None:
    chance = random.Random(1)
    for _ in range(300):
        stream = bytearray(part(ONE, length=chance.choice((0, None))) + part(TWO))
        for _ in range(chance.randrange(1, 20)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        del stream[chance.randrange(len(stream)) :]
        try:
            found, _ = parse(bytes(stream), chance.choice((1, 50, 10_000)))
        except SourceError:
            continue
        assert all(each.jpeg.startswith(b"\xff\xd8") and each.jpeg.endswith(b"\xff\xd9") for each in found)
