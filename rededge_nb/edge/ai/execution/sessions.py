"""Models and scripts made ready to run, shared by the AI commands and the gears of a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from rededge_nb.edge import processors
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.execution import batches
from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.ai.execution.cache import Cache, Identity
from rededge_nb.edge.ai.execution.queues import Job, Queues
from rededge_nb.edge.ai.execution.scripts import SCRIPT_BACKEND, ScriptSession, load_script
from rededge_nb.edge.ai.storage import hashes, records
from rededge_nb.edge.ai.storage.statistics import Statistics, Stored
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

if TYPE_CHECKING:
    from rededge_nb.edge.ai.backends.torch_scripts import CompiledScript

CACHE_BYTES = 1024**3
"""Size of the model files that are kept ready, unless told otherwise; the one in use is kept whatever its size."""
SESSION_FIELDS = (*records.MODEL_FIELDS, "digest", "generation")
"""What is read of a model that is ready to run."""
INPUTS_MISMATCH = "Number of keys given as INPUTS here does not match model definition"


@dataclass(frozen=True)
class Session:
    """A stored model, ready to run from any thread; it stays valid after its key is gone."""

    backend: str
    device: str
    """As the client spelled it."""
    model: backends.LoadedModel
    stored: Stored
    statistics: Statistics
    batching: Batching

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
        return self.run_joined([inputs])[0]

    def run_joined(self, runs: Sequence[Inputs]) -> list[Outputs]:
        """Do the work of several runs in one; each is counted.

        Raises:
            CommandError: with the backend's message, for all of them.
        """
        start = time.perf_counter()
        try:
            if any(len(inputs) != len(self.model.inputs) for inputs in runs):
                raise CommandError(INPUTS_MISMATCH)
            outputs = self.model.run(batches.joined(runs))
            counts = [len(inputs[0]) if inputs[0].ndim else 1 for inputs in runs] if len(runs) > 1 else [1]
            results = batches.split(outputs, counts, self.backend)
        except CommandError:
            for _ in runs:
                self.statistics.record(self.stored, failed=True)
            raise
        duration = time.perf_counter() - start
        for result in results:
            first = next((output for output in result if output is not None), None)
            samples = 0 if first is None else first.shape[0] if first.shape else 1
            self.statistics.record(self.stored, duration=duration, samples=samples)
        return results

    def job(self, inputs: Sequence[Array], *, timeout: float | None = None) -> Job:
        """A run for the queue of the model's device; `timeout` is in seconds."""
        samples = batches.samples(inputs) if self.batching.size else None
        group = None if samples is None else (self.stored, batches.kind(inputs))
        return Job(
            device=self.device.upper(),
            run=self.run_joined,
            inputs=inputs,
            timeout=timeout,
            group=group,
            samples=samples or 0,
            batching=self.batching,
        )


