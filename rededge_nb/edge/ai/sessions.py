"""Models made ready to run, shared by the AI commands and the gears of a process.

A model is loaded once for each content, backend and device, however many keys and threads use it, and is freed when
no key that was used holds it any more (sweep()), or when others were used more recently and the cache is full.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from rededge_nb.edge.ai import backends, store
from rededge_nb.edge.ai.statistics import Statistics, Stored
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.commands import CommandError

MAX_THREADS = 4
"""The most threads that one run takes, unless told otherwise."""
CACHE_BYTES = 1024**3
"""Size of the model files that are kept ready, unless told otherwise; the one in use is kept whatever its size."""

_IDENTITY_FIELDS = ("backend", "device", "digest")


@dataclass(frozen=True)
class Identity:
    """What makes two models the same session: backend and device in upper case, and the digest of the blob."""

    backend: str
    device: str
    digest: str


@dataclass(frozen=True)
class Session:
    """A stored model, ready to run from any thread; it stays valid after its key is gone."""

    backend: str
    device: str
    model: backends.LoadedModel
    stored: Stored
    statistics: Statistics

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in the order of run()."""
        return list(self.model.inputs)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in the order of run()."""
        return list(self.model.outputs)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that are tensors, in order; the run is counted in the model's statistics.

        Raises:
            CommandError: with the backend's message.
        """
        return [output for output in self.run_all(inputs) if output is not None]

    def run_all(self, inputs: Sequence[Array]) -> list[Array | None]:
        """As run(), with None for each output that is no tensor.

        Raises:
            CommandError: with the backend's message.
        """
        if len(inputs) != len(self.model.inputs):
            raise CommandError("Number of keys given as INPUTS here does not match model definition")
        start = time.perf_counter()
        try:
            outputs = self.model.run(inputs)
        except CommandError:
            self.statistics.record(self.stored, failed=True)
            raise
        duration = time.perf_counter() - start
        first = next((output for output in outputs if output is not None), None)
        samples = 0 if first is None else first.shape[0] if first.shape else 1
        self.statistics.record(self.stored, duration=duration, samples=samples)
        return outputs


@dataclass(frozen=True)
class _Loaded:
    model: backends.LoadedModel
    size: int


class Sessions:
    """The models that this process has ready; safe to use from any thread.

    Args:
        statistics: where runs are counted; without it nobody sees the counts.
        threads: threads for each run; without it one for each core that the process may use, MAX_THREADS at most.
        cache_bytes: as CACHE_BYTES.
    """

    def __init__(
        self, statistics: Statistics | None = None, *, threads: int | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._statistics = statistics or Statistics()
        self._threads = threads or default_threads()
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        # one load at a time: each takes all cores anyway, and no model is loaded twice
        self._loading = threading.Lock()
        self._loaded: OrderedDict[Identity, _Loaded] = OrderedDict()
        self._holders: dict[tuple[int, bytes], Identity] = {}

    def get(self, redis_client: redis.Redis, key: str | bytes) -> Session:
        """The model that a key holds now; costs one small round trip unless it has to be loaded.

        Raises:
            CommandError: the key is missing or holds no model, or the backend refuses it.
        """
        name = key.encode() if isinstance(key, str) else key
        backend, device, digest, generation = store.read(
            redis_client, name, store.MODEL, [*_IDENTITY_FIELDS, "generation"]
        )
        identity = _identity(backend, device, digest)
        model = self._find(identity)
        if model is None:
            backend, device, digest, generation, blob = store.read(
                redis_client, name, store.MODEL, [*_IDENTITY_FIELDS, "generation", "blob"]
            )
            identity = _identity(backend, device, digest)
            # models of one digest share a session, so a digest that is not the blob's must not get that far
            if store.digest_of(blob) != identity.digest:
                raise CommandError(store.WRONG_TYPE)
            model = self.load(identity, blob)
        self.hold(redis_client, name, identity)
        stored = Stored(database_of(redis_client), name, generation)
        return Session(identity.backend, device.decode("latin-1"), model, stored, self._statistics)

    def load(self, identity: Identity, blob: bytes) -> backends.LoadedModel:
        """Make a model ready that may not be stored yet; the digest must be the blob's.

        Raises:
            CommandError: the backend is not there, or refuses the model.
        """
        with self._loading:
            model = self._find(identity)
            if model is not None:
                return model
            model = backends.load(identity.backend, blob, device=identity.device, threads=self._threads)
            with self._lock:
                self._loaded[identity] = _Loaded(model, len(blob))
                self._make_room()
            return model

    def hold(self, redis_client: redis.Redis, key: bytes, identity: Identity) -> None:
        """Keep a model ready for a key, instead of the one that the key held before."""
        holder = (database_of(redis_client), key)
        with self._lock:
            before = self._holders.get(holder)
            self._holders[holder] = identity
            if before not in (None, identity):
                self._free_unheld()

    def sweep(self, client_of: Callable[[int], redis.Redis]) -> None:
        """Free the models whose keys are gone or hold another; `client_of` gives the client of a database.

        Raises:
            redis.RedisError: Redis could not be asked; nothing is freed.
        """
        with self._lock:
            holders = dict(self._holders)
        gone = [(db, key) for (db, key), identity in holders.items() if _identity_at(client_of(db), key) != identity]
        with self._lock:
            for holder in gone:
                # unless it was used anew in the meantime
                if self._holders.get(holder) == holders[holder]:
                    del self._holders[holder]
            self._free_unheld()

    def _find(self, identity: Identity) -> backends.LoadedModel | None:
        with self._lock:
            loaded = self._loaded.get(identity)
            if loaded is None:
                return None
            self._loaded.move_to_end(identity)
            return loaded.model

    def _free_unheld(self) -> None:
        held = set(self._holders.values())
        for identity in [identity for identity in self._loaded if identity not in held]:
            del self._loaded[identity]

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and sum(loaded.size for loaded in self._loaded.values()) > self._cache_bytes:
            self._loaded.popitem(last=False)


def default_threads() -> int:
    """One for each core that the process may use, MAX_THREADS at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)


def database_of(client: redis.Redis) -> int:
    """The number of the database that a client works in."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def _identity(backend: bytes, device: bytes, digest: bytes) -> Identity:
    return Identity(backend.decode("latin-1"), device.decode("latin-1").upper(), digest.decode("latin-1"))


def _identity_at(client: redis.Redis, key: bytes) -> Identity | None:
    try:
        return _identity(*store.read(client, key, store.MODEL, _IDENTITY_FIELDS))
    except CommandError:
        return None
