"""Folders and files that only their owner can read: checked before they are used, and written atomically.

A state folder holds passwords, so a folder is accepted only if this package made it, if it holds an instance, or if it
is empty; and only if it belongs to this user and others cannot write to it. The mode and the owner of a folder that
exists already are never changed: it may be /tmp or somebody's home.
"""

from __future__ import annotations

import contextlib
import os
import stat
import string
from pathlib import Path

from rededge_nb.errors import ServerError

_SUBFOLDERS = frozenset({"data", "logs"})
"""Every state folder has these, with mode 0700, from the beginning."""
_FILES = ("lock", "password")
"""A state folder in which a server was started has these."""
MIN_PASSWORD_LENGTH = 32
"""A shorter password was cut off, for example by a power loss, or can be guessed."""
_PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation)


def create_folder(path: Path) -> None:
    """Create a state folder with mode 0700 and its subfolders, or check that an existing folder may be one.

    Raises:
        ServerError: The folder must not be used.
        OSError: It cannot be created or read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    check_owner(path)
    others = stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    if others:
        raise ServerError(
            f"other accounts can write to {path}, so it cannot be a state folder: name another one with --dir or "
            "REDEDGE_DIR (it is made if it does not exist), or forbid that: chmod go-w"
        )
    if not _is_state_folder(path):
        raise ServerError(
            f"{path} is not empty and is no state folder: name a folder that does not exist or is empty with --dir or "
            "REDEDGE_DIR"
        )
    for name in _SUBFOLDERS:
        (path / name).mkdir(mode=0o700, exist_ok=True)


def check_owner(path: Path) -> None:
    """Check that a state folder belongs to this user; it may be missing.

    Raises:
        ServerError: It belongs to another account.
    """
    try:
        owner = path.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return
    if owner != os.geteuid():
        raise ServerError(
            f"{path} belongs to another account (user id {owner}), so it cannot be a state folder of this one (user id "
            f"{os.geteuid()}): use that account, or name another folder with --dir or REDEDGE_DIR"
        )


def write_private(file: Path, text: str) -> None:
    """Write a file with mode 0600 so that it has the old or the new text, even after a power loss.

    Raises:
        OSError: It cannot be written, for example because the disk is full. Then the old file remains.
    """
    temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove files that write_private() had not completed when its process was killed."""
    for file in folder.glob("*.[0-9]*.new"):
        file.unlink(missing_ok=True)


def read_secret(file: Path, *, min_length: int = MIN_PASSWORD_LENGTH) -> str:
    """The secret in a file, which from now on only its owner can read.

    Raises:
        FileNotFoundError: There is no such file.
        ServerError: The file belongs to another account, or what it contains is too short or no text.
    """
    with file.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if status.st_uid != os.geteuid():
            raise ServerError(f"{file} belongs to another account (user id {status.st_uid}): delete it")
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(stream.fileno(), 0o600)
        secret = stream.read(10_000).decode("latin-1").strip()
    if len(secret) < min_length:
        found = f"has only {len(secret)} characters" if secret else "is empty"
    elif not _PRINTABLE.issuperset(secret):
        found = "has a character that is no ASCII letter, digit or punctuation"
    else:
        return secret
    raise ServerError(
        f"{file} {found}, but a secret needs at least {min_length} characters: delete this file, then the next "
        "start makes a new one"
    )


def _is_state_folder(path: Path) -> bool:
    """Whether a folder is empty or has what create_folder() makes; another process may be doing that now."""
    if all(entry.name in _SUBFOLDERS and entry.is_dir() for entry in path.iterdir()):
        return True
    if all((path / name).is_file() for name in _FILES):  # somebody may have deleted a subfolder
        return True
    subfolders = [path / name for name in _SUBFOLDERS]
    return all(one.is_dir() and not stat.S_IMODE(one.stat().st_mode) & 0o077 for one in subfolders)
