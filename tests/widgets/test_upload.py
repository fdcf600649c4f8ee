"""Files that come from the browser in pieces."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rededge_nb.widgets import upload as module
from rededge_nb.widgets.upload import Upload


class Recorded(Upload):
    """An upload of which a test is the browser."""

    def __init__(self, **options: Any) -> None:
        self.answers: list[str] = []
        super().__init__([".mp4", ".png"], **options)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.answers.append(content["kind"])

    def browser_sends(self, kind: str, piece: bytes | None = None, **fields: Any) -> str:
        before = len(self.answers)
        buffers = [] if piece is None else [memoryview(piece)]
        self._handle_custom_msg({"kind": kind, "id": "1", **fields}, buffers)
        return self.answers[-1] if len(self.answers) > before else ""


@pytest.fixture
def make() -> Iterator[Callable[..., Recorded]]:
    made: list[Recorded] = []

    def make(**options: Any) -> Recorded:
        made.append(Recorded(**options))
        return made[-1]

    yield make
    for upload in made:
        upload.close()


def test_a_file_arrives_in_a_private_folder_and_is_deleted(make: Callable[..., Recorded]) -> None:
    arrived: list[Path] = []
    upload = make(on_received=arrived.append)
    assert upload.browser_sends("begin", name="C:/films/my film.MP4", size=5) == "more"
    assert upload.browser_sends("piece", b"abc") == "more"
    assert upload.path is None
    assert upload.browser_sends("piece", b"de") == "done"
    assert arrived == [upload.path]
    assert upload.path is not None
    assert upload.path.read_bytes() == b"abcde"
    assert upload.path.name == "my film.MP4"
    assert upload.name == "my film.MP4"
    assert stat.S_IMODE(upload.path.parent.stat().st_mode) == 0o700
    folder = upload.path.parent
    upload.close()
    assert not folder.exists()


def test_a_second_file_replaces_the_first(make: Callable[..., Recorded]) -> None:
    upload = make()
    upload.browser_sends("begin", name="a.png", size=1)
    upload.browser_sends("piece", b"a")
    first = upload.path
    upload.browser_sends("begin", name="b.png", size=1)
    assert first is not None
    assert not first.exists()
    assert upload.path is None


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("page.html", 10, "page.html is not accepted"),
        ("noname", 10, "noname is not accepted"),
        ("../../.bashrc", 10, ".bashrc is not accepted"),
        ("big.mp4", 10**12, "choose one with"),
        ("empty.mp4", 0, "choose one with"),
    ],
)
def test_a_file_that_is_not_accepted_is_refused_with_the_reason(
    make: Callable[..., Recorded], name: str, size: int, words: str
) -> None:
    upload = make()
    assert upload.browser_sends("begin", name=name, size=size) == "refused"
    assert words in upload.text
    assert upload.level == "error"


@pytest.mark.parametrize("piece", [b"", b"too much"])
def test_pieces_that_do_not_fit_end_the_upload(make: Callable[..., Recorded], piece: bytes) -> None:
    upload = make()
    upload.browser_sends("begin", name="a.mp4", size=4)
    assert upload.browser_sends("piece", piece) == "refused"
    assert "did not arrive" in upload.text
    assert upload.browser_sends("piece", b"more") == "refused"
    assert upload.path is None


def test_messages_out_of_order_are_refused(make: Callable[..., Recorded]) -> None:
    upload = make()
    assert upload.browser_sends("piece", b"abc") == "refused"
    assert upload.browser_sends("begin") == "refused"
    upload.browser_sends("begin", name="a.mp4", size=4)
    assert upload.browser_sends("failed", why="the disk was taken out") == ""
    assert "the disk was taken out" in upload.text


def test_a_full_disk_is_shown(make: Callable[..., Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.tempfile, "mkdtemp", full)
    upload = make()
    assert upload.browser_sends("begin", name="a.mp4", size=4) == "refused"
    assert "No space left" in upload.text
