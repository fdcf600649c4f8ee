"""Video files of every kind that causes trouble elsewhere: each frame is the one of the file, at its time."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame

from rededge_nb.capture.sources import Captured, RecordedSource, open_source
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, decode_image
from tests.paths import WALKING
from tests.video_files import INTERLACED, brightness, gray_levels, walking, write_video

TEN = [10.0 * number for number in range(10)]


def captured_from(path: Path, **options: Any) -> list[Captured]:
    with open_source(path, **options) as source:
        return list(iter(source.read, None))


def images_from(path: Path) -> list[Image]:
    return [decode_image(each.image, "it") for each in captured_from(path)]


def difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.fixture(scope="module")
def people() -> list[Image]:
    return walking(6)


def test_the_sample_has_all_its_frames_at_their_times() -> None:
    with open_source(WALKING) as source:
        assert isinstance(source, RecordedSource)
        assert source.measure_duration() == pytest.approx(79.5)
        positions = [each.position for each in iter(source.read, None)]
    assert positions == pytest.approx([number / 10 for number in range(795)])


INTERLACED_KINDS = {
    "h264.mp4": {"flags": INTERLACED, "options": {"x264-params": "tff=1"}},
    "h264.ts": {"flags": INTERLACED, "options": {"x264-params": "bff=1"}},
    "h264.mkv": {"flags": INTERLACED, "options": {"x264-params": "tff=1"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "interlace=tff:log-level=none"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "flags": INTERLACED, "fps": 25, "options": {"b": "8M"}},
    "mpeg2.ts": {"codec": "mpeg2video", "flags": INTERLACED, "fps": 25, "options": {"b": "8M"}},
    "mpeg4.avi": {"codec": "mpeg4", "flags": INTERLACED, "options": {"b": "8M"}},
    "prores.mov": {"codec": "prores_ks", "flags": INTERLACED, "pix_fmt": "yuv422p10le"},
    "dv.avi": {"codec": "dvvideo", "flags": INTERLACED, "fps": 25},
}


@pytest.mark.parametrize("name", INTERLACED_KINDS)
def test_interlaced_video_shows_what_was_filmed(tmp_path: Path, people: list[Image], name: str) -> None:
    images = [np.ascontiguousarray(each[:, :720]) for each in people] if name.startswith("dv") else people
    path = tmp_path / name
    write_video(path, images, **INTERLACED_KINDS[name])
    with av.open(str(path)) as container:
        assert any(frame.interlaced_frame for frame in container.decode(video=0)), "the test needs interlaced video"
    found = images_from(path)
    assert len(found) == len(images)
    for shown, filmed in zip(found, images, strict=True):
        assert difference(shown, filmed) < 8


def test_combs_of_interlaced_video_are_removed(tmp_path: Path) -> None:
    """Two moments in alternate lines: a bright square that moves by its width from one field to the next."""
    images = []
    for number in range(8):
        image = np.full((240, 320, 3), 60, np.uint8)
        for parity in (0, 1):
            x = 20 + 20 * (2 * number + parity)
            image[80 + parity : 160 : 2, x : x + 20] = 220
        images.append(image)
    path = tmp_path / "square.ts"
    write_video(path, images, flags=INTERLACED, options={"x264-params": "tff=1:qp=10"})

    def combs(image: Image) -> float:
        gray = image[:, :, 1].astype(int)
        return float(np.abs(2 * gray[1:-1] - gray[:-2] - gray[2:]).mean())

    for shown, filmed in zip(images_from(path), images, strict=True):
        assert combs(shown) < 0.35 * combs(filmed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("av1.mp4", {"codec": "libsvtav1", "options": {"svtav1-params": "preset=12", "crf": "20"}}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
        (
            "hevc-10-bit.mkv",
            {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
        ),
        ("h264-444.mp4", {"pix_fmt": "yuv444p"}),
        ("h264-422.mov", {"pix_fmt": "yuv422p"}),
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("gray-10-bit.mkv", {"codec": "ffv1", "pix_fmt": "gray10le"}),
        ("rgb.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}),
        ("alpha.mov", {"codec": "prores_ks", "pix_fmt": "yuva444p10le"}),
        ("raw.mkv", {"codec": "rawvideo"}),
        ("uyvy.mov", {"codec": "rawvideo", "pix_fmt": "uyvy422"}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("wmv2.asf", {"codec": "wmv2"}),
        ("flv1.flv", {"codec": "flv"}),
        ("mjpeg.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj422p"}),
        ("animated.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("animated.apng", {"codec": "apng", "pix_fmt": "rgb24"}),
        ("raw.h264", {"container": "h264"}),
        ("raw.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": "mjpeg"}),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = tmp_path / name
    try:
        write_video(path, gray_levels(10), **options)
    except (ValueError, av.error.FFmpegError) as error:
        pytest.skip(f"the FFmpeg of this PyAV cannot write it: {error}")
    found = captured_from(path)
    levels = [brightness(decode_image(each.image, "it")) for each in found]
    assert levels == pytest.approx(TEN, abs=20 if name.endswith("gif") else 6)
    steps = np.diff([each.position for each in found])
    assert found[0].position == 0
    assert steps == pytest.approx(np.full(9, steps[0]))
    assert steps[0] == pytest.approx(0.04 if name == "raw.mjpeg" else 0.1)  # it has no times of its own


def test_frames_of_odd_sizes_are_whole(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", gray_levels(3, size_wh=(641, 481)), pix_fmt="yuv444p")
    assert [each.shape for each in images_from(tmp_path / "odd.mp4")] == [(481, 641, 3)] * 3


def test_motion_jpeg_is_handed_on_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "motion.avi"
    write_video(path, gray_levels(3, step=100), codec="mjpeg", pix_fmt="yuvj420p", fps=5)
    found = captured_from(path)
    content = path.read_bytes()
    assert [type(each.image) for each in found] == [np.ndarray, bytes, bytes]  # the first one tells how it is turned
    assert all(each.image in content for each in found[1:])


def jpegs_in(path: Path) -> list[tuple[int, int]]:
    """Where the JPEG of each packet begins and ends."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content, found, at = path.read_bytes(), [], 0
    for packet in packets:
        at = content.index(packet, at)
        found.append((at, at + len(packet)))
    return found


