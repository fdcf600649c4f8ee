from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import RecordedSource, open_source
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.recorded import PendingFrame, Reader
from rededge_nb.capture.sources.webcam import WebcamConnection
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import ImageOrJpeg
from tests.paths import WALKING
from tests.video_files import gray_levels, write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, whose first pixel tells their number; b is JPEG."""
    for number, name in enumerate(("a.png", "b.jpg", "c.BMP"), 1):
        image = np.full((48, 64, 3), number * 50, np.uint8)
        written = cv2.imencode(Path(name).suffix.lower(), image)[1]
        (tmp_path / name).write_bytes(written.tobytes())
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def brightness(image: ImageOrJpeg | None) -> int:
    assert image is not None
    if isinstance(image, bytes):
        image = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    return round(float(image.mean()))


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
        assert isinstance(other, RecordedSource)
        assert other.skip_to(0.3) == 3
        np.testing.assert_array_equal(one.read().image, other.read().image)
    with open_source(WALKING) as again:
        assert isinstance(again, RecordedSource)
        again.start_after(0.25)
        assert again.read().position == pytest.approx(0.3)


def test_read_image_gives_pixels_and_never_goes_past_the_end(folder: Path) -> None:
    with open_source(folder) as source:
        assert brightness(source.read_image(1)) == 100
        assert brightness(source.read_image(50)) == 150
        with pytest.raises(SourceError, match="has no frame"):
            source.read_image()


def test_fps_asked_for_is_told(folder: Path) -> None:
    with open_source(WALKING, fps=2) as source:
        assert (source.fps, source.native_fps) == (2, 10)
    with open_source(folder) as source:
        assert source.fps == 10
    with pytest.raises(ConfigurationError, match="fps is 0"):
        open_source(folder, fps=0)


def test_folder_is_sorted_and_passes_jpeg_on(folder: Path) -> None:
    with open_source(folder) as source:
        images = list(source)
        assert source.frame_count == 3
        assert source.size_wh == (64, 48)
    assert [brightness(image) for image in images] == [50, 100, 150]
    assert [type(image) for image in images] == [np.ndarray, bytes, np.ndarray]
    assert images[1] == (folder / "b.jpg").read_bytes()


def test_one_image_is_a_source(folder: Path) -> None:
    with open_source(folder / "a.png") as source:
        assert [brightness(image) for image in source] == [50]


def test_loop_starts_again(folder: Path) -> None:
    with open_source(folder, loop=True) as source:
        assert [brightness(source.read().image) for _ in range(7)] == [50, 100, 150, 50, 100, 150, 50]
        captured = source.read()
        assert captured.position == pytest.approx(0.7)


def test_video_loops_and_its_time_goes_on(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", gray_levels(3, step=80), fps=5)
    with open_source(tmp_path / "short.mp4", loop=True) as source:
        captured = [source.read() for _ in range(7)]
    assert [brightness(each.image) for each in captured] == pytest.approx([0, 80, 160, 0, 80, 160, 0], abs=4)
    assert [each.position for each in captured] == pytest.approx([0.2 * number for number in range(7)])


def test_end_is_the_end(folder: Path) -> None:
    with open_source(folder) as source:
        assert isinstance(source, RecordedSource)
        assert source.skip_to(5.0) == 2
        assert brightness(source.read().image) == 150
        assert source.read() is None
        assert source.read() is None


def test_a_source_that_never_yields_is_an_error_even_when_it_loops() -> None:
    class Nothing(Reader):
        native_fps = 1.0

        def next(self, not_before: float) -> PendingFrame | None:
            return None

        def rewind(self) -> None: ...

    source = RecordedSource(Nothing(), describe="nothing", problems=Problems(), loop=True)
    with pytest.raises(SourceError, match="nothing has no image"):
        source.read()


@pytest.mark.parametrize(("fps", "expected"), [(10, range(0, 30, 3)), (15, range(0, 30, 2)), (1, [0]), (30, range(30))])
def test_a_lower_rate_takes_the_first_frame_of_each_interval(fps: float, expected: list[int]) -> None:
    with open_source("synthetic:fps=30,frames=30", fps=fps) as source:
        positions = [each.position for each in iter(source.read, None)]
    assert positions == pytest.approx([number / 30 for number in expected])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such source: .*gone\.mp4"):
        open_source(tmp_path / "gone.mp4")


def test_not_a_video(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=r"notes\.txt cannot be opened as a video"):
        open_source(folder / "notes.txt")
    assert capfd.readouterr().err == ""


def test_a_row_of_bytes_from_a_webcam_is_its_jpeg_and_nothing_else() -> None:
    problems = Problems()
    webcam = WebcamConnection(0, fps=None, size_wh=None, mjpeg=True, problems=problems)
    image = np.zeros((4, 5, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    assert webcam._image(np.frombuffer(jpeg + bytes(9), np.uint8)[None]) == jpeg
    assert webcam._image(image) is image
    assert webcam._image(np.frombuffer(jpeg[:-9], np.uint8)[None]) is None
    assert problems.skipped == 1
    assert "an image of webcam 0 is damaged" in problems.reason


def test_a_device_file_that_is_no_webcam() -> None:
    with pytest.raises(SourceError, match="there is no webcam /dev/null"):
        open_source("/dev/null")


@pytest.mark.parametrize("index", [63, "63"])
def test_webcam_that_is_not_there(index: int | str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="there is no webcam 63"):
        open_source(index)
    assert capfd.readouterr().err == ""


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no images that can be read \(0 other files\): put \.apng, "):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["b1.png", "b1.jpeg"])
def test_an_image_that_cannot_be_decoded_is_left_out_and_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"not an image")
    with open_source(folder) as source:
        assert [brightness(image) for image in source] == [50, 100, 150]
        assert source.problems.skipped == 1
        assert name in source.problems.reason


def test_an_incomplete_video_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(WALKING.read_bytes()[:400_000])
    with open_source(path) as source:
        assert 0 < sum(1 for _ in source) < 700
    assert "of 79.5 seconds: it is damaged or incomplete" in source.problems.sentences()[-1]
    assert "it is damaged or incomplete" in caplog.text
