"""Time series of a camera: creating them all, and reading them as NumPy arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.edge.client.shard import is_here
from rededge_nb.errors import ConfigurationError, MissingModuleError, NoDataError
from rededge_nb.schema import CompactionRule, SeriesSpec

_CLOCK_SLACK = 60.0
"""Seconds by which the clocks of a capture and of the server may differ."""


@dataclass(frozen=True, eq=False)
class Series:
    """Samples of one time series, oldest first.

    Attributes:
        timestamps_ms: int64 of shape (n,), milliseconds since the epoch; where aggregated, the buckets' starts.
        values: float64 of shape (n,).
        bucket_ms: Length of a bucket where samples are aggregates, None where they are as measured.
    """

    key: str
    labels: dict[str, str]
    timestamps_ms: NDArray[np.int64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    bucket_ms: int | None = None

    @property
    def name(self) -> str:
        """What is measured, such as `people`."""
        return self.labels.get("__name__", self.key)

    @property
    def times(self) -> NDArray[np.datetime64]:
        """The samples' times, UTC, datetime64 of milliseconds."""
        return self.timestamps_ms.astype("datetime64[ms]")

    @property
    def latest(self) -> float:
        """Value of the newest sample.

        Raises:
            NoDataError: there is none.
        """
        if not len(self):
            raise NoDataError(f"{self.key} has no samples in this range: start a capture, or ask for more time")
        return float(self.values[-1])

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.values)

    def __repr__(self) -> str:
        if not len(self):
            return f"<Series {self.key}: no samples>"
        return (
            f"<Series {self.key}: {len(self)} samples, {self.times[0]} to {self.times[-1]} UTC, "
            f"mean {self.values.mean():.2f}, latest {self.latest:g}>"
        )


def read_series(
    client: redis.Redis,
    camera: object,
    name: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    aggregation: str | None = None,
    bucket_ms: int | None = None,
) -> Series:
    """Read one series, see `read_many`.

    Raises:
        NoDataError: there is no such series. An existing one without samples is no error.
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: only one of `aggregation` and `bucket_ms` is given.
    """
    return read_many(
        client, camera, [name], start_ms=start_ms, end_ms=end_ms, aggregation=aggregation, bucket_ms=bucket_ms
    )[name]


def read_many(
    client: redis.Redis,
    camera: object,
    names: Iterable[str],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    aggregation: str | None = None,
    bucket_ms: int | None = None,
) -> dict[str, Series]:
    """Read several series in one round trip; the result is in the order of `names`.

    Args:
        client: Connected to the server.
        camera: Camera id.
        names: As in the label `__name__`: `people`, `prf_model`, `people_avg_1m` …
        start_ms: Earliest time, milliseconds since the epoch.
        end_ms: Latest time, included.
        aggregation: `avg`, `min`, `max`, `sum`, `count` … over buckets of `bucket_ms`.
        bucket_ms: Milliseconds of a bucket.

    Raises:
        NoDataError: one of them does not exist. An existing one without samples is no error.
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: only one of `aggregation` and `bucket_ms` is given, or no name.
    """
    wanted = list(dict.fromkeys(names))
    if (aggregation is None) != (bucket_ms is None):
        raise ConfigurationError(
            f"aggregation is {aggregation!r} and bucket_ms {bucket_ms!r}: give both, such as 'avg' and 60_000, or none"
        )
    if not wanted:
        raise ConfigurationError("no series named: give names such as 'people', 'in_fps', 'prf_model'")
    buckets = {rule.name: rule.bucket_ms for spec in schema.series_specs(camera) for rule in spec.rules}
    # LATEST adds the bucket that is still filling, without which a short video has no 1-minute values.
    arguments: list[Any] = ["-" if start_ms is None else start_ms, "+" if end_ms is None else end_ms, "LATEST"]
    arguments.append("WITHLABELS")
    if aggregation is not None and bucket_ms is not None:
        arguments += ["AGGREGATION", aggregation, bucket_ms]
    arguments += ["FILTER", f"camera={schema.camera_id(camera)}", f"__name__=({','.join(wanted)})"]
    found: dict[str, Series] = {}
    for key, (labels, *_, samples) in _pairs(_call(client, "TS.MRANGE", *arguments)):
        texts = {_text(label): _text(value) for label, value in _pairs(labels)}
        name = texts["__name__"]
        found[name] = Series(
            key=_text(key),
            labels=texts,
            timestamps_ms=np.array([sample[0] for sample in samples], np.int64),
            values=np.array([float(sample[1]) for sample in samples], np.float64),
            bucket_ms=bucket_ms or buckets.get(name),
        )
    missing = [name for name in wanted if name not in found]
    if missing:
        raise NoDataError(
            f"camera {camera} has no series {', '.join(missing)}: create them with `rededge init --camera {camera}` "
            f"(there are {', '.join(schema.raw_series_names())}, and people_avg_1m with its like)"
        )
    return {name: found[name] for name in wanted}


