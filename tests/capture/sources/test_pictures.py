from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb import images
from rededge_nb.capture.sources import open_source
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import image_size_wh
from tests.paths import WALKING


def encoded(suffix: str, size_wh: tuple[int, int] = (30, 20), brightness: int = 100) -> bytes:
    image = np.full((size_wh[1], size_wh[0], 3), brightness, np.uint8)
    data: bytes = cv2.imencode(suffix, image)[1].tobytes()
    return data


def brightness(image: object) -> int:
    if isinstance(image, bytes):
        image = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert isinstance(image, np.ndarray)
    return round(float(image.mean()))


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    for number in (1, 2, 9, 10, 100):
        (tmp_path / f"shot{number}.jpg").write_bytes(encoded(".jpg", brightness=number + 50))
    (tmp_path / "shot3.png").write_bytes(encoded(".png", brightness=200))
    (tmp_path / "shots.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("pattern", ["*.jpg", "shot[0-9]*.jpg", "./*.jpg", "**/*.jpg"])
def test_a_pattern_is_in_the_order_of_the_numbers(shots: Path, pattern: str) -> None:
    with open_source(f"{shots}/{pattern}") as source:
        assert source.frame_count == 5
        assert [brightness(each) for each in source] == [51, 52, 59, 60, 150]
        assert f"pictures {shots}" in source.describe


def test_a_folder_is_in_the_order_of_the_numbers(shots: Path) -> None:
    with open_source(shots) as source:
        assert [brightness(each) for each in source] == [51, 52, 200, 59, 60, 150]


def test_a_pattern_is_seen_from_where_one_is(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shots)
    with open_source("shot?.jpg", loop=True, fps=3) as source:
        assert (source.frame_count, source.fps) == (3, 3)
        assert [brightness(source.read().image) for _ in range(4)] == [51, 52, 59, 51]


def test_a_file_whose_name_is_a_pattern_is_that_file(shots: Path) -> None:
    (shots / "shot[1].jpg").write_bytes(encoded(".jpg", brightness=220))
    with open_source(shots / "shot[1].jpg") as source:
        assert [brightness(each) for each in source] == [220]


def test_a_pattern_that_finds_no_picture(shots: Path) -> None:
    with pytest.raises(SourceError, match=r"no picture fits .*\*\.txt .*1 other files do\): take a pattern"):
        open_source(f"{shots}/*.txt")


def test_pictures_are_shrunk_but_never_enlarged_and_jpeg_stays_where_it_fits(shots: Path) -> None:
    jpeg = (shots / "shot1.jpg").read_bytes()
    with open_source(shots / "shot1.jpg", size="640x480") as source:
        assert source.read().image == jpeg
        assert source.size_wh == (30, 20)
    with open_source(shots / "shot1.jpg", size="20x20") as source:
        assert source.size_wh == (20, 13)
        image = source.read().image
        assert isinstance(image, np.ndarray)
        assert image.shape == (13, 20, 3)


def test_video_is_shrunk_and_mirrored() -> None:
    with open_source(WALKING) as plain, open_source(WALKING, size=(384, 384), flip=True) as changed:
        image, small = plain.read().image, changed.read().image
        assert changed.size_wh == (384, 288)
    assert isinstance(image, np.ndarray)
    expected = cv2.flip(cv2.resize(image, (384, 288), interpolation=cv2.INTER_AREA), 1)
    np.testing.assert_array_equal(small, expected)


def test_a_motion_jpeg_file_is_handed_on_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "motion.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    for value in (20, 120, 220):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    with open_source(path) as source:
        assert source.skip(1) == 1
        jpeg = source.read().image
        assert isinstance(jpeg, bytes)
        assert jpeg in path.read_bytes()
        assert abs(brightness(jpeg) - 120) < 4
        assert (source.size_wh, source.frame_count) == ((64, 48), 3)


@pytest.mark.parametrize("size", ["640", "640x", "x", "0x10", "640x480x3", (640,), (0, 5), "70000x10", "-1x5"])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigurationError, match="size is"):
        open_source(WALKING, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("size_wh", [(30, 20), (1, 1), (257, 1031)])
def test_headers_tell_the_size(suffix: str, size_wh: tuple[int, int]) -> None:
    data = encoded(suffix, size_wh)
    assert image_size_wh(data) == size_wh
    for length in range(min(len(data), 60)):
        assert image_size_wh(data[:length]) in (None, size_wh)


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
    assert image_size_wh(b"GIF89a" + bytes(20)) is None


@pytest.mark.parametrize("name", ["bomb.png", "bomb.jpg"])
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    data = bytearray(encoded(Path(name).suffix))
    if name.endswith("png"):
        data[16:24] = struct.pack(">II", 20_000, 30_000)
    else:
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 30_000, 20_000)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=f"{name} has 20000x30000 pixels, more than the 100 million that are"):
        open_source(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.capture.sources.pictures.MAX_IMAGE_FILE_BYTES", 1 << 20)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(SourceError, match=r"large\.png has 5 MiB, more than the 1 that are"):
        open_source(tmp_path)


def test_the_limit_is_a_hundred_million_pixels() -> None:
    images.check_size((10_000, 10_000), "it")
    with pytest.raises(SourceError):
        images.check_size((10_001, 10_000), "it")
