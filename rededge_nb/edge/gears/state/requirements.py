"""Packages that gears need: pip installs each requirement into a folder of its own in the state folder.

A package that the worker's environment has is used from there, and nothing is installed into that environment. If the
environment has another version than the requirement asks for, the requirement is refused: one process cannot have two
versions of a package.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from rededge_nb import settings
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.processes import end_with_parent

INSTALL_TIMEOUT = 900.0
"""Seconds that pip may take for one requirement."""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout", "10", "--retries", "1")
DONE = "installed.json"
"""File that exists once a requirement's folder is complete."""
REQ_VERSION = 1


@dataclass(frozen=True)
class Installed:
    """An installed requirement, as RG.PYDUMPREQS shows it."""

    name: str
    path: Path
    wheels: tuple[str, ...]
    """File names; none if the package is from the worker's environment."""

    def describe(self, sessions: int) -> list[object]:
        """The eighteen elements of RG.PYDUMPREQS; `sessions` is how many sessions need it."""
        return [
            "GearReqVersion", REQ_VERSION, "Name", self.name, "IsDownloaded", "yes", "IsInstalled", "yes",
            "CompiledOs", f"{platform.system().lower()}-{platform.machine()}", "Wheels", list(self.wheels),
            "Path", str(self.path), "RefCount", sessions, "IsInReqDictionary", "yes",
        ]  # fmt: skip


