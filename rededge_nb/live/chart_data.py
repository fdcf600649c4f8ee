"""The data of live charts: read from a camera's time series, and packed so that a page receives only what is new.

Columns and tables have `people` in their names whatever the model in use counts; `things` is the word for the page.

A page gets the whole window once (`ChartData.history`) and then only new rows (`ChartData.update`). Samples may be
written late, changed or deleted after they were sent, so each update reads the last seconds once more and compares
them with what was sent. Rows are packed as four bytes a field: a minute of frames is a few kilobytes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import NoDataError
from rededge_nb.live import scene_charts
from rededge_nb.live.scene_charts import CROSSINGS, ZONES, Drawn
from rededge_nb.reading import series
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.present import Present, present_of
from rededge_nb.reading.seen import seen_between, seen_since
from rededge_nb.reading.too_few_frames import too_few_frames

MAX_SAMPLES = 1800
"""With more samples in a line, the server averages them in buckets. A minute at 30 frames a second has fewer."""
BUCKETS_MS = (100, 200, 500, 1000, 2000, 5000)
"""Lengths of such buckets."""
RECHECK_INTERVAL = 2.0
"""Seconds between two checks for late samples and for series that were created or deleted."""
LATE = 15.0
"""A sample may be written this many seconds after younger ones and is still found."""
RATES_DELAY = 1.0
"""Seconds to wait after a second before its rates are sent: frames are still being processed. Later ones correct it."""
SHORTEST_MS = 10_000
"""The charts of a recording show at least so much time: it may have begun just now."""
STALE = 30.0
"""After so many seconds without an update, a page gets the whole history once more."""

_OVERLAP = 1.0
_SECOND_MS = 1000
_MINUTE_MS = 60 * _SECOND_MS

FRAME_SERIES = (schema.PEOPLE, *map(schema.step_series, schema.STEPS), schema.TOTAL)
"""Series with a sample per frame."""

Row = tuple[float | None, ...]
"""The values of a table's columns at one time; None where a series has no sample."""


@dataclass(frozen=True)
class Table:
    """Series that have their samples at the same times.

    Attributes:
        columns: Names of the series.
        bucket_ms: Time that a row covers; 0 if it is one sample.
        aggregation: How the server combines samples in buckets; None if they are read as they are.
    """

    name: str
    columns: tuple[str, ...]
    bucket_ms: int = 0
    aggregation: str | None = None

    @property
    def row_type(self) -> np.dtype[np.void]:
        """A packed row: milliseconds since the base, then the values (NaN: none); four bytes each, little-endian."""
        return np.dtype([("at", "<i4"), ("values", "<f4", (len(self.columns),))])

    def start_of_bucket(self, time_ms: int) -> int:
        """Start of the bucket that contains a time."""
        return time_ms - time_ms % self.bucket_ms if self.bucket_ms else time_ms


class Message(NamedTuple):
    """A message to pages: a JSON object, and the packed rows of all tables, one table after the other."""

    content: dict[str, Any]
    buffer: bytes


def bucket_for(window_ms: int) -> int:
    """Length in milliseconds of the buckets in which the samples of a window are combined."""
    return next((each for each in BUCKETS_MS if each * MAX_SAMPLES >= window_ms), BUCKETS_MS[-1])


def tables(window_ms: int, *, in_buckets: bool, drawn: Drawn = ((), ())) -> tuple[Table, ...]:
    """The tables of a window.

    Args:
        window_ms: Its length in milliseconds.
        in_buckets: There are too many frames to draw each of them.
        drawn: Lines and zones of the camera.
    """
    bucket_ms = bucket_for(window_ms)
    of_scene = scene_charts.columns(drawn)
    second_ms = max(_SECOND_MS, bucket_ms)
    return (
        Table("frames", FRAME_SERIES, bucket_ms, "avg") if in_buckets else Table("frames", FRAME_SERIES),
        Table("rates", (schema.IN_FPS, schema.OUT_FPS), second_ms, "sum" if second_ms > _SECOND_MS else None),
        *(
            Table(
                f"people_{minutes}m",
                tuple(schema.compaction_name(each, minutes) for each in schema.COMPACTION_AGGREGATIONS),
                minutes * _MINUTE_MS,
            )
            for minutes in schema.COMPACTION_MINUTES
        ),
        *(_scene_table(name, columns, bucket_ms if in_buckets else 0, second_ms) for name, columns in of_scene.items()),
    )