@pytest.mark.parametrize("container", ["avi", "mov", "mkv"])
@pytest.mark.parametrize("damage", ["start", "end", "middle"])
def test_one_damaged_jpeg_of_a_video_affects_one_frame_only(tmp_path: Path, container: str, damage: str) -> None:
    path = tmp_path / f"motion.{container}"
    noise = [np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8) for number in range(12)]
    write_video(path, noise, codec="mjpeg", pix_fmt="yuvj420p")
    start, end = jpegs_in(path)[5]
    content = bytearray(path.read_bytes())
    if damage == "start":
        content[start : start + 4] = bytes(4)
    elif damage == "end":
        content[end - 300 : end] = bytes(300)
    else:
        middle = (start + end) // 2
        content[middle : middle + 20] = b"\xff\xd8\xff\xc0" * 5
    path.write_bytes(content)
    with open_source(path) as source:
        found = list(iter(source.read, None))
    assert [each.position for each in found] == pytest.approx([0.1 * number for number in range(12) if number != 5])
    assert source.problems.skipped == 1
    (sentence,) = source.problems.sentences()
    assert sentence.startswith("1 image was left out: a JPEG of video ")


def tagged(path: Path, images: list[Image], *, matrix: int = 2, transfer: int = 2, primaries: int = 2) -> None:
    params = {"colormatrix": matrix, "transfer": transfer, "colorprim": primaries}

    def tag(frame: VideoFrame) -> None:
        frame.colorspace, frame.color_trc, frame.color_primaries = matrix, transfer, primaries

    options = {"colorspace": str(params["colormatrix"]), "color_trc": str(transfer), "color_primaries": str(primaries)}
    write_video(path, images, options=options, change=tag)
    with av.open(str(path)) as container:
        found = container.streams.video[0].codec_context
        assert (found.colorspace, found.color_trc, found.color_primaries) == (matrix, transfer, primaries)


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 9, 10])
def test_colours_that_can_be_converted(tmp_path: Path, people: list[Image], matrix: int) -> None:
    tagged(tmp_path / "tagged.mp4", people[:3], matrix=matrix)
    for shown, filmed in zip(images_from(tmp_path / "tagged.mp4"), people, strict=False):
        assert difference(shown, filmed) < 8


@pytest.mark.parametrize("transfer", [1, 8, 9, 10, 13, 14, 16, 18])
def test_a_transfer_function_changes_nothing(tmp_path: Path, people: list[Image], transfer: int) -> None:
    tagged(tmp_path / "tagged.mp4", people[:3], transfer=transfer)
    for shown, filmed in zip(images_from(tmp_path / "tagged.mp4"), people, strict=False):
        assert difference(shown, filmed) < 5