class Requirements:
    """The requirements of this machine's state folder. Safe to use from any thread."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or settings.state_dir() / "requirements"
        self._known: dict[str, Installed] = {}
        self._lock = threading.Lock()

    def activate(self, names: Iterable[str]) -> bool:
        """Let gears import these packages; False if one is not installed."""
        return all(self._activate(name) for name in names)

    def install(self, names: Iterable[str], *, force: bool = False) -> None:
        """Install what is missing.

        Args:
            names: Requirements as pip takes them.
            force: Install those in the state folder again.

        Raises:
            GearsError: one cannot be installed; the text says which and why.
        """
        for name in names:
            with self._lock:
                if not self._activate(name) or (force and self._path(name).exists()):
                    self._install(name)

    def find(self, name: str) -> Installed | None:
        """A requirement that was installed or found on this machine."""
        if name not in self._known and (self._path(name) / DONE).exists():
            self._activate(name)
        return self._known.get(name)

    def all(self) -> list[Installed]:
        """All of them, by name."""
        for file in self._folder.glob(f"*/{DONE}"):
            self._activate(json.loads(file.read_text())["name"])
        return [self._known[name] for name in sorted(self._known)]

    def export(self, installed: Installed) -> bytes:
        """A requirement with its wheels as an archive, for add() on another machine."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("name", installed.name)
            for wheel in installed.wheels:
                content.write(installed.path / "wheels" / wheel, f"wheels/{wheel}")
        return archive.getvalue()

    def add(self, archive: bytes) -> None:
        """Install the archive that export() made.

        Raises:
            GearsError: it is no such archive, or cannot be installed here.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as content:
                name = content.read("name").decode()
                wheels = {Path(entry).name: content.read(entry) for entry in content.namelist() if entry != "name"}
        except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
            raise GearsError(f"this is not what RG.PYEXPORTREQ gives: {error}") from None
        with self._lock:
            if not self._activate(name):
                self._install(name, wheels)

    def _activate(self, name: str) -> bool:
        if name in self._known:
            return True
        if not _is_location(name) and _have(name):
            self._known[name] = Installed(name, Path(sys.prefix), ())
            return True
        path = self._path(name)
        if not (path / DONE).exists():
            return False
        site = str(path / "site")
        if site not in sys.path:
            sys.path.append(site)  # last, so that the worker itself imports the same packages as before
            importlib.invalidate_caches()
        if not _is_location(name) and not _have(name, installed_for_it=True):
            return False
        wheels = sorted(wheel.name for wheel in (path / "wheels").iterdir())
        self._known[name] = Installed(name, path, tuple(wheels))
        return True

    def _install(self, name: str, wheels: dict[str, bytes] | None = None) -> None:
        path = self._path(name)
        if not _is_location(name) and not path.exists():
            _check_version(name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=self._folder))
        try:
            (new / "wheels").mkdir()
            for wheel, content in (wheels or {}).items():
                (new / "wheels" / wheel).write_bytes(content)
            if wheels is None:
                _run_pip(["wheel", "--quiet", "--wheel-dir", str(new / "wheels"), name], name)
            offline = ["--no-index", "--find-links", str(new / "wheels"), "--target", str(new / "site")]
            # a location is not looked up twice: all that pip has built from it is installed
            built = [str(wheel) for wheel in sorted((new / "wheels").iterdir())] if _is_location(name) else [name]
            _run_pip(["install", "--quiet", *offline, *built], name)
            (new / DONE).write_text(json.dumps({"name": name}))
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):  # another worker of this machine has installed it meanwhile
                new.rename(path)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        self._known.pop(name, None)
        if not self._activate(name):
            raise _unsatisfied(f"{name} was installed into {path}, but is not found there")

    def _path(self, name: str) -> Path:
        python = "".join(platform.python_version_tuple()[:2])
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-py{python}"


def _is_location(name: str) -> bool:
    """Whether pip gets a package from a place and not by its name: a URL, a repository (git+https://…) or a path."""
    return "://" in name.partition("@")[0] or name.startswith(("/", "./", "../", "~"))


def _check_version(name: str) -> None:
    """Refuse a requirement if the environment of the workers has another version of the package.

    Raises:
        GearsError: It has, or this is no requirement.
    """
    requirement = _parsed(name)
    present = _version_of(requirement)
    if present is None:
        return
    if requirement.url is not None or not requirement.specifier.contains(present, prereleases=True):
        raise _unsatisfied(
            f"{name} is asked for, and the environment of the workers has {requirement.name} {present}: one "
            "process cannot have both. Change the requirement, or that environment"
        )


def _parsed(name: str) -> Requirement:
    try:
        return Requirement(name)
    except InvalidRequirement as error:
        raise _unsatisfied(f"{name!r} is not a requirement that pip understands: {error}") from None


def _version_of(requirement: Requirement) -> str | None:
    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def _have(name: str, *, installed_for_it: bool = False) -> bool:
    """Whether the package, and those that its extras need, can be imported here in versions that satisfy.

    Args:
        name: A requirement as pip takes it.
        installed_for_it: Whether the folder of this very requirement has been activated. Without, a package that is to
            come from a certain address (`name @ https://…`) is never the one that happens to be here.
    """
    requirement = _parsed(name)
    return (installed_for_it or requirement.url is None) and _satisfied(requirement)


def _satisfied(requirement: Requirement) -> bool:
    present = _version_of(requirement)
    if present is None or not requirement.specifier.contains(present, prereleases=True):
        return False
    needed = [Requirement(line) for line in requires(requirement.name) or ()] if requirement.extras else []
    return all(
        _satisfied(one)
        for one in needed
        if one.marker is not None
        and not one.marker.evaluate({"extra": ""})
        and any(one.marker.evaluate({"extra": extra}) for extra in requirement.extras)
    )


def _run_pip(arguments: list[str], name: str) -> None:
    """Run pip. It cannot hang: each connection has a time limit, and so has the whole run."""
    try:
        done = subprocess.run(
            [*PIP, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=INSTALL_TIMEOUT,
            env=environment_of_pip(),
            preexec_fn=end_with_parent(),
        )
    except subprocess.TimeoutExpired:
        raise _unsatisfied(f"{name}: pip did not end within {INSTALL_TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise _unsatisfied(f"{name}: {_reason(done.stdout.splitlines())}")


def environment_of_pip() -> dict[str, str]:
    """The environment of pip, and of the code of packages that it runs: without the passwords of this package."""
    kept = {name: value for name, value in os.environ.items() if not settings.is_secret(name)}
    return kept | {"PIP_USER": "0"}  # pip refuses --target if the user's pip.conf has `user = true`


def _reason(lines: list[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR")] or [line for line in lines if line][-3:]
    return " | ".join(errors) or "pip gave no reason"


def _unsatisfied(text: str) -> GearsError:
    return GearsError(f"Could not satisfy requirements (look at redis log file for more information): {text}")
