"""The state folder of an embedded server: its files, its lock, and the record of the running instance."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from rededge_nb.edge.processes import start_time
from rededge_nb.edge.server.private_files import check_owner, create_folder, read_secret, write_private
from rededge_nb.errors import ServerError

OWNER = "default"
"""The user of a client that sends only a password."""
OTHER_USERS = ("capture", "grafana", "notebook", "notifier", "viewer", "worker")
"""The users with fewer rights, which users.py describes. It imports all commands, and takes a while for that."""

SOCKET_PATH_LIMIT = 100
"""Longest path of a socket in the folder, in bytes; the limit of Linux is 107."""


@dataclass(frozen=True)
class Trouble:
    """A child process that keeps dying."""

    child: str
    """Its name, such as `worker 1`."""
    since: float
    """When it died first, in seconds since the epoch."""
    deaths: int
    """How often it has died since then."""
    reason: str
    """How it died last."""
    next_start: float
    """When it is started again, in seconds since the epoch; in the past if it is running."""


@dataclass(frozen=True)
class Instance:
    """A running embedded server."""

    dir: Path
    pid: int
    """Process id of the supervisor."""
    redis_pid: int
    port: int
    socket: Path
    started: float
    """Seconds since the epoch."""
    workers: int
    """Number of worker processes that were asked for."""
    no_password: bool = False
    """Whether every process of this computer may connect as the owner."""
    restarts: int = 0
    """How often a child process died and was started again."""
    last_death: str = ""
    """Which child process died last, and how."""
    troubles: tuple[Trouble, ...] = ()
    """The child processes that keep dying."""
    problem: str = ""
    """What else is wrong, such as deleted files."""
    redis_start: str = ""
    """When redis-server started, as processes.start_time() returns it."""

    @property
    def url(self) -> str:
        """Address of the unix socket, with the password."""
        return self.url_of(OWNER)

    @property
    def tcp_url(self) -> str:
        """Address on the loopback interface, with the password."""
        return self.url_of(OWNER, tcp=True)

    def url_of(self, user: str, *, tcp: bool = False) -> str:
        """Address with the name and password of a user: that of the unix socket, or that of the TCP port."""
        name = "" if user == OWNER else user
        credentials = f"{name}:{quote(StateFolder(self.dir).password(user), safe='')}@"
        if self.no_password and user == OWNER:
            credentials = ""  # Redis refuses a password where none is set
        if tcp:
            return f"redis://{credentials}127.0.0.1:{self.port}/0"
        return f"unix://{credentials}{quote(str(self.socket))}"


class StateFolder:
    """Paths and files of a state folder; only its owner can read them."""

    def __init__(self, path: Path) -> None:
        path = path.resolve()  # redis-server has another working directory
        self.path = path
        self.data = path / "data"
        self.manifest_file = self.data / "appendonlydir" / "appendonly.aof.manifest"
        self.sizes_file = path / "data-sizes.json"
        self.logs = path / "logs"
        self.config_file = path / "redis.conf"
        self.password_file = path / "password"
        self.instance_file = path / "instance.json"
        self._failure_file = path / "failure"
        self._port_file = path / "port"
        self._lock_file = path / "lock"
        self._users_file = path / "users"

    def create(self) -> None:
        """Create the folder and its subfolders, or check that an existing folder may be used.

        Raises:
            ServerError: They cannot be created, or must not be used.
        """
        try:
            create_folder(self.path)
        except OSError as error:
            raise ServerError(
                f"the state folder {self.path} cannot be made or used ({error}): name another with --dir or REDEDGE_DIR"
            ) from error

    def password(self, user: str = OWNER) -> str:
        """The password of a user, created at the first call and stored in a file with mode 0600.

        Raises:
            ServerError: The file is empty, too short, or belongs to another account.
        """
        return self.secret(self.password_file.name if user == OWNER else f"{self.password_file.name}-{user}")

    def secret(self, name: str, **limits: int) -> str:
        """The secret in the file `name`, which is created if it does not exist; `limits` as for read_secret()."""
        file = self.path / name
        if not file.exists():
            self.write_private(file, secrets.token_urlsafe(32) + "\n")
        return read_secret(file, **limits)

    def socket_path(self) -> Path:
        """The path of the unix socket: in the folder, or in a private temporary folder if the path is too long."""
        inside = self.path / "redis.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        return Path(tempfile.mkdtemp(prefix="rededge-")) / "redis.sock"

    def write_private(self, file: Path, text: str) -> None:
        """Write `text` to `file` atomically, with mode 0600 from the start."""
        write_private(file, text)

    def record(self, instance: Instance) -> None:
        """Store the description of the running instance."""
        fields = dataclasses.asdict(instance) | {"dir": str(instance.dir), "socket": str(instance.socket)}
        self.write_private(self._port_file, f"{instance.port}\n")
        self.write_private(self.instance_file, json.dumps(fields, indent=2) + "\n")

    def recorded(self) -> Instance | None:
        """The instance whose description was stored last, whether it is running or not."""
        try:
            fields = json.loads(self.instance_file.read_text())
            troubles = tuple(Trouble(**one) for one in fields.get("troubles", ()))
            numbers = {name: int(fields[name]) for name in ("pid", "redis_pid", "port", "workers")}
            fields.update(numbers, dir=self.path, socket=Path(fields["socket"]), troubles=troubles)
            return Instance(**fields)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            # incomplete after a crash, or written by another version: treated as missing
            return None

    def note_failure(self, message: str) -> None:
        """Store why the instance has ended. If the disk is full, only the log has the reason."""
        with contextlib.suppress(OSError):
            self.write_private(self._failure_file, f"{time.strftime('%Y-%m-%d %H:%M:%S')}: {message}\n")

    def failure(self) -> str | None:
        """When and why the last instance ended with an error; None if another one was started since."""
        try:
            return self._failure_file.read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def forget_failure(self) -> None:
        """Forget the last failure, because an instance runs again."""
        self._failure_file.unlink(missing_ok=True)

    def last_port(self) -> int | None:
        """The TCP port of the previous instance, which clients may still use."""
        try:
            port = int(self._port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return port if 0 < port < 2**16 else None

    def running(self) -> Instance | None:
        """The instance that is running and ready.

        Raises:
            ServerError: The folder belongs to another account.
        """
        check_owner(self.path)
        instance = self.recorded() if self.held() else None
        # the record of a dead supervisor remains until its successor is ready
        return instance if instance is not None and instance.pid == self.supervisor() else None

    def supervisor(self) -> int | None:
        """The process id of the supervisor that holds the lock; None if none does, or its process is not visible."""
        if not self.held():
            return None
        try:
            pid, start = self._lock_file.read_text().split(maxsplit=1)
            return int(pid) if start.strip() == start_time(int(pid)) else None
        except (OSError, ValueError):
            return None

    def end_supervisor(self) -> None:
        """Ask the supervisor to end, if there is one; never a process that has its process id by now."""
        pid = self.supervisor()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)  # from here on it means one process, whatever becomes of it
            try:
                if pid == self.supervisor():
                    signal.pidfd_send_signal(process, signal.SIGTERM)
            finally:
                os.close(process)

    def is_ours(self, lock: IO[bytes]) -> bool:
        """Whether the lock that hold() has opened is still that of the folder at this path."""
        try:
            return os.path.samestat(os.fstat(lock.fileno()), self._lock_file.stat())
        except OSError:
            return False

    def held(self) -> bool:
        """Whether a supervisor holds the folder's lock. The kernel releases the lock when the process ends."""
        try:
            with self._lock_file.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except BlockingIOError:
            return True
        return False

    @contextlib.contextmanager
    def hold(self) -> Iterator[IO[bytes] | None]:
        """Hold the folder's lock as its supervisor; yields the lock file, or None if another supervisor holds it."""
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                lock.truncate()
                lock.write(f"{os.getpid()} {start_time(os.getpid())}\n".encode())
                yield lock

    def use(self) -> contextlib.ExitStack:
        """Keep an instance that was started with `while_used` running until the returned object is closed."""
        stack = contextlib.ExitStack()
        users = stack.enter_context(self._open_users())
        fcntl.flock(users, fcntl.LOCK_SH)
        return stack

    def used(self) -> bool:
        """Whether any process keeps the instance running with use()."""
        with self._open_users() as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _open_users(self) -> IO[bytes]:
        return os.fdopen(os.open(self._users_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
