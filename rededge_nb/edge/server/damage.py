"""Detecting that the data of a state folder is damaged or missing, before and after redis-server tries to load it.

Redis starts without data, or with a part of it, if the manifest of its append-only file is missing or if a file has no
bytes. It reports all other damage only in its log. An incomplete end of the last file is not damage: Redis leaves it
out, and at most the last second before a power loss is missing.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex

from rededge_nb.edge.server.logs import log_end
from rededge_nb.edge.server.state import StateFolder

RDB_MAGIC = b"REDIS"
EMPTY_BYTES = 200
"""A base without keys has fewer bytes."""
INCOMPLETE_END_BYTES = 65_536
"""If more than this or a tenth is missing at the end of a file, Redis must not leave it out without a word."""
UNKNOWN_COMMAND = re.compile(rb"Unknown command '(.*)' reading the append only file (\S+)", re.DOTALL)
BAD_FORMAT = re.compile(rb"(?:Bad file format|Unexpected end of file) reading the append only file ([^\s:]+)")
BAD_MANIFEST = re.compile(rb"FATAL AOF MANIFEST FILE ERROR")
BAD_BASE = re.compile(rb"error in RDB|RDB checksum|Short read or OOM loading DB|rdb file reading failure|RDB preamble")
_SIGNS = {
    UNKNOWN_COMMAND: "it has a command that does not exist",
    BAD_FORMAT: "its format is wrong in one place",
    BAD_MANIFEST: "the list of its files is damaged",
    BAD_BASE: "its base file is damaged",
}
_MANIFEST_LINE = re.compile(r"file (\S+) seq (\d+) type ([bih])")


def manifest_files(folder: StateFolder) -> dict[str, str]:
    """The files of the append-only file in their order, each with its type: `b` is the base.

    Raises:
        ValueError: The manifest is damaged.
        OSError: It cannot be read.
    """
    lines = folder.manifest_file.read_text(encoding="latin-1").splitlines()
    found = [_MANIFEST_LINE.match(line) for line in lines if not line.startswith("#")]
    if not found or None in found:
        raise ValueError("damaged")
    return {line[1]: line[3] for line in found if line is not None and line[3] != "h"}


def missing_data(folder: StateFolder) -> str | None:
    """A message if redis-server would start without data that it had before, or could not start at all."""
    try:
        files = manifest_files(folder)
    except FileNotFoundError:
        there = folder.manifest_file.parent.glob("appendonly.aof.*")
        if not folder.sizes_file.exists() and not any(file.stat().st_size > EMPTY_BYTES for file in there):
            return None  # no server has been ready in this folder yet
        return _message(folder, f"{folder.manifest_file} is missing")
    except ValueError:
        return _message(folder, _SIGNS[BAD_MANIFEST])
    sizes = _sizes_at_last_end(folder)
    for name, kind in files.items():
        file = folder.manifest_file.with_name(name)
        if not file.exists():
            return _message(folder, f"{file} is missing")
        with file.open("rb") as stream:
            if kind == "b" and name.endswith(".rdb") and stream.read(len(RDB_MAGIC)) != RDB_MAGIC:
                return _message(folder, _SIGNS[BAD_BASE])
        size_before = sizes.get(name, 0)
        if size_before - file.stat().st_size > min(size_before // 10, INCOMPLETE_END_BYTES):
            return _message(folder, f"{file} is much shorter than when the server ended")
    return None


def damage(folder: StateFolder) -> str | None:
    """A message if redis-server could not load its data according to its log; None if it failed for another reason."""
    end = log_end(folder)
    for sign, reason in _SIGNS.items():
        if sign.search(end):
            return _message(folder, reason)
    return None


def remember_sizes(folder: StateFolder) -> None:
    """Store how large the files are, after redis-server has ended and written everything."""
    with contextlib.suppress(OSError, ValueError):
        files = [folder.manifest_file.with_name(name) for name in manifest_files(folder)]
        folder.write_private(folder.sizes_file, json.dumps({file.name: file.stat().st_size for file in files}) + "\n")


def forget_sizes(folder: StateFolder) -> None:
    """Forget the sizes, because the files change from now on; that there is data is remembered."""
    with contextlib.suppress(OSError):
        folder.write_private(folder.sizes_file, "{}\n")


def _sizes_at_last_end(folder: StateFolder) -> dict[str, int]:
    try:
        return {str(name): int(size) for name, size in json.loads(folder.sizes_file.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}  # it did not end properly, or it was another version


def _message(folder: StateFolder, reason: str) -> str:
    return (
        f"the data in {folder.data} cannot be loaded ({reason}) and was left as it is: "
        f"`rededge repair --dir {shlex.quote(str(folder.path))}` copies it and then keeps what can be read"
    )
