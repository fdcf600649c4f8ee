"""Time series of a camera: create all of them, and read them as NumPy arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.analytics.counted import CLASS, PLURAL
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.client.shard import is_here
from rededge_nb.errors import ConfigurationError, MissingModuleError, NoDataError
from rededge_nb.schema import CompactionRule, SeriesSpec


@dataclass(frozen=True, eq=False)
class Series:
    """Samples of one time series, oldest first.

    Attributes:
        key: Redis key of the series.
        labels: Labels of the series, such as `camera` and `__name__`.
        timestamps_ms: int64 of shape (n,), milliseconds since the epoch; start of the bucket for aggregated samples.
        values: float64 of shape (n,).
        bucket_ms: Length of a bucket for aggregated samples, None for samples as they were measured.
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
        """Times of the samples: UTC, datetime64 in milliseconds."""
        return self.timestamps_ms.astype("datetime64[ms]")

    @property
    def latest(self) -> float:
        """Value of the newest sample.

        Raises:
            NoDataError: there are no samples.
        """
        if not len(self):
            raise NoDataError(f"{self.key} has no samples in this range: start a capture, or ask for a longer range")
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
    """Read one series; see `read_many`.

    Raises:
        NoDataError: there is no such series. A series without samples is not an error.
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
    """Read several series in one round trip. The result is in the order of `names`.

    Args:
        client: Connected to the server.
        camera: Camera id.
        names: Values of the label `__name__`, such as `people`, `prf_model`, `people_avg_1m`.
        start_ms: Earliest time, milliseconds since the epoch.
        end_ms: Latest time, included.
        aggregation: An aggregation of RedisTimeSeries, such as `avg`, `min`, `max`, `sum` or `count`.
        bucket_ms: Length of an aggregation bucket in milliseconds.

    Raises:
        NoDataError: one of them does not exist. A series without samples is not an error.
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: only one of `aggregation` and `bucket_ms` is given, or `names` is empty.
    """
    wanted = list(dict.fromkeys(names))
    if (aggregation is None) != (bucket_ms is None):
        raise ConfigurationError(
            f"aggregation is {aggregation!r} and bucket_ms {bucket_ms!r}: give both, such as 'avg' and 60_000"
        )
    if not wanted:
        raise ConfigurationError("no names of series were given: name some, such as 'people', 'in_fps', 'prf_model'")
    buckets = {rule.name: rule.bucket_ms for spec in schema.series_specs(camera) for rule in spec.rules}
    start, end = "-" if start_ms is None else start_ms, "+" if end_ms is None else end_ms
    words: list[object] = [] if aggregation is None else ["AGGREGATION", aggregation, bucket_ms]
    words += ["FILTER", f"camera={schema.camera_id(camera)}", f"__name__=({','.join(wanted)})"]
    found: dict[str, Series] = {}
    for key, labels, samples in samples_with_labels(client, start, end, *words):
        name = labels["__name__"]
        found[name] = Series(
            key=key,
            labels=labels,
            timestamps_ms=np.array([at for at, _ in samples], np.int64),
            values=np.array([value for _, value in samples], np.float64),
            bucket_ms=bucket_ms or buckets.get(name),
        )
    missing = [name for name in wanted if name not in found]
    if missing:
        raise NoDataError(
            f"camera {camera} has no series {', '.join(missing)}: create them with `rededge init --camera {camera}` "
            f"(a camera has {', '.join(schema.raw_series_names())}, and averages such as people_avg_1m; the gear makes "
            f"{schema.OTHER_COUNT} with the first frame in which it counts something else than people)"
        )
    return {name: found[name] for name in wanted}


def samples_with_labels(
    client: redis.Redis, start: int | str, end: int | str, *words: object
) -> Iterator[tuple[str, dict[str, str], list[tuple[int, float]]]]:
    """Send TS.MRANGE, and yield key, labels and samples of each series that it finds, with RESP2 and RESP3.

    Args:
        client: Connected to the server.
        start: First time in milliseconds since the epoch, or `-`.
        end: Last time, or `+`.
        words: The rest of the command, such as `FILTER`, `camera=0`.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    # LATEST adds the bucket that is still filling, without which a short video has no 1-minute values
    for key, (labels, *_, samples) in _pairs(call(client, "TS.MRANGE", start, end, "LATEST", "WITHLABELS", *words)):
        texts = {_text(label): _text(value) for label, value in _pairs(labels)}
        yield _text(key), texts, [(int(at), float(value)) for at, value in samples]


def camera_ids(client: redis.Redis) -> list[str]:
    """Cameras that have series: numbers first and in order. On a shard of a Redis Cluster, those of the shard.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    keys = call(client, "TS.QUERYINDEX", f"__name__={schema.PEOPLE}")
    matches = (re.fullmatch(rf"camera:([^:]+):{schema.PEOPLE}", _text(key)) for key in keys)
    # RedisTimeSeries may be configured to search all shards
    ids = {match[1] for match in matches if match and is_here(client, match[0])}
    return sorted(ids, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))


def ahead_of_the_clock(client: redis.Redis) -> dict[str, float]:
    """Return how many seconds the newest sample of a camera is ahead of the server's clock, by camera.

    Such samples were written while the clock was wrong. The series refuses samples that are older than its newest one
    by more than its retention, so it may refuse those of the present.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    seconds, _ = client.time()
    found: dict[str, float] = {}
    for key, newest_ms in newest_times(client, f"__name__=({schema.PEOPLE},{schema.OTHER_COUNT})").items():
        ahead = newest_ms / 1000 - seconds
        if ahead > schema.CLOCK_SLACK_MS / 1000:
            found[key.split(":")[1]] = ahead
    return found