def camera_ids(client: redis.Redis) -> list[str]:
    """Cameras that have series, numbers first and in order; on a shard of a Redis Cluster those of the shard.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    keys = _call(client, "TS.QUERYINDEX", f"__name__={schema.PEOPLE}")
    matches = (re.fullmatch(rf"camera:([^:]+):{schema.PEOPLE}", _text(key)) for key in keys)
    # RedisTimeSeries may have been told to look into all shards
    ids = {match[1] for match in matches if match and is_here(client, match[0])}
    return sorted(ids, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))


def ahead_of_the_clock(client: redis.Redis) -> dict[str, float]:
    """Seconds by which the newest sample of a camera's series is ahead of the server's clock, by camera.

    The clock was wrong then: samples that are older than such a one by the series' retention are refused.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    seconds, _ = client.time()
    found: dict[str, float] = {}
    for key, _, newest in _call(client, "TS.MGET", "FILTER", f"__name__={schema.PEOPLE}"):
        ahead = int(newest[0]) / 1000 - seconds if newest else 0.0
        if ahead > _CLOCK_SLACK:
            found[_text(key).split(":")[1]] = ahead
    return found


def create_series(client: redis.Redis, camera: object) -> list[str]:
    """Create every series of a camera with its labels and compaction rules, and mend those that differ.

    Returns:
        What was changed, a line each; nothing where all was in place.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: a key is in use for something else.
    """
    changes: list[str] = []
    for spec in schema.series_specs(camera):
        changes += _ensure_series(client, spec)
        for rule in spec.rules:
            labels = schema.labels(camera, rule.name)
            changes += _ensure_series(client, SeriesSpec(rule.key, rule.name, labels, "LAST", rule.retention_ms))
            changes += _ensure_rule(client, spec.key, rule)
    return changes


def _ensure_series(client: redis.Redis, spec: SeriesSpec) -> list[str]:
    labels = [text for pair in spec.labels.items() for text in pair]
    options = ["RETENTION", spec.retention_ms, "DUPLICATE_POLICY", spec.duplicate_policy, "LABELS", *labels]
    try:
        _call(client, "TS.CREATE", spec.key, *options)
    except redis.ResponseError as error:
        if "already exists" not in str(error):
            raise
    else:
        return [f"created {spec.key}"]
    info = _info(client, spec.key)
    differences = [
        f"{what} of {spec.key} from {found} to {wanted}"
        for what, found, wanted in (
            ("retention", info["retentionTime"], spec.retention_ms),
            ("duplicate policy", _text(info["duplicatePolicy"] or b"none").upper(), spec.duplicate_policy),
            ("labels", {_text(label): _text(value) for label, value in _pairs(info["labels"])}, spec.labels),
        )
        if found != wanted
    ]
    if differences:
        _call(client, "TS.ALTER", spec.key, *options)
    return [f"changed {difference}" for difference in differences]


def _ensure_rule(client: redis.Redis, source: str, rule: CompactionRule) -> list[str]:
    wanted = (rule.bucket_ms, rule.aggregation)
    rules = {
        _text(key): (int(bucket_ms), _text(aggregation).lower())
        for key, (bucket_ms, aggregation, *_) in _pairs(_info(client, source)["rules"])
    }
    if rules.get(rule.key) == wanted:
        return []
    changes = []
    filled_from = _info(client, rule.key)["sourceKey"]
    if filled_from is not None:
        _call(client, "TS.DELETERULE", _text(filled_from), rule.key)
        bucket_ms, aggregation = rules.get(rule.key, (None, ""))
        was = f" ({aggregation}, {bucket_ms} ms)" if bucket_ms else ""
        changes.append(f"removed rule {_text(filled_from)} -> {rule.key}{was}")
    _call(client, "TS.CREATERULE", source, rule.key, "AGGREGATION", rule.aggregation, rule.bucket_ms)
    return [*changes, f"added rule {source} -> {rule.key} ({rule.aggregation}, {rule.bucket_ms} ms)"]


def _info(client: redis.Redis, key: str) -> dict[str, Any]:
    reply = _call(client, "TS.INFO", key)
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(name): value for name, value in pairs}


def _pairs(reply: Any) -> list[tuple[Any, Any]]:
    """Key and value of a map: a dict with RESP3, a list of lists that begin with the key with RESP2."""
    if isinstance(reply, dict):
        return list(reply.items())
    return [(first, rest[0] if len(rest) == 1 else rest) for first, *rest in reply]


def _call(client: redis.Redis, command: str, *arguments: Any) -> Any:
    with _module_errors(client, command, arguments):
        # A client on which `ts()` was ever called reshapes these replies; another one on the same connections does not.
        return cast(Any, redis.Redis(connection_pool=client.connection_pool)).execute_command(command, *arguments)


@contextmanager
def _module_errors(client: redis.Redis, command: str, arguments: tuple[Any, ...]) -> Iterator[None]:
    try:
        with streams.server_errors(client):
            yield
    except redis.ResponseError as error:
        text = str(error)
        if "unknown command" in text:
            raise MissingModuleError(
                f"the server does not know {command}: it lacks RedisTimeSeries; use the embedded one (`rededge up`) or "
                "load the module (redis-server --loadmodule redistimeseries.so)"
            ) from error
        if text.startswith("WRONGTYPE") or "wrong kind" in text or "not a TSDB" in text:
            raise ConfigurationError(
                f"{arguments[0]} is in use for something that is no time series: look at it (TYPE {arguments[0]}), "
                "rename or delete it"
            ) from error
        if text.startswith("TSDB") and "already exists" not in text:
            raise ConfigurationError(f"{command} {' '.join(map(str, arguments))[:200]}: {text}") from error
        raise


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
