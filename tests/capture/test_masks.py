"""Privacy masks: nothing of what they hide leaves the capture, whatever the source, while the scene changes, too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Mask, Scene
from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.capture.cameras import capture_cameras
from rededge_nb.capture.masking import masked
from rededge_nb.capture.options import CaptureOptions
from rededge_nb.capture.run import capture, start_capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.errors import ConfigurationError, SceneError
from rededge_nb.images import Image
from tests.mjpeg_server import mjpeg_server
from tests.waiting import wait_for

WIDTH, HEIGHT, FRAMES = 320, 240, 12
MARKER = (40, 50, 100, 120)
"""Where the marker is: left, top, right, bottom."""
PARTS = [(MARKER[0] / WIDTH, MARKER[1] / HEIGHT), (MARKER[2] / WIDTH, MARKER[1] / HEIGHT)]
PARTS += [(MARKER[2] / WIDTH, MARKER[3] / HEIGHT), (MARKER[0] / WIDTH, MARKER[3] / HEIGHT)]
FLIPPED = [(1 - x, y) for x, y in PARTS]


def picture(number: int) -> Image:
    """Grey, with a checkerboard of magenta and green, which nothing else in these tests has."""
    image = np.full((HEIGHT, WIDTH, 3), 90 + number, np.uint8)
    left, top, right, bottom = MARKER
    for y in range(top, bottom, 10):
        for x in range(left, right, 10):
            image[y : y + 10, x : x + 10] = (255, 0, 255) if (x + y) // 10 % 2 else (0, 255, 0)
    return image


def jpegs() -> list[bytes]:
    return [cv2.imencode(".jpg", picture(number))[1].tobytes() for number in range(FRAMES)]


def shows_marker(image: Image) -> bool:
    """Whether a pixel is magenta or green: far from grey."""
    spread = image.max(axis=2).astype(int) - image.min(axis=2)
    return bool((spread > 60).any())


def images(client: redis.Redis) -> list[Image]:
    """Every image in any key of the server."""
    found = []
    for key in client.scan_iter():
        if client.type(key) == b"stream":
            values = [value for _, fields in client.xrange(key) for value in fields.values()]
        elif client.type(key) == b"hash":
            values = client.hvals(key)
        else:
            values = [client.get(key)] if client.type(key) == b"string" else []
        decoded = [cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR) for value in values if value]
        found += [image for image in decoded if image is not None]
    return found


@pytest.fixture(params=["images", "video", "network camera"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "network camera":
        with mjpeg_server(jpegs()) as server:
            yield server.url
        return
    if request.param == "images":
        for number, jpeg in enumerate(jpegs()):
            (tmp_path / f"{number:02}.jpg").write_bytes(jpeg)
        yield str(tmp_path)
        return
    path = str(tmp_path / "marked.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(picture(number))
    writer.release()
    yield path


@pytest.mark.parametrize("style", ["black", "blur", "pixelate"])
@pytest.mark.parametrize("options", [{}, {"size": (200, 150), "flip": True}])
def test_what_a_mask_hides_is_nowhere_in_the_server(
    client: redis.Redis, source: str, style: str, options: CaptureOptions
) -> None:
    hidden = FLIPPED if options else PARTS
    capture(client, source, frames=FRAMES, **options)
    assert any(map(shows_marker, images(client))), "without the mask it is there"
    client.flushall()
    CameraScene(client, "0").mask(hidden, style=style)
    # only the average colour may be left; that of the squares on the border may have some colour
    report = capture(client, source, frames=FRAMES, **options)
    found = images(client)
    assert report.frames == len(found) > 0
    if style == "black":
        assert not any(map(shows_marker, found))
    else:
        for image in found:
            assert cv2.Laplacian(image, cv2.CV_64F).max() < 120, "no edge of the checkerboard is left"
    originals = {jpeg[:4000] for jpeg in jpegs()}
    assert not any(jpeg in value for value in all_bytes(client) for jpeg in originals)


def all_bytes(client: redis.Redis) -> list[bytes]:
    return [client.dump(key) or b"" for key in client.scan_iter()]


def test_a_mask_is_in_force_for_every_frame_that_is_added_after_it_was_saved(client: redis.Redis) -> None:
    with start_capture(client, "synthetic:people=0,size=320x240,fps=200") as running:
        for number in range(30):
            wait_for(lambda least=running.report.frames + 3: running.report.frames > least, what="frames")
            points = [(0.5, 0.5), (1, 0.5), (1, 1)] if number % 2 else [(0, 0.5), (0.5, 1), (0, 1)]
            CameraScene(client, "0").mask(points, name="moving")
            last = client.xinfo_stream(schema.frames_key("0"))["last-generated-id"].decode()
            wait_for(lambda least=running.report.frames + 3: running.report.frames > least, what="more frames")
            x, y = (290, 150) if number % 2 else (30, 210)
            entries = client.xrange(schema.frames_key("0"), f"({last}", "+")
            assert entries
            for _, fields in entries:
                image = cv2.imdecode(np.frombuffer(fields[b"image"], np.uint8), cv2.IMREAD_COLOR)
                assert image[y, x].max() < 12, "the place under the newest mask is black"


def test_a_capture_that_cannot_read_the_scene_sends_no_frames_until_it_can(client: redis.Redis) -> None:
    client.set(schema.scene_key("0"), "{broken")
    with start_capture(client, "synthetic:people=0,size=320x240,fps=50") as running:
        wait_for(lambda: running.problem and "not JSON" in running.problem, what="the problem")
        assert client.xlen(schema.frames_key("0")) == 0
        client.set(schema.scene_key("0"), Scene().to_json())
        wait_for(lambda: running.report.frames > 3, what="frames")
        assert running.problem is None


def test_a_recording_waits_and_then_fails_if_the_scene_cannot_be_read(client: redis.Redis, source: str) -> None:
    client.set(schema.scene_key("0"), "{broken")
    if source.startswith("http"):
        pytest.skip("a camera is never processed asap")
    with pytest.raises(SceneError, match="camera:0:scene"):
        capture(client, source, pace="asap", stall_timeout=0.5)
    assert client.xlen(schema.frames_key("0")) == 0


def test_jpegs_are_passed_on_as_they_are_without_a_mask(client: redis.Redis, tmp_path: Path) -> None:
    for number, jpeg in enumerate(jpegs()):
        (tmp_path / f"{number:02}.jpg").write_bytes(jpeg)
    CameraScene(client, "0").line("door", (0, 0), (1, 1))
    capture(client, str(tmp_path), frames=FRAMES)
    sent = [fields[b"image"] for _, fields in client.xrange(schema.frames_key("0"))]
    assert sent, "a busy machine skips some, but not all"
    assert set(sent) <= set(jpegs())


@pytest.mark.parametrize("style", ["black", "blur", "pixelate"])
def test_only_what_is_under_the_mask_changes(style: str) -> None:
    image = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    before = image.copy()
    changed = masked(image, (Mask("m", ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)), style),))
    assert np.array_equal(image, before)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[HEIGHT // 4 - 2 : 3 * HEIGHT // 4 + 3, WIDTH // 4 - 2 : 3 * WIDTH // 4 + 3] = False
    assert np.array_equal(changed[outside], image[outside])
    inside = changed[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 4 : 3 * WIDTH // 4]
    assert inside.std() < 15


def test_masks_of_any_shape_reach_the_edges_of_the_frame() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    assert not masked(image, (Mask("m", ((0, 0), (1, 0), (1, 1), (0, 1))),)).any()
    concave = masked(image, (Mask("m", ((0, 0), (1, 0), (0.5, 0.5), (1, 1), (0, 1))),))
    assert concave[HEIGHT // 2, WIDTH - 5].all()
    assert not concave[HEIGHT // 2, 5].any()
    tiny = masked(image, (Mask("m", ((0.5, 0.5), (0.52, 0.5), (0.52, 0.52)), "blur"),))
    assert tiny.all()


def test_threads_can_mask_at_the_same_time() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    masks = (Mask("m", ((0, 0), (0.5, 0), (0.5, 0.5))),)
    expected, results = masked(image, masks), []
    threads = [threading.Thread(target=lambda: results.append(masked(image, masks))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, expected) for result in results)


def test_the_scene_of_a_cameras_file_is_in_force_from_the_first_frame(client: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "marked").mkdir()
    for number, jpeg in enumerate(jpegs()):
        (tmp_path / "marked" / f"{number:02}.jpg").write_bytes(jpeg)
    points = [[round(x, 4), round(y, 4)] for x, y in PARTS]
    (tmp_path / "cameras.yaml").write_text(
        f"cameras:\n- id: door\n  source: marked\n  scene:\n    masks:\n    - name: window\n      points: {points}\n"
    )
    CameraScene(client, "door").line("old", (0, 0), (1, 1))
    for version in (2, 2):  # nothing is stored again
        capture_cameras(client, tmp_path / "cameras.yaml")
        found = images(client)
        assert found
        assert not any(map(shows_marker, found))
        scene = CameraScene(client, "door").load()
        assert (scene.version, len(scene.lines), scene.masks[0].name) == (version, 0, "window")


def test_a_mistake_in_the_scene_of_a_cameras_file_names_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("- id: door\n  source: 0\n  scene:\n    lines:\n    - {name: door, a: [0, 2], b: [1, 1]}\n")
    with pytest.raises(ConfigurationError, match=r"line 4: the `scene` is wrong: lines\[0\]\.a: y is 2"):
        read_cameras(path)
