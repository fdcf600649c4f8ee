"""The file that describes several cameras: what it may contain, and the line in every error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.capture.cameras import capture_cameras
from rededge_nb.capture.sources import open_source
from rededge_nb.errors import ConfigurationError
from tests.video_files import gray_levels, write_video

pytest_plugins = ("tests.bare_fixtures",)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "cameras.yaml"
        path.write_text(text)
        return path

    return write


def test_all_fields_are_read(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss/word")
    monkeypatch.setenv("DOOR_HOST", "10.0.0.5:8554")
    path = write(
        "cameras:\n"
        "  - {id: 0, source: 2, flip: true, mjpeg: true, size: [640, 480]}\n"
        "  - id: door\n"
        "    source: rtsp://viewer:${DOOR_PASSWORD}@${DOOR_HOST}/stream?token=t\n"
        "    fps: 12.5\n"
        "    size: 1280x720\n"
        "    quality: 80\n"
        "    max_age: 30\n"
        "    max_bytes: 1000000\n"
        "  - {id: file, source: videos/a.mp4, loop: true, pace: asap, window: 2, stall_timeout: 5}\n"
        "  - {id: shots, source: /shots/*.jpg, frames: 3, seconds: 1.5}\n"
        "  - {id: drawn, source: 'synthetic:people=3'}\n"
    )
    cameras = read_cameras(path)
    assert [each.camera for each in cameras] == ["0", "door", "file", "shots", "drawn"]
    assert [each.source for each in cameras] == [
        2,
        "rtsp://viewer:p%40ss%2Fword@10.0.0.5:8554/stream?token=t",
        str(path.parent / "videos/a.mp4"),
        "/shots/*.jpg",
        "synthetic:people=3",
    ]
    assert cameras[0].options == {
        "camera": "0", "flip": True, "mjpeg": True, "size": (640, 480), "wait": True,
    }  # fmt: skip
    assert cameras[1].options["fps"] == 12.5
    assert cameras[2].options["pace"] == "asap"
    assert cameras[1].shown == "rtsp://10.0.0.5:8554/stream"
    assert "p%40ss" not in repr(cameras)


def test_the_file_may_be_a_plain_list(write: Callable[[str], Path]) -> None:
    assert [each.camera for each in read_cameras(write("- {id: a, source: 0}\n- {id: b, source: '1'}\n"))] == ["a", "b"]


CAMERA = "- id: a\n  source: 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"cameras\.yaml: there are no cameras: take a list"),
        ("cameras: []\n", "line 1: there are no cameras"),
        ("cameras: 5\n", "line 1: there are no cameras"),
        ("cameras: []\nfoo: 1\n", "line 2: the file has no field `foo`: take cameras"),
        ("- 5\n", "line 1: a camera is written as"),
        ("- source: 0\n", "line 1: the camera has no `id`"),
        (CAMERA + "- id: b\n", "line 3: the camera has no `source`"),
        (CAMERA + "  qualty: 5\n", r"line 3: a camera has no field `qualty`: take away_timeout, certificate, flip, "),
        (CAMERA + "  fps: 5\n  fps: 6\n", "line 4: `fps` is there twice"),
        (CAMERA + CAMERA, "line 3: camera 'a' is in line 1 already"),
        ("- id: a:b\n  source: 0\n", "line 1: camera id 'a:b' cannot be used"),
        (CAMERA + "  quality: 0\n", "line 3: quality is 0: take a whole number above 0, up to 100"),
        (CAMERA + "  quality: high\n", "line 3: `quality` must be a whole number"),
        (CAMERA + "  quality: true\n", "line 3: `quality` must be a whole number"),
        (CAMERA + "  fps: -1\n", "line 3: fps is -1: take a number above 0"),
        (CAMERA + "  fps: .nan\n", "line 3: fps is nan"),
        (CAMERA + "  fps: [1, 2]\n", "line 3: `fps` must be a number"),
        (CAMERA + "  fps: {a: 1}\n", "line 3: `fps` must be a number"),
        (CAMERA + "  size: 640\n", "line 3: size is '640': take width and height"),
        (CAMERA + "  size: [1, 2, 3]\n", "line 3: size is"),
        (CAMERA + "  flip: 1\n", "line 3: `flip` must be true or false"),
        (CAMERA + "  pace: slow\n", "line 3: pace is 'slow': take 'realtime' or 'asap'"),
        (CAMERA + "  max_bytes: 0\n", "line 3: max_bytes is 0"),
        (CAMERA + "  fps: !!python/object:os.system x\n", "line 3: `fps` must be a number"),
        ("- id: a\n  source: [1]\n", "line 2: `source` must be a path, an address or the number"),
        ("- id: a\n  source: ftp://x/y\n", "line 2: addresses that begin with ftp://"),
        ("- id: a\n  source: synthetic:cats=1\n", "line 2: 'cats' in"),
        ("- id: a\n  source: rtsp://me:${NO_SUCH}@x/\n", r"line 2: `source` refers to \$\{NO_SUCH\}, which the env"),
        ("- id: a\n  source: rtsp://me:secret@x/\n   fps: 5\n", "line 3: this is not YAML"),
        ("- id: a\n  source: \x00secret\n", "this is not YAML"),
    ],
)
def test_errors_name_the_line(write: Callable[[str], Path], text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_cameras(write(text))
    assert "cameras.yaml" in str(raised.value)
    assert "secret" not in str(raised.getrepr(style="native"))


def test_a_file_that_is_not_there(tmp_path: Path, bare_client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the cameras in .*none\.yaml: No such file"):
        capture_cameras(bare_client, tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigurationError, match="cannot read the cameras"):
        read_cameras(tmp_path / "binary.yaml")


@pytest.mark.parametrize("text", ["010", "0x1F", "1.10", "1_000", "no", "2024-11-29", "1e3", "007.50"])
def test_ids_are_taken_as_they_are_written(write: Callable[[str], Path], text: str) -> None:
    (camera,) = read_cameras(write(f"- id: {text}\n  source: 0\n"))
    assert (camera.camera, camera.options["camera"]) == (text, text)


def test_two_ids_that_yaml_reads_as_one_number_are_two(write: Callable[[str], Path]) -> None:
    cameras = read_cameras(write("- {id: 010, source: 0}\n- {id: 8, source: 1}\n- {id: 0o10, source: 2}\n"))
    assert [each.camera for each in cameras] == ["010", "8", "0o10"]


@pytest.mark.parametrize("text", ["12:30", "~", "''", "[1]", "{a: 1}", "!!set {}"])
def test_an_id_that_cannot_be_one_is_refused_as_it_is_written(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^\S*cameras\.yaml line 1: [^/]*$") as raised:
        read_cameras(write(f"- id: {text}\n  source: 0\n"))
    if text == "12:30":
        assert "camera id '12:30' cannot be used" in str(raised.value)


def test_numbers_are_decimal(write: Callable[[str], Path]) -> None:
    path = write("- {id: a, source: 010, quality: 020, seconds: 1e1, fps: 1_0.5, frames: +7, max_bytes: 0100}\n")
    (camera,) = read_cameras(path)
    assert camera.source == 10
    assert [camera.options[name] for name in ("quality", "seconds", "fps", "frames", "max_bytes")] == [  # type: ignore[literal-required]
        20, 10.0, 10.5, 7, 100,
    ]  # fmt: skip
    for text in ("1:30", "0x10", "0o10", "'5'", "five", "", "~", "true"):
        with pytest.raises(ConfigurationError, match="line 3: `frames` must be a whole number"):
            read_cameras(write(f"- id: a\n  source: 0\n  frames: {text}\n"))


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://u:$PASSWORD@camera/",
        "rtsp://u:${PASSWORD:-secret}@camera/",
        "rtsp://u:${PASSWORD-}@camera/",
        "rtsp://u:$(cat password)@camera/",
        "rtsp://u:$$PASSWORD@camera/",
        "rtsp://u:${HOME}${PASS WORD}@camera/",
        "/videos/$DAY/*.jpg",
    ],
)
def test_placeholders_of_other_programs_are_refused(write: Callable[[str], Path], source: str) -> None:
    with pytest.raises(ConfigurationError, match=r"line 2: .*placeholder.*\$\{NAME\}.*%24") as raised:
        read_cameras(write(f'- id: a\n  source: "{source}"\n'))
    assert source not in str(raised.value)


@pytest.mark.parametrize("source", ["'rtsp://u:{PASSWORD}@camera/'", "'rtsp://u:<password>@camera/'", "!secret door"])
def test_other_placeholders_are_no_address(write: Callable[[str], Path], source: str) -> None:
    with pytest.raises(ConfigurationError, match=r"line 2: (the rtsp:// address has|.*the tag !secret is not known)"):
        read_cameras(write(f"- id: a\n  source: {source}\n"))


def test_a_dollar_may_be_meant(write: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "$NAME.mp4").touch()
    text = "- {id: a, source: 'rtsp://u:p%24w@camera/'}\n- {id: b, source: $NAME.mp4}\n- {id: c, source: 5$.mp4}\n"
    expected = ["rtsp://u:p%24w@camera/", str(tmp_path / "$NAME.mp4"), str(tmp_path / "5$.mp4")]
    assert [each.source for each in read_cameras(write(text))] == expected


def test_an_at_sign_behind_the_host_is_refused_and_not_shown(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match="line 2: the rtsp:// address has an @ behind its host") as raised:
        read_cameras(write("- id: a\n  source: rtsp://viewer:pass/word@camera/stream\n"))
    assert "word" not in str(raised.value).replace("password", "")


def test_files_are_found_in_folders_with_brackets_and_with_colons_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "site [north] *"
    folder.mkdir()
    write_video(folder / "12:30:00.mp4", gray_levels(3))
    write_video(folder / "shot1.png", gray_levels(1), codec="png", pix_fmt="rgb24", container="image2")
    path = folder / "cameras.yaml"
    path.write_text(
        "- {id: a, source: '12:30:00.mp4'}\n- {id: b, source: shot*.png}\n- {id: c, source: ./12:30:00.mp4}\n"
    )
    for camera in read_cameras(path):
        with open_source(camera.source) as source:
            assert source.read() is not None, camera.camera


def test_a_certificate_in_a_file_is_looked_for_beside_the_file_of_the_cameras(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    digits = "0123456789" * 6 + "0123"
    path = write(f"- {{id: a, source: 0, certificate: {digits}}}\n- {{id: b, source: 0, certificate: door.pem}}\n")
    assert [each.options["certificate"] for each in read_cameras(path)] == [digits, str(tmp_path / "door.pem")]
