"""Models and scripts that are loaded and ready to run; the AI commands and the gears of a process share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from rededge_nb.edge import processors
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.execution import batches
from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.ai.execution.cache import Cache, Identity
from rededge_nb.edge.ai.execution.queues import Job, Queues
from rededge_nb.edge.ai.execution.scripts import SCRIPT_BACKEND, LoadedScript, load_script
from rededge_nb.edge.ai.storage import hashes, records
from rededge_nb.edge.ai.storage.statistics import Statistics, StoredValue
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

if TYPE_CHECKING:
    from rededge_nb.edge.ai.backends.torch_scripts import CompiledScript

CACHE_BYTES = 1024**3
"""Default capacity of the cache, counted by the sizes of the model files."""
RUN_FIELDS = (*records.MODEL_FIELDS, "digest", "generation")
"""The fields of a stored model that find_model() reads, unless the model has to be loaded."""
INPUTS_MISMATCH = "Number of keys given as INPUTS here does not match model definition"


@dataclass(frozen=True)
class LoadedModel:
    """A stored model that is ready to run from any thread. It remains valid after its key is deleted."""

    backend: str
    device: str
    """As the client spelled it."""
    model: backends.BackendModel
    stored: StoredValue
    statistics: Statistics
    batching: Batching

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in the order in which run() takes them."""
        return list(self.model.inputs)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in the order in which run() returns them."""
        return list(self.model.outputs)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the model and return the outputs that are tensors, in order; the run is counted in its statistics.

        Raises:
            CommandError: The run failed; the text is the backend's.
        """
        return [output for output in self.run_all(inputs) if output is not None]

    def run_all(self, inputs: Sequence[Array]) -> list[Array | None]:
        """As run(), with None for each output that is not a tensor.

        Raises:
            CommandError: The run failed; the text is the backend's.
        """
        return self.run_batch([inputs])[0]

    def run_batch(self, runs: Sequence[Inputs]) -> list[Outputs]:
        """Do several runs as one; each is counted in the statistics.

        Raises:
            CommandError: The run failed; the text is the backend's and is meant for all callers.
        """
        start = time.perf_counter()
        try:
            if any(len(inputs) != len(self.model.inputs) for inputs in runs):
                raise CommandError(INPUTS_MISMATCH)
            outputs = self.model.run(batches.join(runs))
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
        """The job that runs the model; `timeout` is in seconds."""
        samples = batches.sample_count(inputs) if self.batching.size else None
        group = None if samples is None else (self.stored, batches.layout_of(inputs))
        return Job(
            device=self.device.upper(),
            run=self.run_batch,
            inputs=inputs,
            timeout=timeout,
            group=group,
            samples=samples or 0,
            batching=self.batching,
        )


