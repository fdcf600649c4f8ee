"""Makes damaged data loadable: copies it first, then leaves out what redis-server cannot read.

The append-only file is a list of files (its manifest): a base in RDB format, and the commands since then. Nobody can
repair a damaged base, so it is left out as a whole. Commands are kept up to the first that cannot be read; what follows
depends on it, so it is left out, too. https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rededge_nb import settings
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.processes import end_process
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.binaries import Binaries, find_binaries
from rededge_nb.edge.server.damage import (
    BAD_BASE,
    BAD_FORMAT,
    RDB_MAGIC,
    UNKNOWN_COMMAND,
    forget_sizes,
    manifest_files,
    remember_sizes,
)
from rededge_nb.edge.server.logs import log_end, log_tail
from rededge_nb.edge.server.redis_server import STOP_TIMEOUT, start_redis, wait_until_ready, write_configuration
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.errors import ServerError

MAX_ATTEMPTS = 1000
"""How often redis-server is started: each attempt can leave out one damaged place."""
_FILE_NAME = re.compile(r"appendonly\.aof\.(\d+)\.(base|incr)\.(?:rdb|aof)")


@dataclass
class Repair:
    """What a repair has done."""

    copy: Path
    """The folder with a copy of the data as it was."""
    steps: list[str] = field(default_factory=list)
    """What was left out, one sentence for each place; empty if everything could be loaded."""
    keys: int = 0
    """How many keys the server has now."""


def repair(directory: Path | None = None) -> Repair:
    """Copy the data of a state folder, and leave out what cannot be loaded.

    Raises:
        ServerError: An instance is running, or the data could not be copied or repaired.
    """
    folder = StateFolder(directory or settings.state_dir())
    if not folder.sizes_file.exists() and not folder.data.is_dir():
        raise ServerError(f"there is no data in {folder.path}")
    folder.create()
    binaries = find_binaries()
    with folder.hold() as lock:
        if lock is None:
            raise ServerError(f"RedisEdge is running in {folder.path}: stop it first (`rededge down`)")
        copy = folder.path / time.strftime("data-damaged-%Y%m%d-%H%M%S")
        try:
            shutil.copytree(folder.data, copy)
            done = Repair(copy)
            forget_sizes(folder)
            folder.manifest_file.parent.mkdir(mode=0o700, exist_ok=True)
            files = _usable_files(folder, done)
            _load(folder, files, binaries, done)
        except OSError as error:
            raise ServerError(f"the data in {folder.data} could not be repaired: {error}") from error
        remember_sizes(folder)
    return done


def _usable_files(folder: StateFolder, done: Repair) -> dict[str, str]:
    """The files that exist and can be files of an append-only file, in the order of the manifest."""
    try:
        files = manifest_files(folder)
    except (OSError, ValueError):
        done.steps.append("the list of the files was made again from their names")
        files = _files_by_name(folder.manifest_file.parent)
    for name, kind in list(files.items()):
        file = folder.manifest_file.with_name(name)
        if not file.exists():
            done.steps.append(f"{name} is missing")
            del files[name]
        elif kind == "b" and name.endswith(".rdb") and not _is_rdb(file):
            done.steps.append(f"{name} was left out: it is damaged")
            del files[name]
    _write_manifest(folder, files)
    return files


def _is_rdb(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(RDB_MAGIC)) == RDB_MAGIC


def _files_by_name(directory: Path) -> dict[str, str]:
    """The last base and all later files of commands; earlier ones are in the base already."""
    found = sorted(
        (int(name[1]), name[2], name[0]) for path in directory.iterdir() if (name := _FILE_NAME.fullmatch(path.name))
    )
    bases = [(number, name) for number, kind, name in found if kind == "base"]
    files = {bases[-1][1]: "b"} if bases else {}
    return files | {name: "i" for _, kind, name in found if kind == "incr"}


def _write_manifest(folder: StateFolder, files: dict[str, str]) -> None:
    """Write the list of the files; without any, an empty one is made, so that the server starts without data."""
    if not files:
        files["appendonly.aof.1.incr.aof"] = "i"
        folder.manifest_file.with_name("appendonly.aof.1.incr.aof").touch(mode=0o600)
    numbers = {name: match[1] for name in files if (match := _FILE_NAME.fullmatch(name))}
    lines = [f"file {name} seq {numbers.get(name, '1')} type {kind}\n" for name, kind in files.items()]
    folder.write_private(folder.manifest_file, "".join(lines))


def _load(folder: StateFolder, files: dict[str, str], binaries: Binaries, done: Repair) -> None:
    """Start redis-server, and leave out one place after the other, until it loads the data."""
    from rededge_nb.edge.worker.command_table import module_arguments  # not above: it imports all commands

    socket = folder.socket_path()
    write_configuration(
        folder, binaries, port=0, socket_path=socket, module_arguments=module_arguments(memory.max_call_bytes())
    )
    url = Instance(folder.path, 0, 0, 0, socket, 0.0, 0).url
    for _ in range(MAX_ATTEMPTS):
        server = start_redis(folder, binaries)
        try:
            wait_until_ready(server, folder, url, threading.Event())
            client = client_from_url(url)
            done.keys = int(client.dbsize())
            client.close()
            return
        except ServerError as error:
            if not _leave_out(folder, files, done):
                raise ServerError(f"{error}; the data was copied to {done.copy}") from error
        finally:
            end_process(server, STOP_TIMEOUT)
    raise ServerError(f"the data in {folder.data} has too many damaged places: {log_tail(folder, 1)}")


def _leave_out(folder: StateFolder, files: dict[str, str], done: Repair) -> bool:
    """Leave out what redis-server could not load; returns False if its log does not say what that is."""
    end = log_end(folder)
    unknown, bad = UNKNOWN_COMMAND.search(end), BAD_FORMAT.search(end)
    base = next((name for name, kind in files.items() if kind == "b"), None)
    name = unknown[2].decode() if unknown else bad[1].decode() if bad else ""
    if name in files and name != base:
        file = folder.manifest_file.with_name(name)
        size, kept = file.stat().st_size, _readable_bytes(file, unknown[1] if unknown else None)
        if kept == size:
            return False
        with file.open("r+b") as stream:
            stream.truncate(kept)
        done.steps.append(f"{name}: the first {kept} of {size} bytes were kept")
        for later in list(files)[list(files).index(name) + 1 :]:
            done.steps.append(f"{later} was left out: it follows the damaged place")
            del files[later]
    elif base is not None and (name == base or BAD_BASE.search(end)):
        done.steps.append(f"{base} was left out: it is damaged")
        del files[base]
    else:
        return False
    _write_manifest(folder, files)
    return True


def _readable_bytes(file: Path, unknown: bytes | None) -> int:
    """Up to which byte a file has complete commands, complete transactions, and no command with the name `unknown`."""
    kept, in_transaction = 0, False
    with file.open("rb") as stream:
        for name, end in _commands(stream):
            if unknown is not None and name.partition(b"\0")[0] == unknown:
                break
            in_transaction = (in_transaction or name.upper() == b"MULTI") and name.upper() != b"EXEC"
            if not in_transaction:
                kept = end
    return kept


def _commands(stream: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """The name of each command and the position after it, until the first place that is no command."""
    while True:
        line = stream.readline(64)
        if line.startswith(b"#"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(64)
            continue
        count = _number(line, b"*")
        words = [_word(stream, keep=index == 0) for index in range(count or 0)]
        if not words or None in words:
            return
        yield words[0] or b"", stream.tell()


def _word(stream: IO[bytes], *, keep: bool) -> bytes | None:
    """Read one argument; None if there is none. Only the first one is needed."""
    size = _number(stream.readline(64), b"$")
    if size is None:
        return None
    if keep:
        content = stream.read(size)
    else:
        content = b""
        stream.seek(size, 1)
    return content if stream.read(2) == b"\r\n" else None


def _number(line: bytes, sign: bytes) -> int | None:
    digits = line[1:-2]
    return int(digits) if line[:1] == sign and line[-2:] == b"\r\n" and digits.isdigit() else None
