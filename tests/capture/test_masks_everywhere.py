"""What a mask hides is looked for in every place where an image may be: keys, files, logs and pages of a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.options import CaptureOptions
from rededge_nb.capture.run import start_capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from rededge_nb.images import Image
from rededge_nb.web import WebServer
from tests.capture.test_masks import FLIPPED, HEIGHT, WIDTH, images, jpegs, picture
from tests.mjpeg_server import mjpeg_server
from tests.waiting import wait_for
from tests.web.site import TOKEN, ask, decode, watching

SOURCES = ("images", "video", "network camera")
EDITS = 6


@pytest.fixture(scope="module")
def own(own_state_folder: Path) -> Iterator[Instance]:
    """A server whose files have no images of other tests."""
    folder = own_state_folder / "masks"
    yield server.start(folder)
    server.stop(folder)


@pytest.fixture
def own_client(own: Instance) -> Iterator[redis.Redis]:
    with client_from_url(own.url) as client:
        yield client


def open_kind(kind: str, folder: Path, stack: ExitStack) -> str:
    """A source of one kind with the marked pictures."""
    if kind == "network camera":
        return str(stack.enter_context(mjpeg_server(jpegs())).url)
    if kind == "images":
        for number, jpeg in enumerate(jpegs()):
            (folder / f"{number:02}.jpg").write_bytes(jpeg)
        return str(folder)
    path = str(folder / "marked.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH, HEIGHT))
    for number in range(len(jpegs())):
        writer.write(picture(number))
    writer.release()
    return path


def shows_marker(image: Image) -> bool:
    """Whether some pixels are magenta or green; the colours of boxes and labels are others."""
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    magenta = (blue > 150) & (red > 150) & (green < 110)
    return bool((magenta | ((green > 150) & (blue < 110) & (red < 110))).sum() > 4)


def images_in_files(instance: Instance) -> list[Image]:
    """Every JPEG in the files of the server: its data, logs and all others."""
    found = []
    for path in instance.dir.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for start in re.finditer(rb"\xff\xd8\xff", content):
            image = cv2.imdecode(np.frombuffer(content[start.start() : start.start() + 200_000], np.uint8), 1)
            found += [] if image is None else [image]
    return found


@pytest.mark.parametrize("kind", SOURCES)
def test_what_a_mask_hides_is_in_no_key_file_log_or_page_while_the_scene_changes(
    own: Instance, own_client: redis.Redis, kind: str, tmp_path: Path
) -> None:
    provision(own_client)
    scene = CameraScene(own_client, "0")
    scene.mask(FLIPPED, name="window")
    options: CaptureOptions = {"size": (240, 180), "flip": True}
    if kind != "network camera":
        options["loop"] = True
    pages: list[Image] = []
    with ExitStack() as stack:
        running = stack.enter_context(start_capture(own_client, open_kind(kind, tmp_path, stack), **options))
        port = stack.enter_context(WebServer(own.url, port=0, token=TOKEN)).port
        live = stack.enter_context(watching(port))
        for number in range(EDITS):
            before = running.report.frames
            wait_for(lambda least=before + 2: running.report.frames >= least, timeout=30, what="frames")
            scene.line("moving", (0, 0.1 + 0.1 * number), (1, 0.2)).mask(
                [(0.9, 0.9), (1, 0.9), (1, 1 - 0.01 * number)], name="other", style=("blur", "pixelate")[number % 2]
            )
            pages += [live.picture(), snapshot(port)]
    assert not any(map(shows_marker, pages))
    stored = images(own_client)
    assert len(stored) > EDITS
    assert not any(map(shows_marker, stored))
    own_client.set("word", f"the end of {kind}")
    wait_for(lambda: is_in_files(own, f"the end of {kind}".encode()), timeout=30, what="the file to be written")
    in_files = images_in_files(own)
    assert len(in_files) > EDITS
    assert not any(map(shows_marker, in_files))


def snapshot(port: int) -> Image:
    image = decode(ask(port, "/snapshot.jpg?camera=0").body)
    assert image is not None
    return image


def is_in_files(instance: Instance, word: bytes) -> bool:
    return any(word in path.read_bytes() for path in instance.dir.rglob("*.aof"))


def test_the_search_finds_what_is_not_hidden(own: Instance, own_client: redis.Redis, tmp_path: Path) -> None:
    own_client.delete(schema.scene_key("0"))
    with ExitStack() as stack:
        running = stack.enter_context(start_capture(own_client, open_kind("images", tmp_path, stack), loop=True))
        port = stack.enter_context(WebServer(own.url, port=0, token=TOKEN)).port
        wait_for(lambda: running.report.frames > 3, timeout=30, what="frames")
        wait_for(lambda: any(map(shows_marker, images(own_client))), timeout=30, what="the marker in a key")
        wait_for(lambda: shows_marker(snapshot(port)), timeout=30, what="a page with the marker")
    wait_for(lambda: any(map(shows_marker, images_in_files(own))), timeout=30, what="the marker in a file")