class LoadedModels:
    """The models and scripts that this process has loaded, and the queues of their devices; safe to use from any
    thread.

    Args:
        client_of: Returns the client of a database.
        statistics: Where runs are counted.
        threads: Threads for each run; default: `processors.default_threads()`.
        cache_bytes: Capacity of the cache, counted by the sizes of the model files.
        while_loading: Returns a context manager that is entered while a model or script is loaded. Some backends hold
            the interpreter lock meanwhile, for many seconds with large models.
    """

    def __init__(
        self,
        client_of: Callable[[int], redis.Redis],
        statistics: Statistics | None = None,
        *,
        threads: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        while_loading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.client_of = client_of
        self.statistics = statistics or Statistics()
        self._threads = threads or processors.default_threads()
        self._cache = Cache(cache_bytes)
        self._while_loading = while_loading
        self.queues = Queues()

    def find_model(
        self, redis_client: redis.Redis, key: str | bytes, prefetched: hashes.Prefetched | None = None
    ) -> LoadedModel:
        """The model that a key holds now. This takes one small round trip, unless the model has to be loaded.

        Args:
            redis_client: A client of the database.
            key: The model's key.
            prefetched: The RUN_FIELDS of the key, if they were read already.

        Raises:
            CommandError: The key is missing or holds no model, or the backend refuses it.
        """
        name = key.encode() if isinstance(key, str) else key
        *values, digest, generation = hashes.read(redis_client, name, hashes.MODEL, RUN_FIELDS, prefetched)
        record = records.model_of(values)
        identity = identity_of(record, digest.decode("latin-1"))
        model = self._cache.find(identity)
        if model is None:
            *values, digest, generation, blob = hashes.read(redis_client, name, hashes.MODEL, [*RUN_FIELDS, "blob"])
            record = records.model_of(values)
            identity = identity_of(record, digest.decode("latin-1"))
            # Models with the same digest share one item of the cache, so the digest must really be that of the blob.
            if hashes.digest_of(blob) != identity.digest:
                raise CommandError(hashes.WRONG_TYPE)
            model = self.load(identity, blob)
        self.hold(redis_client, name, identity)
        stored = StoredValue(database_of(redis_client), name, generation)
        batching = Batching(record.batchsize, record.minbatchsize, record.minbatchtimeout / 1000)
        return LoadedModel(identity.backend, record.device, model, stored, self.statistics, batching)

    def find_script(self, redis_client: redis.Redis, key: str | bytes) -> LoadedScript:
        """The script that a key holds now.

        Raises:
            CommandError: The key is missing or holds no script, it does not compile, or torch is not installed.
        """
        name = key.encode() if isinstance(key, str) else key
        *values, generation = hashes.read(redis_client, name, hashes.SCRIPT, [*records.SCRIPT_FIELDS, "generation"])
        record = records.script_of(values)
        stored = StoredValue(database_of(redis_client), name, generation)
        compiled = self.compile(record)
        self.hold(redis_client, name, script_identity(record))
        return LoadedScript(
            record.device, record.entry_points, compiled, stored, self.statistics, self.find_model, redis_client
        )

    def load(self, identity: Identity, blob: bytes) -> backends.BackendModel:
        """Load a model, which need not be stored yet.

        Args:
            identity: Its digest must be that of the blob.
            blob: The model file.

        Raises:
            CommandError: The backend is not installed, or refuses the model.
        """
        source = backends.ModelSource(blob, identity.inputs, identity.outputs)

        def load() -> backends.BackendModel:
            with self._while_loading():
                return backends.load(identity.backend, source, device=identity.device, threads=self._threads)

        model: backends.BackendModel = self._cache.load(identity, len(blob), load)
        return model

    def compile(self, record: records.ScriptRecord) -> CompiledScript:
        """Compile a script, which need not be stored yet.

        Raises:
            CommandError: It does not compile, an entry point is missing or has the wrong arguments, or torch is not
                installed.
        """
        identity = script_identity(record)

        def load() -> CompiledScript:
            with self._while_loading():
                return load_script(record.source, identity.device)

        compiled: CompiledScript = self._cache.load(identity, len(record.source), load)
        compiled.check_entry_points(record.entry_points)
        return compiled

    def hold(self, redis_client: redis.Redis, key: bytes, identity: Identity) -> None:
        """Keep a model or script loaded for a key, in place of the one that the key held before."""
        self._cache.hold((database_of(redis_client), key), identity)

    def sweep(self) -> None:
        """Free the models and scripts whose keys were deleted or hold something else.

        Raises:
            redis.RedisError: Redis did not answer; nothing is freed.
        """
        holders = self._cache.holders()
        gone = {
            (db, key): identity
            for (db, key), identity in holders.items()
            if _identity_at(self.client_of(db), key, identity) != identity
        }
        self._cache.release(gone)

    def memory(self, redis_client: redis.Redis, key: bytes) -> int:
        """Bytes that the model or script under a key uses in this process; 0 if it is not loaded."""
        identity = self._cache.holders().get((database_of(redis_client), key))
        return self._cache.memory(identity) if identity is not None else 0


def database_of(client: redis.Redis) -> int:
    """The number of a client's database."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def identity_of(record: records.ModelRecord, digest: str) -> Identity:
    """The identity of a stored model."""
    names = (record.inputs, record.outputs) if record.backend == "TF" else ((), ())
    return Identity(record.backend, _device(record.device), digest, *names)


def script_identity(record: records.ScriptRecord) -> Identity:
    """The identity of a script."""
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