class Sessions:
    """The models and scripts that this process has ready, and their queues; safe to use from any thread.

    Args:
        client_of: gives the client of a database.
        statistics: where runs are counted; without it nobody sees the counts.
        threads: threads for each run; without it `processors.default_threads()`.
        cache_bytes: as CACHE_BYTES.
    """

    def __init__(
        self,
        client_of: Callable[[int], redis.Redis],
        statistics: Statistics | None = None,
        *,
        threads: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.client_of = client_of
        self.statistics = statistics or Statistics()
        self._threads = threads or processors.default_threads()
        self._cache = Cache(cache_bytes)
        self.queues = Queues()

    def get(self, redis_client: redis.Redis, key: str | bytes, found: hashes.Found | None = None) -> Session:
        """The model that a key holds now; costs one small round trip unless it has to be loaded.

        Not even that if its SESSION_FIELDS were `found` already.

        Raises:
            CommandError: the key is missing or holds no model, or the backend refuses it.
        """
        name = key.encode() if isinstance(key, str) else key
        *values, digest, generation = hashes.read(redis_client, name, hashes.MODEL, SESSION_FIELDS, found)
        record = records.model_of(values)
        identity = identity_of(record, digest.decode("latin-1"))
        model = self._cache.find(identity)
        if model is None:
            *values, digest, generation, blob = hashes.read(redis_client, name, hashes.MODEL, [*SESSION_FIELDS, "blob"])
            record = records.model_of(values)
            identity = identity_of(record, digest.decode("latin-1"))
            # models of one digest share a session, so a digest that is not the blob's must not get that far
            if hashes.digest_of(blob) != identity.digest:
                raise CommandError(hashes.WRONG_TYPE)
            model = self.load(identity, blob)
        self.hold(redis_client, name, identity)
        stored = Stored(database_of(redis_client), name, generation)
        batching = Batching(record.batchsize, record.minbatchsize, record.minbatchtimeout / 1000)
        return Session(identity.backend, record.device, model, stored, self.statistics, batching)

    def script(self, redis_client: redis.Redis, key: str | bytes) -> ScriptSession:
        """The script that a key holds now.

        Raises:
            CommandError: the key is missing or holds no script, or it does not compile, or there is no torch.
        """
        name = key.encode() if isinstance(key, str) else key
        *values, generation = hashes.read(redis_client, name, hashes.SCRIPT, [*records.SCRIPT_FIELDS, "generation"])
        record = records.script_of(values)
        stored = Stored(database_of(redis_client), name, generation)
        compiled = self.compile(record)
        self.hold(redis_client, name, script_identity(record))
        return ScriptSession(
            record.device, record.entry_points, compiled, stored, self.statistics, self.get, redis_client
        )

    def load(self, identity: Identity, blob: bytes) -> backends.LoadedModel:
        """Make a model ready that may not be stored yet; the digest must be the blob's.

        Raises:
            CommandError: the backend is not there, or refuses the model.
        """

        def load() -> backends.LoadedModel:
            return backends.load(
                identity.backend,
                blob,
                device=identity.device,
                threads=self._threads,
                inputs=identity.inputs,
                outputs=identity.outputs,
            )

        model: backends.LoadedModel = self._cache.load(identity, len(blob), load)
        return model

    def compile(self, record: records.Script) -> CompiledScript:
        """Make a script ready that may not be stored yet.

        Raises:
            CommandError: it does not compile, or there is no torch, or an entry point is not what it must be.
        """
        identity = script_identity(record)
        compiled: CompiledScript = self._cache.load(
            identity, len(record.source), lambda: load_script(record.source, identity.device)
        )
        compiled.check_entry_points(record.entry_points)
        return compiled

    def hold(self, redis_client: redis.Redis, key: bytes, identity: Identity) -> None:
        """Keep a model or script ready for a key, instead of what the key held before."""
        self._cache.hold((database_of(redis_client), key), identity)

    def sweep(self) -> None:
        """Free the models and scripts whose keys are gone or hold something else.

        Raises:
            redis.RedisError: Redis could not be asked; nothing is freed.
        """
        holders = self._cache.holders()
        gone = {
            (db, key): identity
            for (db, key), identity in holders.items()
            if _identity_at(self.client_of(db), key, identity) != identity
        }
        self._cache.release(gone)

    def memory(self, redis_client: redis.Redis, key: bytes) -> int:
        """Bytes that what a key holds takes in this process; 0 if it is not loaded."""
        identity = self._cache.holders().get((database_of(redis_client), key))
        return self._cache.memory(identity) if identity is not None else 0


def database_of(client: redis.Redis) -> int:
    """The number of the database that a client works in."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def identity_of(record: records.Model, digest: str) -> Identity:
    """What a stored model is loaded as."""
    names = (record.inputs, record.outputs) if record.backend == "TF" else ((), ())
    return Identity(record.backend, _device(record.device), digest, *names)


def script_identity(record: records.Script) -> Identity:
    """What a script is compiled as."""
    return Identity(SCRIPT_BACKEND, _device(record.device), hashes.digest_of(record.source))


def _device(spelled: str) -> str:
    upper = spelled.upper()
    return "CPU" if upper.startswith("CPU") else upper


def _identity_at(client: redis.Redis, key: bytes, held: Identity) -> Identity | None:
    try:
        if held.backend == SCRIPT_BACKEND:
            device, digest = hashes.read(client, key, hashes.SCRIPT, ["device", "digest"])
            return Identity(SCRIPT_BACKEND, _device(device.decode("latin-1")), digest.decode("latin-1"))
        *values, digest = hashes.read(client, key, hashes.MODEL, [*records.MODEL_FIELDS, "digest"])
        return identity_of(records.model_of(values), digest.decode("latin-1"))
    except CommandError:
        return None
