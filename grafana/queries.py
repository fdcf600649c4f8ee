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
"""Stream of the frames of the camera chosen; its other keys begin with it."""


@dataclass
class Query(builder.Builder[variants.Dataquery], variants.Dataquery):
    """One query of a panel."""

    kind: str
    """Which of the editor's forms shows it: `command`, `timeSeries`, `gears`, `cli`."""
    command: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    ref_id: str = ""

    def build(self) -> Self:
        """The query itself: there is nothing more to it."""
        return self

    def to_json(self) -> dict[str, object]:
        """The target as it stands in the dashboard's JSON."""
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
        key: the series.
        name: what the line is called, alone and in company, and after a join.
        aggregation: `avg`, `min`, `max`, `sum`, `last` …: the data source never reduces, so every query here does.
        bucket_ms: milliseconds of a bucket.
        fill: put 0 where buckets between samples are missing.
    """
    fields = {"keyName": key, "legend": name, "value": "Value", "aggregation": aggregation, "bucket": bucket_ms}
    return Query("timeSeries", "ts.range", fields | {"fill": fill})


def stream_tail(key: str, count: int) -> Query:
    """The newest entries of a stream, newest first, whatever the panel's range."""
    return Query("command", "xrevrange", {"keyName": key, "start": "-", "end": "+", "count": count})


def length(key: str) -> Query:
    """Number of entries of a stream; 0 where there is none."""
    return Query("command", "xlen", {"keyName": key})


def info(section: str) -> Query:
    """One section of INFO: a column a line."""
    return Query("command", "info", {"section": section})


def clients() -> Query:
    """CLIENT LIST: a row a connection."""
    return Query("command", "clientList")


def slow_log(count: int) -> Query:
    """The newest entries of the slow log."""
    return Query("command", "slowlogGet", {"size": count})


def largest_keys(scanned: int, shown: int) -> Query:
    """The keys that take most memory, of the first `scanned`."""
    return Query("command", "tmscan", {"match": "*", "count": scanned, "size": shown})


def registrations() -> Query:
    """RG.DUMPREGISTRATIONS: a row a registration."""
    return Query("gears", "rg.dumpregistrations")


def python_memory() -> Query:
    """RG.PYSTATS: memory of the process that answered."""
    return Query("gears", "rg.pystats")


def cli(line: str) -> Query:
    """A command line, as redis-cli takes it; the reply comes as one column `Value`, arrays flattened.

    It runs at every refresh for every viewer, so it must not write.
    """
    return Query("cli", fields={"query": line})


def targets(*queries: Query) -> list[builder.Builder[variants.Dataquery]]:
    """The queries of a panel, lettered from A."""
    for letter, query in zip(string.ascii_uppercase, queries, strict=False):
        query.ref_id = letter
    return list(queries)
