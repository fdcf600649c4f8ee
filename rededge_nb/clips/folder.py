"""The folder of the clips that were written automatically: names, finding a file, and keeping the folder small."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from rededge_nb import settings

_FILE = re.compile(r"[A-Za-z0-9_{}][A-Za-z0-9_{}.-]{0,200}\.mp4")
_UNFINISHED_AGE = 3600.0


def clips_folder(state: Path) -> Path:
    """Where clips are saved: REDEDGE_CLIPS_DIR, else in the state folder. Containers share the former."""
    return settings.clips_dir() or state / "clips"


def is_clip_name(name: str) -> bool:
    """Whether a name from an event can be that of a clip: any client can write events, so it may also be a path."""
    return _FILE.fullmatch(name) is not None


def find_clip(folder: Path, name: str) -> Path | None:
    """The complete clip of this name; None if there is none (yet, or any more)."""
    file = folder / name
    return file if is_clip_name(name) and file.is_file() else None


def unfinished(folder: Path, name: str) -> Path:
    """Where a clip is written until it is complete."""
    return folder / f".{name}.part"


def keep_small(folder: Path, *, max_bytes: int, max_age: float) -> list[Path]:
    """Delete clips that are too old, and the oldest ones while all of them are too large; returns those deleted.

    Args:
        folder: Nothing happens if it does not exist.
        max_bytes: Size of all clips.
        max_age: Seconds since a clip was written.
    """
    now = time.time()
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            if now - part.stat().st_mtime > _UNFINISHED_AGE:
                part.unlink()
    files = []
    for file in folder.glob("*.mp4"):
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            files.append((status.st_mtime, status.st_size, file))
    size = sum(each for _, each, _ in files)
    deleted = []
    for written, bytes_, file in sorted(files):
        if size <= max_bytes and now - written <= max_age:
            break
        file.unlink(missing_ok=True)
        size -= bytes_
        deleted.append(file)
    return deleted