def _scene_table(name: str, columns: tuple[str, ...], bucket_ms: int, second_ms: int) -> Table:
    """A table of lines, whose series sum, or of zones, whose series have a sample per frame."""
    if name == CROSSINGS:
        return Table(name, columns, second_ms, "sum" if second_ms > _SECOND_MS else None)
    return Table(name, columns, bucket_ms, "avg" if bucket_ms else None)


class ChartData:
    """The chart data of one camera, with a record of what was sent, so that an update has only what is new.

    Args:
        camera: Camera id.
        minutes: Time that the charts show.
    """

    def __init__(self, camera: str, minutes: float) -> None:
        self.camera = camera
        self.minutes = minutes
        self._tables = tables(self.window_ms, in_buckets=False)
        self._sent: dict[str, dict[int, Row]] = {}
        self._names: frozenset[str] = frozenset()
        self._counted = PEOPLE
        self._drawn: Drawn = ((), ())
        self._present = Present(0, 0)
        self._base_ms = 0
        self._clock_ms = 0
        self._frames = 0
        self._seen: int | None = None
        self._reliable = True
        self._seen_sent: int | None = None
        self._updated = self._checked = -math.inf

    @property
    def window_ms(self) -> int:
        """`minutes` in milliseconds."""
        return round(self.minutes * _MINUTE_MS)

    @property
    def _recording_ms(self) -> int | None:
        """When the recording began that the camera was last fed with; None for a live source."""
        return self._present.recording.start_ms if self._present.recording else None

    @property
    def missing(self) -> list[str]:
        """Series that the server did not have at the last check."""
        # the gear makes those of another class than people with the first frame
        found = [name for name in series_names() if name not in self._names]
        return [name for name in found if self._counted.is_people or not name.startswith(schema.PEOPLE)]

    def history(self, client: redis.Redis) -> Message:
        """Everything in the window. The window ends now, or soon after the last sample if none arrived for long."""
        newest_ms = max((at for at in self._check_series(client).values() if at), default=0)
        now_ms = server_ms(client)
        newest_ms = self._present.newest_of(newest_ms)
        _, end_ms = window_of(now_ms, newest_ms, self.window_ms, self._recording_ms)
        self._clock_ms = max(now_ms, newest_ms)
        start_ms = end_ms - self.window_ms
        frames = self._count_frames(client, start_ms)
        self._base_ms, self._frames, self._sent = end_ms, frames, {}
        self._tables = tables(self.window_ms, in_buckets=frames > MAX_SAMPLES, drawn=self._drawn)
        rows = {table.name: self._read(client, table, start_ms) for table in self._tables}
        for table in self._tables:
            self._remember(table, rows[table.name])
        self._updated, self._seen_sent = time.monotonic(), self._seen
        description = [
            {"name": table.name, "columns": table.columns, "bucket_ms": table.bucket_ms, "rows": len(rows[table.name])}
            for table in self._tables
        ]
        return Message(
            {
                "kind": "history",
                "camera": self.camera,
                "now": now_ms,
                "base": end_ms,
                "minutes": self.minutes,
                "tables": description,
                "missing": self.missing,
                "seen": self._seen,
                "lines": self._drawn[0],
                "recording": self._recording_ms,
                "things": self._counted.plural,
                "reliable": self._reliable,
            },
            self._packed(rows),
        )

    def update(self, client: redis.Redis) -> Message | None:
        """What is new since the last message: None if nothing is; the history if rows or series have disappeared."""
        if time.monotonic() - self._updated > STALE:
            return self.history(client)
        overlap = _OVERLAP
        if self._present.recording and self._present.recording.running:
            before_ms, self._present = self._recording_ms, present_of(client, self.camera)
            if self._recording_ms != before_ms:
                return self.history(client)
        if time.monotonic() - self._checked > RECHECK_INTERVAL:
            overlap = LATE
            before = (self._names, self._drawn, self._recording_ms, self._counted, self._reliable)
            self._check_series(client)
            if (self._names, self._drawn, self._recording_ms, self._counted, self._reliable) != before:
                return self.history(client)
        now_ms = server_ms(client)
        self._clock_ms = max(self._clock_ms, now_ms)
        try:
            changed = self._changes(client, overlap)
        except NoDataError:
            # a series was deleted since the last check
            changed = None
        if changed is None:
            return self.history(client)
        self._updated = time.monotonic()
        self._frames += len(changed["frames"])
        if self._too_many(client, now_ms):
            return self.history(client)
        if not any(changed.values()) and self._seen == self._seen_sent:
            return None
        self._seen_sent = self._seen
        rows = [len(changed[table.name]) for table in self._tables]
        content = {"kind": "new", "now": now_ms, "rows": rows, "seen": self._seen}
        return Message(content, self._packed(changed))

    def _changes(self, client: redis.Redis, overlap: float) -> dict[str, dict[int, Row]] | None:
        """The rows by table that are new or have changed, and remember them as sent; None if rows have disappeared."""
        changes = {}
        for table in self._tables:
            sent = self._sent[table.name]
            latest = max(sent, default=self._base_ms - self.window_ms)
            since = table.start_of_bucket(latest - round(overlap * 1000))
            rows = self._read(client, table, since)
            if any(at >= since and at not in rows for at in sent):
                return None
            changes[table.name] = {at: row for at, row in rows.items() if sent.get(at) != row}
            self._remember(table, changes[table.name])
        return changes

    def _check_series(self, client: redis.Redis) -> dict[str, int | None]:
        self._counted = counted_now(client)
        newest = newest_samples(client, self.camera, self._counted)
        self._names = frozenset(newest)
        self._drawn = scene_charts.drawn_by(client, self.camera)
        self._present = present_of(client, self.camera)
        self._seen, self._reliable = self._count_seen(client), self._follows_people(client)
        self._checked = time.monotonic()
        return newest

    def _count_seen(self, client: redis.Redis) -> int | None:
        """People seen for the first time today, or in the recording; None without samples."""
        name, present = schema.camera_id(self.camera), self._present
        if present.recording:
            return seen_between(client, present.day_ms, present.last_ms, camera=name)
        return seen_since(client, present.day_ms, present.now_ms, camera=name).get(name)

    def _follows_people(self, client: redis.Redis) -> bool:
        """Whether the model saw enough frames today, or in the recording, to follow people."""
        present = self._present
        return not too_few_frames(client, present.day_ms, present.last_ms, camera=schema.camera_id(self.camera))

    def _count_frames(self, client: redis.Redis, start_ms: int) -> int:
        name = next((each for each in FRAME_SERIES if each in self._names), None)
        if name is None:
            return 0
        counts = series.read_series(
            client,
            self.camera,
            series_of(name, self._counted),
            start_ms=start_ms,
            end_ms=self._present.last_ms,
            aggregation="count",
            bucket_ms=self.window_ms,
        )
        return int(counts.values.sum())

    def _too_many(self, client: redis.Redis, now_ms: int) -> bool:
        """Whether the window has too many single frames by now, so that buckets are needed."""
        if self._tables[0].bucket_ms or self._frames < 2 * MAX_SAMPLES:
            return False
        self._frames = self._count_frames(
            client, (self._present.last_ms if self._present.recording else now_ms) - self.window_ms
        )
        return self._frames > MAX_SAMPLES

    def _read(self, client: redis.Redis, table: Table, start_ms: int) -> dict[int, Row]:
        if table.name in (CROSSINGS, ZONES):
            return self._read_scene(client, table, start_ms)
        names = [name for name in table.columns if name in self._names]
        if not names:
            return {}
        found = series.read_many(
            client,
            self.camera,
            [series_of(name, self._counted) for name in names],
            start_ms=table.start_of_bucket(max(start_ms, self._recording_ms or 0)),
            end_ms=self._present.last_ms,
            aggregation=table.aggregation,
            bucket_ms=table.bucket_ms if table.aggregation else None,
        )
        filled: dict[int, list[float | None]] = {}
        per_second = table.bucket_ms / _SECOND_MS if table.aggregation == "sum" else 1.0
        for column, name in enumerate(series_of(each, self._counted) for each in table.columns):
            if name in found:
                for at, value in zip(found[name].timestamps_ms.tolist(), found[name].values.tolist(), strict=True):
                    filled.setdefault(at, [None] * len(table.columns))[column] = value / per_second
        if table.name == "frames":
            self._clock_ms = max([self._clock_ms, *filled])
        if table.name == "rates":
            # a second whose frames are still being processed would look like a camera that slows down
            complete_ms = self._clock_ms - round(RATES_DELAY * 1000)
            filled = {at: row for at, row in filled.items() if at + table.bucket_ms <= complete_ms}
        return {at: tuple(filled[at]) for at in sorted(filled)}

    def _read_scene(self, client: redis.Redis, table: Table, start_ms: int) -> dict[int, Row]:
        filled = scene_charts.read_rows(
            client,
            self.camera,
            table.name,
            table.columns,
            start_ms=table.start_of_bucket(max(start_ms, self._recording_ms or 0)),
            end_ms=self._present.last_ms,
            aggregation=table.aggregation,
            bucket_ms=table.bucket_ms,
        )
        return {at: tuple(filled[at]) for at in sorted(filled)}

    def _remember(self, table: Table, rows: dict[int, Row]) -> None:
        sent = self._sent.setdefault(table.name, {})
        sent.update(rows)
        if sent:
            oldest = table.start_of_bucket(max(sent) - round(LATE * 1000))
            self._sent[table.name] = {at: row for at, row in sent.items() if at >= oldest}

    def _packed(self, rows: dict[str, dict[int, Row]]) -> bytes:
        packed = []
        for table in self._tables:
            chosen = rows[table.name]
            array = np.empty(len(chosen), table.row_type)
            array["at"] = np.fromiter(chosen, np.int64, len(chosen)) - self._base_ms
            array["values"] = np.array(list(chosen.values()), np.float32).reshape(len(chosen), len(table.columns))
            packed.append(array.tobytes())
        return b"".join(packed)


