from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb import images
from rededge_nb.capture.sources import animation as animation_source
from rededge_nb.capture.sources import open_source
from rededge_nb.errors import ConfigurationError, SourceError
from tests.paths import WALKING
from tests.video_files import gray_levels, write_video


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
    (tmp_path / "shots.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("pattern", ["*.jpg", "shot[0-9]*.jpg", "./*.jpg", "**/*.jpg"])
def test_a_pattern_is_in_the_order_of_the_numbers(shots: Path, pattern: str) -> None:
    with open_source(f"{shots}/{pattern}") as source:
        assert source.frame_count == 5
        assert [brightness(each) for each in source] == [51, 52, 59, 60, 150]
        assert f"images {shots}" in source.describe


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


def test_a_pattern_that_finds_no_image(shots: Path) -> None:
    with pytest.raises(SourceError, match=r"no image fits .*\*\.txt .*1 other files do\): take a pattern"):
        open_source(f"{shots}/*.txt")


def test_images_are_shrunk_but_never_enlarged_and_jpeg_stays_where_it_fits(shots: Path) -> None:
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


@pytest.mark.parametrize("size", ["640", "640x", "x", "0x10", "640x480x3", (640,), (0, 5), "70000x10", "-1x5"])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigurationError, match="size is"):
        open_source(WALKING, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["bomb.png", "bomb.jpg"])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
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
    monkeypatch.setattr("rededge_nb.capture.sources.image_files.MAX_IMAGE_FILE_BYTES", 1 << 20)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(SourceError, match=r"large\.png has 5 MiB, more than the 1 that are"):
        open_source(tmp_path)


def test_the_limit_is_a_hundred_million_pixels() -> None:
    images.check_size((10_000, 10_000), "it")
    with pytest.raises(SourceError):
        images.check_size((10_001, 10_000), "it")


def test_one_bad_image_affects_one_image_only(shots: Path) -> None:
    (shots / "shot2.jpg").write_bytes(b"")
    (shots / "shot9.jpg").write_bytes(encoded(".jpg")[:200])
    (shots / "shot3.png").write_bytes(encoded(".png")[:50])
    with open_source(shots) as source:
        assert [brightness(each) for each in source] == [51, 60, 150]
        (about_images, _) = source.problems.sentences()
    assert source.problems.skipped == 3
    assert "3 images were left out: the image" in about_images
    assert "shot2.jpg is empty" in about_images
    assert "shot9.jpg is damaged or incomplete (200 bytes)" in about_images


def test_a_first_image_that_is_bad_is_no_different(shots: Path) -> None:
    (shots / "shot1.jpg").write_bytes(b"broken")
    with open_source(shots) as source:
        assert source.size_wh == (30, 20)
        assert source.problems.skipped == 1
        assert [brightness(each) for each in source] == [52, 200, 59, 60, 150]


def test_a_folder_with_bad_images_only_is_refused_with_the_reason(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"has no image that can be read: .*a\.jpg is not an image"):
        open_source(tmp_path)


def test_hidden_files_are_ignored(shots: Path) -> None:
    (shots / "._shot1.jpg").write_bytes(b"what a Mac leaves behind")
    (shots / ".shots.db").write_bytes(b"what a file manager leaves behind")
    with open_source(shots) as source:
        assert len(list(source)) == 6
        assert source.problems.skipped == 0
        assert "shots.db" not in str(source.problems.sentences())


def test_every_kind_of_image_in_a_folder_becomes_a_frame_and_the_others_are_named(tmp_path: Path) -> None:
    suffixes = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".ppm", ".avif")
    for number, suffix in enumerate(suffixes, 10):
        (tmp_path / f"{number}{suffix}").write_bytes(encoded(suffix, (64, 48), brightness=number))
    (tmp_path / "20.JFIF").write_bytes(encoded(".jpg", (64, 48), brightness=20))
    (tmp_path / "30.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "31.mp4").write_bytes(b"a video")
    (tmp_path / "32.mp4").write_bytes(b"a video")
    with open_source(tmp_path) as source:
        assert [brightness(each) for each in source] == pytest.approx([*range(10, 21)], abs=1)
        (about_others,) = source.problems.sentences()
    assert "3 files are left out in the folder" in about_others
    assert about_others.endswith(": 1 .heic, 2 .mp4")
    with pytest.raises(SourceError, match="HEIC image, which cannot be decoded here: save it as JPEG"):
        open_source(tmp_path / "30.heic")


def test_an_image_is_read_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(".png", brightness=90))
    (tmp_path / "b").write_bytes(encoded(".webp", brightness=90))
    for name in ("a.jpg", "b"):
        with open_source(tmp_path / name) as source:
            assert [brightness(each) for each in source] == [90]