@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (11, "SMPTE ST 2085"), (14, "ICtCp")])
def test_colours_that_cannot_be_converted_are_an_error_and_no_frame(tmp_path: Path, matrix: int, name: str) -> None:
    tagged(tmp_path / "tagged.mp4", gray_levels(3), matrix=matrix)
    with pytest.raises(SourceError, match=rf"the colours of video .*tagged\.mp4 cannot be converted .*matrix {name}"):
        open_source(tmp_path / "tagged.mp4")


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ((-1, 0, 0, -1), lambda image: cv2.rotate(image, cv2.ROTATE_180)),
        ((0, -1, 1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ((-1, 0, 0, 1), lambda image: cv2.flip(image, 1)),
        ((1, 0, 0, -1), lambda image: cv2.flip(image, 0)),
        ((0, 1, 1, 0), lambda image: cv2.transpose(image)),
    ],
)
@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_rotation_metadata_is_applied(tmp_path: Path, matrix: tuple[int, ...], turn: Any, codec: str) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48] = 230
    image[:32, 48:] = 120
    path = tmp_path / "turned.mp4"
    write_video(path, [image] * 3, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p", container="mov")
    content = path.read_bytes()
    as_it_is = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (each << 16 for each in matrix)
    at = content.index(as_it_is, content.index(b"tkhd"))
    path.write_bytes(content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :])
    with open_source(path) as source:
        height, width = turn(image).shape[:2]
        assert source.size_wh == (width, height)
        for captured in iter(source.read, None):
            assert difference(decode_image(captured.image, "it"), turn(image)) < 4


def test_variable_rates_keep_the_times_of_the_file(tmp_path: Path) -> None:
    times = [0.5 * number for number in range(10)] + [5 + 0.04 * number for number in range(75)]
    write_video(tmp_path / "vfr.mp4", gray_levels(85, step=2), times=times, fps=25)
    assert [each.position for each in captured_from(tmp_path / "vfr.mp4")] == pytest.approx(times, abs=1e-4)
    slower = [each.position for each in captured_from(tmp_path / "vfr.mp4", fps=2)]
    assert slower == pytest.approx([0.5 * number for number in range(16)], abs=0.04)


def joined(path: Path, *starts: float) -> None:
    """MPEG-TS of several parts of a second each, whose timestamps begin anywhere."""
    with path.open("wb") as target:
        for start in starts:
            part = path.with_suffix(".part.ts")
            write_video(
                part, gray_levels(10), times=[start + 0.1 * number for number in range(10)], options={"bf": "0"}
            )
            target.write(part.read_bytes())


@pytest.mark.parametrize(("second", "words"), [(600.0, "jump ahead by 599 s"), (3.0, None), (20_000.0, "jump ahead")])
def test_timestamps_that_jump_are_cut_and_reported(tmp_path: Path, second: float, words: str | None) -> None:
    path = tmp_path / "joined.ts"
    joined(path, 0.0, second)
    with open_source(path) as source:
        assert isinstance(source, RecordedSource)
        positions = [each.position for each in iter(source.read, None)]
        measured = source.measure_duration()
    gap = 1.0 if words else second
    expected = [0.1 * number for number in range(10)] + [gap + 0.1 * number for number in range(10)]
    assert positions == pytest.approx(expected, abs=0.01)
    assert measured == pytest.approx(gap + 1, abs=0.01)
    sentences = source.problems.sentences()
    assert [words in each for each in sentences] == [True] if words else sentences == []


def test_timestamps_that_jump_back_go_on(tmp_path: Path) -> None:
    joined(tmp_path / "joined.ts", 700.0, 0.0)
    positions = [each.position for each in captured_from(tmp_path / "joined.ts")]
    assert positions == pytest.approx([0.1 * number for number in range(20)], abs=0.01)


def test_a_gap_in_an_mp4_is_part_of_the_recording(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 40.0, 40.1]
    write_video(tmp_path / "gap.mp4", gray_levels(5), times=times)
    with open_source(tmp_path / "gap.mp4") as source:
        assert [each.position for each in iter(source.read, None)] == pytest.approx(times, abs=1e-3)
    assert source.problems.sentences() == []