def series_names() -> tuple[str, ...]:
    """All series that the charts show."""
    return tuple(name for table in tables(_MINUTE_MS, in_buckets=False) for name in table.columns)


def series_of(column: str, counted: Counted) -> str:
    """The series of a column: `people` stands for what is counted."""
    return counted.series + column.removeprefix(schema.PEOPLE) if column.startswith(schema.PEOPLE) else column


def newest_samples(client: redis.Redis, camera: str, counted: Counted) -> dict[str, int | None]:
    """The columns whose series exist, each with the time of its newest sample.

    Args:
        client: One from `blocking_client()`.
        camera: Camera id.
        counted: What the model in use counts.
    """
    columns = {series_of(column, counted): column for column in series_names()}
    chosen = (f"camera={schema.camera_id(camera)}", f"__name__=({','.join(columns)})")
    with server_errors(client):
        reply: Any = client.execute_command("TS.MGET", "WITHLABELS", "FILTER", *chosen)
    found = {dict(labels)[b"__name__"].decode(): sample for _, labels, sample in reply}
    return {columns[name]: int(sample[0]) if sample else None for name, sample in found.items()}


def server_ms(client: redis.Redis) -> int:
    """The server's clock, milliseconds since the epoch."""
    with server_errors(client):
        seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


def window_of(now_ms: int, newest_ms: int, window_ms: int, recording_ms: int | None = None) -> tuple[int, int]:
    """The left and the right edge of the charts.

    They end now, but a time without samples fills at most a quarter of them. Charts of a recording end with its newest
    sample, and if it is shorter than the window, they begin with it.

    Args:
        now_ms: The server's time.
        newest_ms: Time of the newest sample, or of the newest frame of the recording; 0 if there is none.
        window_ms: The longest time that the charts show.
        recording_ms: When the recording began that the camera was last fed with; None for a live source.
    """
    # charts_samples.js computes the same
    if recording_ms is None:
        end_ms = newest_ms + min(max(0, now_ms - newest_ms), window_ms // 4) if newest_ms else now_ms
        return end_ms - window_ms, end_ms
    newest_ms = max(newest_ms, recording_ms)  # its first sample may not be there yet
    start_ms = max(recording_ms, newest_ms - window_ms)
    return start_ms, max(newest_ms, start_ms + min(window_ms, SHORTEST_MS))
