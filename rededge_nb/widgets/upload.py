"""A place in the browser where a file can be dropped.

The browser sends the file in pieces and waits for an answer to each, so that no message is too large for the Jupyter
server. The file goes to a private temporary folder and never becomes a part of the notebook.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anywidget
import traitlets

from rededge_nb.widgets.status_text import LEVELS, Level

MAX_BYTES = 512 * 1024 * 1024
"""Largest file that is accepted."""


class Upload(anywidget.AnyWidget):
    """Accepts a file that is dropped or chosen. A second file replaces the first.

    `close()` and the end of the interpreter delete the file.

    Args:
        suffixes: Suffixes that are accepted, such as `.mp4`.
        on_received: Called with the path of each file that has arrived completely.

    Attributes:
        path: The file, once it has arrived completely.
        name: Its name in the browser.
    """

    _esm = Path(__file__).with_name("upload.js")
    _css = Path(__file__).with_name("panels.css")

    suffixes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    level = traitlets.Enum(LEVELS, "info").tag(sync=True)

    def __init__(self, suffixes: Sequence[str], *, on_received: Callable[[Path], None] | None = None) -> None:
        super().__init__(suffixes=list(suffixes), text="Drop a file here, or click to choose one")
        self.path: Path | None = None
        self.name = ""
        self._on_received = on_received
        self._folder: Path | None = None
        self._transfer: _Transfer | None = None
        self.on_msg(self._receive)

    def close(self) -> None:
        """Delete the file and remove the views; may be called again."""
        self._discard()
        super().close()

    def show(self, text: str, level: Level = "info") -> None:
        """Show a text in the drop zone."""
        with self.hold_sync():
            self.text = text
            self.level = level

    def _receive(self, _: Upload, message: Any, buffers: list[Any]) -> None:
        try:
            answer = self._answer(message, buffers)
        except (OSError, KeyError, TypeError, ValueError) as error:
            self._discard()
            answer = "refused"
            self.show(f"the file did not arrive: {error}", "error")
        if answer:
            self.send({"kind": answer, "id": message.get("id")})

    def _answer(self, message: Any, buffers: list[Any]) -> str | None:
        if message["kind"] == "begin":
            return self._begin(str(message["id"]), Path(str(message["name"])).name, int(message["size"]))
        transfer = self._transfer
        if transfer is None or transfer.id != message["id"]:
            return "refused"
        if message["kind"] == "failed":
            self._discard()
            self.show(f"{transfer.name} could not be read: {message['why']}", "error")
            return None
        return self._add(transfer, buffers)

    def _begin(self, number: str, name: str, size: int) -> str:
        self._discard()
        if Path(name).suffix.lower() not in self.suffixes:
            self.show(f"{name} is not accepted: drop a file that ends in {', '.join(self.suffixes)}", "error")
            return "refused"
        if not 0 < size <= MAX_BYTES:
            self.show(f"{name} has {size:,} bytes: choose one with 1 to {MAX_BYTES:,}", "error")
            return "refused"
        self._folder = Path(tempfile.mkdtemp(prefix="rededge-upload-"))
        atexit.register(self._discard)
        # the folder is private, so the file can keep its name; a leading dot or dash would mean something
        path = self._folder / name.lstrip(".-")
        self._transfer = _Transfer(number, name, size, path, path.open("wb"))
        self.show(f"{name} is being uploaded")
        return "more"

    def _add(self, transfer: _Transfer, buffers: list[Any]) -> str:
        piece = memoryview(buffers[0])
        transfer.received += piece.nbytes
        if not piece.nbytes or transfer.received > transfer.size:
            raise ValueError(f"{transfer.received:,} bytes came instead of {transfer.size:,}")
        transfer.file.write(piece)
        if transfer.received < transfer.size:
            return "more"
        transfer.file.close()
        self._transfer = None
        self.path, self.name = transfer.path, transfer.name
        self.show(f"{transfer.name}, {transfer.size / 1e6:.1f} MB", "good")
        if self._on_received is not None:
            self._on_received(transfer.path)
        return "done"

    def _discard(self) -> None:
        if self._transfer is not None:
            self._transfer.file.close()
            self._transfer = None
        self.path, self.name = None, ""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            atexit.unregister(self._discard)


class _Transfer:
    def __init__(self, number: str, name: str, size: int, path: Path, file: BinaryIO) -> None:
        self.id = number
        self.name = name
        self.size = size
        self.path = path
        self.file = file
        self.received = 0