@pytest.mark.parametrize("trailer", [bytes(6000), b"ftypmp42" * 20_000, encoded(".jpg")])
def test_what_follows_a_jpeg_is_left_out(tmp_path: Path, trailer: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg") + trailer)
    with open_source(tmp_path / "a.jpg") as source:
        assert source.read().image == encoded(".jpg")
        assert source.read() is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_orientation_of_a_phone_is_applied(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = 250  # turned by a quarter, this is the upper half
    exif = np.frombuffer(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", np.uint8)
    ok, data = cv2.imencodeWithMetadata(suffix, image, [cv2.IMAGE_METADATA_EXIF], [exif])
    assert ok
    (tmp_path / f"a{suffix}").write_bytes(data.tobytes())
    with open_source(tmp_path / f"a{suffix}") as source:
        shown = source.read_image()
    assert shown.shape == (60, 40, 3)
    assert shown[:25].mean() > 240
    assert shown[35:].mean() < 10


def test_folders_with_brackets_are_not_part_of_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shots [2024]" / "a*b"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        (folder / f"shot{number}.jpg").write_bytes(encoded(".jpg", brightness=number + 50))
    with open_source(f"{folder}/*.jpg") as source:
        assert len(list(source)) == 3
    monkeypatch.chdir(tmp_path)
    with open_source("shots [2024]/*/shot[12].jpg") as source:
        assert [brightness(each) for each in source] == [51, 52]


def test_animated_images_have_all_their_frames_and_times(tmp_path: Path) -> None:
    frames = [cv2.cvtColor(each, cv2.COLOR_BGR2BGRA) for each in gray_levels(5, step=40)]
    animation = cv2.Animation()
    animation.frames, animation.durations = frames, np.array([100, 100, 300, 100, 100], np.int32)
    for suffix in (".webp", ".png"):
        cv2.imwriteanimation(str(tmp_path / f"a{suffix}"), animation, [cv2.IMWRITE_WEBP_QUALITY, 100])
    write_video(tmp_path / "a.gif", gray_levels(5, step=40), codec="gif", pix_fmt="rgb8")
    for suffix in (".webp", ".png", ".gif"):
        with open_source(tmp_path / f"a{suffix}") as source:
            captured = [source.read() for _ in range(5)]
            assert source.read() is None
        assert [brightness(each.image) for each in captured] == pytest.approx([0, 40, 80, 120, 160], abs=20)
        expected = [0, 0.1, 0.2, 0.3, 0.4] if suffix == ".gif" else [0, 0.1, 0.2, 0.5, 0.6]
        assert [each.position for each in captured] == pytest.approx(expected)
    (tmp_path / "b.jpg").write_bytes(encoded(".jpg", (64, 48), brightness=230))
    with open_source(tmp_path, fps=5) as source:
        positions = [each.position for each in iter(source.read, None)]
        assert positions == pytest.approx([0.2 * number for number in range(16)])


def test_a_long_animation_is_decoded_a_few_frames_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation_source, "_MOST_BYTES", 3 * 64 * 48 * 4)
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(each, cv2.COLOR_BGR2BGRA) for each in gray_levels(20, step=10)]
    animation.durations = np.full(20, 50, np.int32)
    cv2.imwriteanimation(str(tmp_path / "a.webp"), animation, [cv2.IMWRITE_WEBP_QUALITY, 100])
    with open_source(tmp_path / "a.webp", loop=True) as source:
        found = [brightness(source.read().image) for _ in range(25)]
    assert found[:20] == pytest.approx([10 * number for number in range(20)], abs=2)
    assert found[20:] == found[:5]


def test_a_broken_animation_among_images_is_left_out(shots: Path) -> None:
    (shots / "shot0.webp").write_bytes(b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x2f\0\0")
    (shots / "shot4.gif").write_bytes(b"GIF89a" + bytes(4))
    with open_source(shots) as source:
        assert len(list(source)) == 6
    assert source.problems.skipped == 2
