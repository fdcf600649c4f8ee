"""The schedules that make runs in a folder: who else runs there, and how to pause or end them from another terminal.

Each scheduler has a file in the folder `.schedules` beside its runs, and holds a lock on it, which the system releases
however the process ends. A second file asks it to pause, and a third one to end. It looks for them every second.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import platform
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rededge_nb.errors import ConfigurationError, NoDataError

_FOLDER = ".schedules"


@dataclass(frozen=True)
class ScheduleInfo:
    """A schedule that runs.

    Attributes:
        id: Its number in the folder, as text.
        cron: Its cron expression.
        words: The options of its runs, as on the command line.
        host: Name of the machine.
        pid: Process id there.
        started: When it was started, in seconds since the epoch.
        paused: Whether somebody has paused it.
    """

    id: str
    cron: str
    words: str
    host: str
    pid: int
    started: float
    paused: bool = False


class RegisteredSchedule:
    """The entry of a scheduler, while this context lasts.

    Args:
        output: Folder of the runs.
        cron: The cron expression.
        words: The options of the runs.
    """

    def __init__(self, output: Path, cron: str, words: Sequence[str] = ()) -> None:
        self._folder = output / _FOLDER
        self._cron = cron
        self._words = " ".join(words)
        self._file: TextIO | None = None
        self.id = ""

    def __enter__(self) -> Self:
        """Add the entry.

        Raises:
            ConfigurationError: the folder cannot be made.
        """
        try:
            self._add()
        except OSError as error:
            raise ConfigurationError(f"the folder {self._folder} cannot be used: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _forget(self._folder, self.id)
        if self._file is not None:
            self._file.close()
        with contextlib.suppress(OSError):  # other schedules are there
            self._folder.rmdir()

    def paused(self) -> bool:
        """Whether no run should be made at the moment."""
        return (self._folder / f"{self.id}.paused").exists()

    def removed(self) -> bool:
        """Whether the scheduler should end."""
        return (self._folder / f"{self.id}.remove").exists()

    def _add(self) -> None:
        list_schedules(self._folder.parent)  # forgets those that were killed, whose numbers are free then
        while not self.id:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # the entry gets its name when it is complete and locked, or another process would take it for one of a
            # killed process
            new = self._folder / f".{os.getpid()}-{secrets.token_hex(4)}"
            try:
                self._file = new.open("x")
                fcntl.flock(self._file, fcntl.LOCK_EX)
                info = ScheduleInfo("", self._cron, self._words, platform.node(), os.getpid(), time.time())
                json.dump(asdict(info), self._file)
                self._file.flush()
                self.id = self._name(new)
            except FileNotFoundError:
                continue  # the last other schedule has ended, and removed the folder
            finally:
                new.unlink(missing_ok=True)

    def _name(self, new: Path) -> str:
        for number in itertools.count(1):
            try:
                (self._folder / f"{number}.json").hardlink_to(new)
            except FileExistsError:
                continue
            return str(number)
        raise AssertionError("there is always another number")


def list_schedules(output: Path) -> list[ScheduleInfo]:
    """The schedules that run in a folder of runs; those whose process was killed are forgotten."""
    found = []
    for path in sorted((output / _FOLDER).glob("*.json"), key=lambda path: (len(path.stem), path.stem)):
        text = _read_if_running(path)
        if text is None:
            _forget(path.parent, path.stem)
        else:
            paused = path.with_suffix(".paused").exists()
            found.append(ScheduleInfo(**{**json.loads(text), "id": path.stem, "paused": paused}))
    return found


def pause_schedule(output: Path, number: str) -> None:
    """Let a schedule make no runs; one that goes on is finished.

    Raises:
        NoDataError: there is no such schedule.
    """
    (_checked(output, number) / f"{number}.paused").touch()


def resume_schedule(output: Path, number: str) -> None:
    """Let a paused schedule go on, with the next time that is due.

    Raises:
        NoDataError: there is no such schedule.
    """
    (_checked(output, number) / f"{number}.paused").unlink(missing_ok=True)


def remove_schedule(output: Path, number: str) -> None:
    """End a schedule; a run that goes on is finished before.

    Raises:
        NoDataError: there is no such schedule.
    """
    (_checked(output, number) / f"{number}.remove").touch()


def _checked(output: Path, number: str) -> Path:
    known = [each.id for each in list_schedules(output)]
    if number not in known:
        raise NoDataError(f"no schedule {number} runs in {output}; there are: {', '.join(known) or 'none'}")
    return output / _FOLDER


def _read_if_running(path: Path) -> str | None:
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:
        pass
    return None


def _forget(folder: Path, number: str) -> None:
    for suffix in ("json", "paused", "remove"):
        (folder / f"{number}.{suffix}").unlink(missing_ok=True)