def test_b_frames_come_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    for name in ("b.mp4", "b.ts", "b.avi", "b.mkv"):
        write_video(tmp_path / name, gray_levels(20), options={"bf": "3", "x264-params": "b-adapt=0"})
        found = captured_from(tmp_path / name)
        levels = [brightness(decode_image(each.image, "it")) for each in found]
        assert levels == pytest.approx([10 * number for number in range(20)], abs=6)
        positions = [each.position for each in found]
        assert positions == sorted(positions)
        assert len(set(positions)) == 20


@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_a_slower_rate_gives_the_same_frames_as_choosing_among_all(tmp_path: Path, b_frames: str) -> None:
    """Frames that no other one needs are not decoded then."""
    path = tmp_path / "walking.mp4"
    write_video(path, walking(75, size_wh=(192, 144)), fps=25, options={"bf": b_frames, "x264-params": "b-adapt=0"})
    everything = captured_from(path)
    for fps in (10, 5, 1):
        wanted = [
            next(each for each in everything if each.position >= number / fps - 1e-6) for number in range(3 * fps)
        ]
        found = captured_from(path, fps=fps)
        assert [each.position for each in found] == [each.position for each in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert np.array_equal(decode_image(one.image, "it"), decode_image(other.image, "it"))


def test_a_stream_without_length_has_one_all_the_same(tmp_path: Path) -> None:
    """As the recorder of a browser writes WebM, and as a camera writes raw H.264."""
    path = tmp_path / "live.webm"
    with path.open("wb") as file:
        write_video(Unseekable(file), gray_levels(10), codec="libvpx-vp9", container="webm")
    with open_source(path) as source:
        assert isinstance(source, RecordedSource)
        assert source.frame_count is None
        assert source.measure_duration() == pytest.approx(1.0)
        assert len(list(source)) == 10


class Unseekable:
    def __init__(self, file: Any) -> None:
        self.write = file.write


def test_the_creation_time_is_read_if_it_can_be(tmp_path: Path) -> None:
    for text, expected in (
        ("2024-05-06T07:08:09.000000Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", None),
        ((datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ"), None),
        (None, None),
    ):
        path = tmp_path / "created.mov"
        write_video(path, gray_levels(3), metadata={"creation_time": text} if text else {})
        with open_source(path) as source:
            assert isinstance(source, RecordedSource)
            assert source.created == expected


def test_a_song_with_a_cover_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    jpeg = bytes(cv2.imencode(".jpg", gray_levels(1)[0])[1].tobytes())
    with av.open(str(path), "w", format="mp3") as output:
        sound = output.add_stream("mp3", rate=44100)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        output.start_encoding()
        packet = av.Packet(jpeg)
        packet.stream = cover
        output.mux(packet)
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44100, 1152 * number
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(SourceError, match=r"song\.mp3 has no video, only sound and a cover image"):
        open_source(path)
    with av.open(str(tmp_path / "sound.wav"), "w") as output:
        sound = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(sound.encode(frame))
    with pytest.raises(SourceError, match=r"sound\.wav has no video, only sound"):
        open_source(tmp_path / "sound.wav")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (bytes(5000), "holds zeros only: the copy of it is not complete"),
        (b"This is not a video.\n" * 50, "cannot be opened as a video"),
        (b"\0\0\0\x18ftypmp42" + bytes(5000), "is incomplete: it has no index"),
        (b"\x1aE\xdf\xa3" + bytes(500), "cannot be opened as a video|has no video"),
    ],
)
def test_files_that_are_no_videos_are_named_with_the_cause(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / "a.mp4")


def test_a_recording_without_its_index_is_incomplete(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", gray_levels(10))
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(SourceError, match=r"cut\.mp4 is incomplete: it has no index \(`moov`\)"):
        open_source(tmp_path / "cut.mp4")


def test_a_format_that_cannot_be_decoded_is_named_so(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", gray_levels(3), codec="mpeg4")
    content = (tmp_path / "a.avi").read_bytes()
    assert content.count(b"FMP4") == 2
    (tmp_path / "unknown.avi").write_bytes(content.replace(b"FMP4", b"ZZ99"))
    with pytest.raises(SourceError, match=r"unknown\.avi .*cannot be decoded here: convert it"):
        open_source(tmp_path / "unknown.avi")


@pytest.mark.parametrize(
    "name",
    [
        "12:30:00.mp4",
        "2024-11-29T12:30:05.mp4",
        "100%.mp4",
        "clip%03d.mp4",
        "c#1",
        "q?x",
        "cam[1]",
        "cam*",
        "é ü",
        "0.mp4",
    ],
)
def test_names_of_files_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_video(tmp_path / name, gray_levels(3), container="mp4")
    monkeypatch.chdir(tmp_path)
    for path in (name, f"./{name}", str(tmp_path / name)):
        with open_source(path) as source:
            assert len(list(source)) == 3


def test_a_file_that_is_still_written_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    for name, options in (("a.ts", {}), ("a.mp4", {"movflags": "frag_keyframe+empty_moov"})):
        write_video(tmp_path / name, gray_levels(20), options={"g": "5", "bf": "0"}, container_options=options)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
        assert 5 <= len(captured_from(tmp_path / name)) < 20


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "huge.mkv", gray_levels(1, size_wh=(12_000, 9_000)), codec="ffv1", pix_fmt="gray")
    with pytest.raises(SourceError, match="has 12000x9000 pixels, more than the 100 million"):
        open_source(tmp_path / "huge.mkv")


def test_a_change_of_size_within_a_stream_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "sizes.ts"
    with path.open("wb") as target:
        for number, size_wh in enumerate(((64, 48), (96, 64), (64, 48))):
            part = tmp_path / "part.ts"
            times = [number + 0.1 * each for each in range(10)]
            write_video(part, gray_levels(10, size_wh=size_wh), times=times, options={"bf": "0"})
            target.write(part.read_bytes())
    shapes = [each.shape[:2] for each in images_from(path)]
    assert shapes == [(48, 64)] * 10 + [(64, 96)] * 10 + [(48, 64)] * 10


def test_interlaced_parts_of_a_stream_do_not_disturb_the_others(tmp_path: Path, people: list[Image]) -> None:
    path = tmp_path / "mixed.ts"
    small = [cv2.resize(each, (320, 240)) for each in people]
    with path.open("wb") as target:
        for number, (images, flags) in enumerate(((people, 0), (people, INTERLACED), (small, INTERLACED), (people, 0))):
            part = tmp_path / "part.ts"
            times = [number + 0.1 * each for each in range(len(images))]
            options = {"bf": "0"} | ({"x264-params": "tff=1"} if flags else {})
            write_video(part, images, times=times, flags=flags, options=options)
            target.write(part.read_bytes())
    found = images_from(path)
    assert len(found) == 24
    for shown, filmed in zip(found, [*people, *people, *small, *people], strict=True):
        assert difference(shown, filmed) < 8


def test_damage_in_the_middle_of_a_video_is_no_end(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mkv"
    noise = [np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8) for number in range(40)]
    write_video(path, noise, options={"g": "5", "bf": "0"})
    whole = images_from(path)
    content = bytearray(path.read_bytes())
    chance = random.Random(1)
    third = len(content) // 3
    for _ in range(60):
        content[third + chance.randrange(third)] = chance.randrange(256)
    path.write_bytes(content)
    with open_source(path) as source:
        found = [captured.image for captured in iter(source.read, None)]
    assert 25 <= len(found) <= 40
    assert difference(found[-1], whole[-1]) < 1  # what follows the damage is whole
    problems = source.problems
    assert problems.damaged > 0
    assert f"{problems.damaged} frames are damaged: what is missing is filled in" in " ".join(problems.sentences())


def test_a_frame_of_which_nothing_is_left_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mkv"
    noise = [np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8) for number in range(12)]
    write_video(path, noise, options={"g": "4", "bf": "0"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        first = bytes(next(container.demux(video=0)))
    start = content.find(first)
    content[start + len(first) // 3 : start + len(first)] = bytes(len(first) - len(first) // 3)
    path.write_bytes(content)
    with open_source(path) as source:
        found = [captured.image for captured in iter(source.read, None)]
    assert len(found) == 11
    assert source.problems.sentences() == [
        f"1 image was left out: a frame of video {path} is damaged: nothing of it is left"
    ]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command, to compare with")
def test_the_frames_are_those_that_ffmpeg_decodes() -> None:
    found = images_from(WALKING)[::100]
    chosen = ["-vf", r"select=not(mod(n\,100))", "-vsync", "vfr"]
    command = ["ffmpeg", "-v", "error", "-i", str(WALKING), *chosen, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    expected = np.frombuffer(raw, np.uint8).reshape(-1, 576, 768, 3)
    assert max(difference(one, other) for one, other in zip(found, expected, strict=True)) < 1
