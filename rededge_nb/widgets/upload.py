"""A place in the browser to drop a file on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anywidget
import traitlets

from rededge_nb.widgets.words import HERE, Level

MOST_BYTES = 512 * 1024 * 1024
"""Size of a file that is taken."""


class Upload(anywidget.AnyWidget):
    """Takes a file that is dropped or chosen, into a private temporary folder.

    It comes in pieces, so that no message is too large for the Jupyter server, and is never part of the notebook. A
    second file replaces the first; `close()` and the end of the interpreter delete it.

    Args:
        suffixes: What its name may end with.
        on_received: Called with the path of each file that has arrived whole.
    """

    _esm = HERE / "upload.js"
    _css = HERE / "panels.css"

    suffixes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    level = traitlets.Enum(["info", "good", "warning", "error"], "info").tag(sync=True)

    def __init__(self, suffixes: Sequence[str], *, on_received: Callable[[Path], None] | None = None) -> None:
        super().__init__(suffixes=list(suffixes), text="Drop a file here, or click to choose one")
        self.path: Path | None = None
        """The file, once it has arrived whole."""
        self.name = ""
        """What it is called in the browser."""
        self._on_received = on_received
        self._folder: Path | None = None
        self._arriving: _Arriving | None = None
        self.on_msg(self._receive)

    def close(self) -> None:
        """Delete the file and remove the views; may be called again."""
        self._discard()
        super().close()

    def say(self, text: str, level: Level = "info") -> None:
        """Show this in the place."""
        with self.hold_sync():
            self.text = text
            self.level = level

    def _receive(self, _: Upload, message: Any, buffers: list[Any]) -> None:
        try:
            answer = self._answer(message, buffers)
        except (OSError, KeyError, TypeError, ValueError) as error:
            self._discard()
            answer = "refused"
            self.say(f"the file did not arrive: {error}", "error")
        if answer:
            self.send({"kind": answer, "id": message.get("id")})

    def _answer(self, message: Any, buffers: list[Any]) -> str | None:
        if message["kind"] == "begin":
            return self._begin(str(message["id"]), Path(str(message["name"])).name, int(message["size"]))
        arriving = self._arriving
        if arriving is None or arriving.id != message["id"]:
            return "refused"
        if message["kind"] == "failed":
            self._discard()
            self.say(f"{arriving.name} could not be read: {message['why']}", "error")
            return None
        return self._add(arriving, buffers)

    def _begin(self, number: str, name: str, size: int) -> str:
        self._discard()
        if Path(name).suffix.lower() not in self.suffixes:
            self.say(f"{name} is not taken: drop one of {', '.join(self.suffixes)}", "error")
            return "refused"
        if not 0 < size <= MOST_BYTES:
            self.say(f"{name} has {size:,} bytes: take a file with 1 to {MOST_BYTES:,}", "error")
            return "refused"
        self._folder = Path(tempfile.mkdtemp(prefix="rededge-upload-"))
        atexit.register(self._discard)
        path = self._folder / f"upload{Path(name).suffix.lower()}"
        self._arriving = _Arriving(number, name, size, path, path.open("wb"))
        self.say(f"{name} is on its way")
        return "more"

    def _add(self, arriving: _Arriving, buffers: list[Any]) -> str:
        piece = memoryview(buffers[0])
        arriving.received += piece.nbytes
        if not piece.nbytes or arriving.received > arriving.size:
            raise ValueError(f"{arriving.received:,} bytes came instead of {arriving.size:,}")
        arriving.file.write(piece)
        if arriving.received < arriving.size:
            return "more"
        arriving.file.close()
        self._arriving = None
        self.path, self.name = arriving.path, arriving.name
        self.say(f"{arriving.name}, {arriving.size / 1e6:.1f} MB", "good")
        if self._on_received is not None:
            self._on_received(arriving.path)
        return "done"

    def _discard(self) -> None:
        if self._arriving is not None:
            self._arriving.file.close()
            self._arriving = None
        self.path, self.name = None, ""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            atexit.unregister(self._discard)


class _Arriving:
    def __init__(self, number: str, name: str, size: int, path: Path, file: BinaryIO) -> None:
        self.id = number
        self.name = name
        self.size = size
        self.path = path
        self.file = file
        self.received = 0