def newest_times(client: redis.Redis, *filters: str) -> dict[str, int]:
    """Time of the newest sample of each series, by key; series without samples are missing.

    Args:
        client: Connected to the server.
        filters: Which series, such as `camera=0`, `__name__=people`.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    found = _pairs(call(client, "TS.MGET", "FILTER", *filters))
    return {_text(key): int(newest[0]) for key, (_, newest) in found if newest}


def create_series(client: redis.Redis, camera: object) -> list[str]:
    """Create every series of a camera with its labels and compaction rules, and correct those that differ.

    The gear creates the series `count` of what is counted besides people.

    Returns:
        One line for each change.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: a key holds something else than a time series.
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
    try:
        call(client, "TS.CREATE", spec.key, *_options(spec))
    except redis.ResponseError as error:
        if "already exists" not in str(error):
            raise
    else:
        return [f"created {spec.key}"]
    info = series_info(client, spec.key)
    found_labels = {_text(label): _text(value) for label, value in _pairs(info["labels"])}
    # the gear has written what is counted
    counted = {name: found_labels[name] for name in (CLASS, PLURAL) if name in found_labels}
    spec = replace(spec, labels=spec.labels | counted)
    differences = [
        f"{what} of {spec.key} from {found} to {wanted}"
        for what, found, wanted in (
            ("retention", info["retentionTime"], spec.retention_ms),
            ("duplicate policy", _text(info["duplicatePolicy"] or b"none").upper(), spec.duplicate_policy),
            ("labels", found_labels, spec.labels),
        )
        if found != wanted
    ]
    if differences:
        call(client, "TS.ALTER", spec.key, *_options(spec))
    return [f"changed {difference}" for difference in differences]


def _options(spec: SeriesSpec) -> list[object]:
    labels = [text for pair in spec.labels.items() for text in pair]
    return ["RETENTION", spec.retention_ms, "DUPLICATE_POLICY", spec.duplicate_policy, "LABELS", *labels]


def _ensure_rule(client: redis.Redis, source: str, rule: CompactionRule) -> list[str]:
    wanted = (rule.bucket_ms, rule.aggregation)
    # in this order a rule that another client adds meanwhile cannot pass for a wrong one
    filled_from = series_info(client, rule.key)["sourceKey"]
    rules = rules_of(series_info(client, source))
    if rules.get(rule.key) == wanted:
        return []
    changes = []
    if filled_from is not None:
        call(client, "TS.DELETERULE", _text(filled_from), rule.key)
        bucket_ms, aggregation = rules.get(rule.key, (None, ""))
        was = f" ({aggregation}, {bucket_ms} ms)" if bucket_ms else ""
        changes.append(f"removed rule {_text(filled_from)} -> {rule.key}{was}")
    try:
        call(client, "TS.CREATERULE", source, rule.key, "AGGREGATION", rule.aggregation, rule.bucket_ms)
    except ConfigurationError:
        if rules_of(series_info(client, source)).get(rule.key) != wanted:
            raise
        return changes  # another client was faster
    return [*changes, f"added rule {source} -> {rule.key} ({rule.aggregation}, {rule.bucket_ms} ms)"]


def rules_of(info: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Length of the buckets and aggregation of each rule, by the key of the series that it fills.

    Args:
        info: What `series_info` says about the series.
    """
    return {
        _text(key): (int(bucket_ms), _text(aggregation).lower())
        for key, (bucket_ms, aggregation, *_) in _pairs(info["rules"])
    }


def series_info(client: redis.Redis, key: str) -> dict[str, Any]:
    """The reply to TS.INFO as a dictionary."""
    reply = call(client, "TS.INFO", key)
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(name): value for name, value in pairs}


def _pairs(reply: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a map, which is a dict with RESP3, and with RESP2 a list of lists that begin with the key."""
    if isinstance(reply, dict):
        return list(reply.items())
    return [(first, rest[0] if len(rest) == 1 else rest) for first, *rest in reply]


def call(client: redis.Redis, command: str, *arguments: Any) -> Any:
    """Send a command of RedisTimeSeries.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
        ConfigurationError: the key holds something else, or an argument is wrong.
    """
    with _module_errors(client, command, arguments):
        # redis-py reshapes these replies for a client on which `ts()` was ever called. A new client on the same
        # connections does not.
        return cast(Any, redis.Redis(connection_pool=client.connection_pool)).execute_command(command, *arguments)


@contextmanager
def _module_errors(client: redis.Redis, command: str, arguments: tuple[Any, ...]) -> Iterator[None]:
    try:
        with server_errors(client):
            yield
    except redis.ResponseError as error:
        text = str(error)
        if "unknown command" in text:
            raise MissingModuleError(
                f"the server does not know {command}: it lacks RedisTimeSeries; use the embedded server (`rededge up`) "
                "or load the module (redis-server --loadmodule redistimeseries.so)"
            ) from error
        if text.startswith("WRONGTYPE") or "wrong kind" in text or "not a TSDB" in text:
            raise ConfigurationError(
                f"the key {arguments[0]} holds something else than a time series: check it with TYPE {arguments[0]}, "
                "then rename or delete it"
            ) from error
        if text.startswith("TSDB") and "already exists" not in text:
            raise ConfigurationError(f"{command} {' '.join(map(str, arguments))[:200]}: {text}") from error
        raise


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
