"""A Redis Cluster of real servers with both modules, each with a worker of its own, on the loopback interface."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from rededge_nb import settings
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.processes import end_process, end_with_parent
from rededge_nb.edge.server.binaries import find_binaries, openssl11_folder
from rededge_nb.edge.server.redis_server import free_port, quoted
from rededge_nb.edge.worker.command_table import module_arguments
from tests.waiting import wait_for

SHARDS = 3
FIRST_SLOTS = [number * REDIS_CLUSTER_HASH_SLOTS // SHARDS for number in range(SHARDS)]


class Shard:
    """One server of the cluster and the worker that serves it."""

    def __init__(self, folder: Path, password: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.port, self.bus_port = free_port(), free_port()
        self.password = password
        self.url = f"redis://:{password}@127.0.0.1:{self.port}"
        self.client = client_from_url(self.url)
        binaries = find_binaries()
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            "cluster-enabled yes",
            f"cluster-port {self.bus_port}",
            f"requirepass {password}",
            f"dir {quoted(folder)}",
            'save ""',
            # the password is for the shards' own connections, over which TS.MRANGE asks all of them
            f"loadmodule {quoted(binaries.timeseries)} OSS_GLOBAL_PASSWORD {password}",
            f"loadmodule {quoted(binaries.switchboard)} {' '.join(quoted(word) for word in module_arguments())}",
        ]
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")
        environment = dict(os.environ)
        if binaries.needs_openssl11:
            environment["LD_LIBRARY_PATH"] = str(openssl11_folder(folder))
        self._server = self._start("redis.log", [str(binaries.redis_server), "redis.conf"], environment)
        self._worker: subprocess.Popen[bytes] | None = None
        wait_for(self._answers, timeout=60, what="redis-server to answer")

    def start_worker(self) -> None:
        environment = os.environ | {settings.REDIS_URL: self.url}
        self._worker = self._start("worker.log", [sys.executable, "-m", "rededge_nb.edge.worker"], environment)

    def wait_for_worker(self) -> None:
        """Return when the worker has given its first sign of life."""
        assert self._worker is not None
        pattern = f"rededge:*worker:*-{self._worker.pid}-*"
        wait_for(lambda: list(self.client.scan_iter(pattern, count=1000)), timeout=60, what="the worker")

    def worker_ended(self) -> bool:
        """Whether the worker has ended by itself, and asks to be started again."""
        return self._worker is not None and self._worker.poll() == 1

    def kill_worker(self) -> None:
        assert self._worker is not None
        self._worker.kill()
        self._worker.wait()

    def close(self) -> None:
        self.client.close()
        if self._worker is not None:
            end_process(self._worker, 20)
        end_process(self._server, 20)
        for name in ("redis.log", "worker.log"):
            file = self.folder / name
            if file.exists():
                print(f"{file.parent.name}/{name}:\n{file.read_text()}")  # shown by pytest beside a failure

    def _start(self, log: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent(),
            )

    def _answers(self) -> bool:
        assert self._server.poll() is None, (self.folder / "redis.log").read_text()
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


def place(key: str) -> int:
    """Which shard a key belongs to."""
    return bisect(FIRST_SLOTS, key_slot(key.encode())) - 1


@contextmanager
def redis_cluster() -> Iterator[list[Shard]]:
    """Start a cluster whose shards have equal parts of the slots, in their order; end it on exit."""
    folder, password = Path(tempfile.mkdtemp(prefix="rededge-")), secrets.token_urlsafe(16)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        made: list[Shard] = []
        for number in range(SHARDS):
            made.append(Shard(folder / str(number), password))
            stack.callback(made[-1].close)
        for number, (shard, end) in enumerate(zip(made, [*FIRST_SLOTS[1:], REDIS_CLUSTER_HASH_SLOTS], strict=True)):
            shard.client.execute_command("CLUSTER", "ADDSLOTSRANGE", FIRST_SLOTS[number], end - 1)
            shard.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            made[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", shard.port, shard.bus_port)
        wait_for(lambda: all(map(_is_whole, made)), timeout=60, what="the shards to know of one another")
        for shard in made:
            shard.start_worker()
        for shard in made:
            shard.wait_for_worker()
        yield made


def _is_whole(shard: Shard) -> bool:
    return b"cluster_state:ok" in shard.client.execute_command("CLUSTER", "INFO")
