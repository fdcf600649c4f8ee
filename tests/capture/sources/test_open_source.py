from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import Captured, Reader, Source, open_source
from rededge_nb.capture.sources.video import as_picture
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import ImageOrJpeg
from tests.paths import WALKING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, whose first pixel tells their number; b is JPEG."""
    for number, name in enumerate(("a.png", "b.jpg", "c.BMP"), 1):
        image = np.full((48, 64, 3), number * 50, np.uint8)
        written = cv2.imencode(Path(name).suffix.lower(), image)[1]
        (tmp_path / name).write_bytes(written.tobytes())
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def brightness(picture: ImageOrJpeg | None) -> int:
    assert picture is not None
    if isinstance(picture, bytes):
        picture = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return round(float(picture.mean()))


def test_video_tells_its_figures_and_gives_images() -> None:
    with open_source(WALKING) as source:
        assert (source.fps, source.native_fps, source.frame_count, source.size_wh) == (10.0, 10.0, 795, (768, 576))
        assert not source.live
        image = source.read().image
        assert isinstance(image, np.ndarray)
        assert image.shape == (576, 768, 3)
        assert image.dtype == np.uint8
        assert str(WALKING) in source.describe
        assert "768x576, 10 fps, 795 frames" in repr(source)


def test_skipping_reads_the_same_as_reading() -> None:
    with open_source(WALKING) as one, open_source(str(WALKING)) as other:
        for _ in range(3):
            one.read()
        assert other.skip(3) == 3
        np.testing.assert_array_equal(one.read().image, other.read().image)


def test_fps_asked_for_is_told(folder: Path) -> None:
    with open_source(WALKING, fps=2) as source:
        assert (source.fps, source.native_fps) == (2, 10)
    with open_source(folder) as source:
        assert source.fps == 10
    with pytest.raises(ConfigurationError, match="fps is 0"):
        open_source(folder, fps=0)


def test_folder_is_sorted_and_passes_jpeg_on(folder: Path) -> None:
    with open_source(folder) as source:
        pictures = list(source)
        assert source.frame_count == 3
        assert source.size_wh == (64, 48)
    assert [brightness(picture) for picture in pictures] == [50, 100, 150]
    assert [type(picture) for picture in pictures] == [np.ndarray, bytes, np.ndarray]
    assert pictures[1] == (folder / "b.jpg").read_bytes()


def test_one_picture_is_a_source(folder: Path) -> None:
    with open_source(folder / "a.png") as source:
        assert [brightness(picture) for picture in source] == [50]


def test_loop_starts_again(folder: Path) -> None:
    with open_source(folder, loop=True) as source:
        assert [brightness(source.read().image) for _ in range(7)] == [50, 100, 150, 50, 100, 150, 50]
        assert source.skip(4) == 4
        assert brightness(source.read().image) == 150


def test_video_loops(tmp_path: Path) -> None:
    path = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    for value in (20, 120):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    with open_source(path, loop=True) as source:
        found = [brightness(source.read().image) for _ in range(4)]
    assert found == pytest.approx([20, 120, 20, 120], abs=4)


def test_end_is_the_end(folder: Path) -> None:
    with open_source(folder) as source:
        assert source.skip(5) == 3
        assert source.read() is None
        assert source.read() is None


def test_a_source_that_never_yields_is_an_error_even_when_it_loops() -> None:
    class Nothing(Reader):
        def read(self) -> Captured | None:
            return None

    source = Source(Nothing(), describe="nothing", native_fps=1, loop=True)
    with pytest.raises(SourceError, match="nothing has no picture"):
        source.read()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such source: .*gone\.mp4"):
        open_source(tmp_path / "gone.mp4")


def test_not_a_video(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=r"notes\.txt cannot be opened as a video"):
        open_source(folder / "notes.txt")
    assert capfd.readouterr().err == ""


def test_a_row_of_bytes_from_a_webcam_is_its_jpeg_and_nothing_else() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    assert as_picture(np.frombuffer(jpeg, np.uint8)[None]) == jpeg
    assert as_picture(image) is image
    with pytest.raises(SourceError, match="neither an image nor a JPEG"):
        as_picture(np.zeros((1, 20), np.uint8))


def test_a_device_file_that_is_no_webcam() -> None:
    with pytest.raises(SourceError, match="there is no webcam /dev/null"):
        open_source("/dev/null")


@pytest.mark.parametrize("index", [63, "63"])
def test_webcam_that_is_not_there(index: int | str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="there is no webcam 63"):
        open_source(index)
    assert capfd.readouterr().err == ""


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no pictures: put \.bmp, \.jpeg"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["b1.png", "b1.jpeg"])
def test_undecodable_picture_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"not a picture")
    with open_source(folder) as source:
        source.skip(2)
        with pytest.raises(SourceError, match=f"{name} is not a"):
            source.read()


def test_damaged_video_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(WALKING.read_bytes()[:400_000])
    with open_source(path) as source:
        assert 0 < sum(1 for _ in source) < 700
    assert "it may be damaged" in caplog.text
