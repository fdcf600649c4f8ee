"""Queries of Grafana's Redis data source (redis-datasource 2.2.0), as a dashboard stores them.

The data source runs `query` instead of `command` whenever it is not empty, and refuses a value of the wrong JSON type,
so every field is written by the functions here. It replaces variables in `keyName`, `query`, `field`, `filter`,
`legend` and `value` only.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Self

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="redis-datasource", uid="${redis}")
"""The data source that the dashboard's variable `redis` names."""


CAMERA = "camera:${camera}"
"""The stream of frames of the chosen camera. Its other keys begin with this name."""
TOO_FEW_FRAMES = "too_few_frames"
COUNT, THINGS = f"{CAMERA}:${{series}}", "${plural}"
"""The series of what the model in use counts, such as `camera:0:people`; and the word for it, such as `people`."""


@dataclass
class Query(builder.Builder[variants.Dataquery], variants.Dataquery):
    """One query of a panel."""

    kind: str
    """The form of the editor that shows it: `command`, `timeSeries`, `gears`, `cli`."""
    command: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    ref_id: str = ""

    def build(self) -> Self:
        """The query itself; nothing has to be built."""
        return self

    def to_json(self) -> dict[str, object]:
        """The target as in the JSON of the dashboard."""
        return {
            "refId": self.ref_id,
            "datasource": SOURCE,
            "type": self.kind,
            "command": self.command,
            "query": "",
        } | self.fields


def ts_range(key: str, name: str, aggregation: str, bucket_ms: int, *, fill: bool = False) -> Query:
    """A time series over the panel's range.

    Args:
        key: Key of the series.
        name: Name of the line, also after a join.
        aggregation: Such as `avg`, `min`, `max`, `sum` or `last`. The data source never reduces the number of samples,
            so each query does.
        bucket_ms: Length of a bucket in milliseconds.
        fill: Add zeros for missing buckets between samples.
    """
    fields = {"keyName": key, "legend": name, "value": "Value", "aggregation": aggregation, "bucket": bucket_ms}
    return Query("timeSeries", "ts.range", fields | {"fill": fill})


def ts_mrange(labels: str, name: str, aggregation: str, bucket_ms: int) -> Query:
    """The time series with some labels over the panel's range; none, and no error, if there are none.

    Args:
        labels: Such as `camera=0 __name__=people`.
        name: The label that names the line.
        aggregation: As for `ts_range`.
        bucket_ms: Length of a bucket in milliseconds.
    """
    fields = {"filter": labels, "legend": name, "aggregation": aggregation, "bucket": bucket_ms}
    return Query("timeSeries", "ts.mrange", fields)


def too_few_frames(bucket_ms: int) -> Query:
    """Frames a second that the model saw where these were too few to follow people; the series is missing otherwise."""
    return ts_mrange(f"camera=${{camera}} __name__={TOO_FEW_FRAMES}", "__name__", "min", bucket_ms)


def stream_tail(key: str, count: int) -> Query:
    """The newest entries of a stream, newest first, for any range of the panel."""
    return Query("command", "xrevrange", {"keyName": key, "start": "-", "end": "+", "count": count})


def length(key: str) -> Query:
    """Number of entries of a stream; 0 if it does not exist."""
    return Query("command", "xlen", {"keyName": key})


def info(section: str) -> Query:
    """One section of INFO: one column per line."""
    return Query("command", "info", {"section": section})


def clients() -> Query:
    """CLIENT LIST: one row per connection."""
    return Query("command", "clientList")


def slow_log(count: int) -> Query:
    """The newest entries of the slow log."""
    return Query("command", "slowlogGet", {"size": count})


def largest_keys(scanned: int, shown: int) -> Query:
    """The keys with the most memory among the first `scanned` keys."""
    return Query("command", "tmscan", {"match": "*", "count": scanned, "size": shown})


def registrations() -> Query:
    """RG.DUMPREGISTRATIONS: one row per registration."""
    return Query("gears", "rg.dumpregistrations")


def python_memory() -> Query:
    """RG.PYSTATS: memory of the worker that answers."""
    return Query("gears", "rg.pystats")


def cli(line: str) -> Query:
    """A command line as for redis-cli. The reply is one column `Value`; arrays are flattened.

    It runs at each refresh for each viewer, so it must not write.
    """
    return Query("cli", fields={"query": line})


def targets(*queries: Query) -> list[builder.Builder[variants.Dataquery]]:
    """The queries of a panel, named A, B, C …"""
    for letter, query in zip(string.ascii_uppercase, queries, strict=False):
        query.ref_id = letter
    return list(queries)
