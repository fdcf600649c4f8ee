"""The times in which a camera has samples, and deleting them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.scene_series import LINE_SERIES
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.client.shard import is_here
from rededge_nb.reading.series import call, rules_of, series_info

_COUNTS = (schema.PEOPLE, schema.OTHER_COUNT)
_SECOND_MS = 1000
"""Series that sum have one sample a second, to which each frame adds."""
_LINE = "line:"
"""How the names of the series of lines begin."""
_ZONE, _DWELL = "zone:", ":dwell"
"""How those of zones begin, and how that of the stays ends."""
_REMEMBERED_MS = 2000
"""How long somebody may have been out of sight who is not new."""
_PAGE = 1000


def oldest_allowed_ms(client: redis.Redis, camera: object) -> int:
    """The time before which a series of the camera refuses samples, because it has newer ones; 0 if none does."""
    return max((_oldest_allowed_ms(info) for info in _series(client, camera).values()), default=0)


def has_samples(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> bool:
    """Whether a camera has a sample from one time to before another one."""
    return _first_ms(client, list(_series(client, camera)), start_ms, end_ms) is not None


def newest_time_ms(client: redis.Redis, camera: object) -> int:
    """The time of the frame that was processed last, if the frames come in order; -1 if there is none."""
    newest = [call(client, "TS.GET", key) for key in _count_keys(client, camera)]
    return max((int(sample[0]) for sample in newest if sample), default=-1)


def forget_people(client: redis.Redis, camera: object) -> None:
    """Let the gear forget who is in view: those of a count that was deleted do not leave with the next frame."""
    with server_errors(client):
        client.hincrby(schema.removed_key(camera), schema.FORGET, 1)


def free_time_ms(client: redis.Redis, camera: object, length_ms: int, end_ms: int) -> int | None:
    """The latest start of a time of this length, up to `end_ms`, of which a camera has no counts.

    None if there is no such time that the series of the camera still take samples of.
    """
    found = _series(client, camera)
    oldest_ms = max(map(_oldest_allowed_ms, found.values()), default=0)
    counts = [key for name in (*_COUNTS, schema.IN_FPS) if (key := schema.series_key(camera, name)) in found]
    while end_ms - length_ms >= oldest_ms:
        first_ms = _first_ms(client, counts, end_ms - length_ms, end_ms)
        if first_ms is None:
            return end_ms - length_ms
        end_ms = first_ms - first_ms % _SECOND_MS
    return None


def delete_samples(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> int:
    """Delete the samples of a camera from one time to before another one.

    Where a second belongs to this time only in part, its sample in the series that sum keeps what the frames outside
    add. RedisTimeSeries computes the averages and other compactions of this time again. Crossings and stays that are
    deleted are noted for the gear, which takes them from the totals that the video shows.

    Returns:
        How many samples of `people` and `count` there were.
    """
    deleted = 0
    in_totals = tuple(schema.series_key(camera, kind) for kind in (_LINE, _ZONE))
    counts = [schema.series_key(camera, name) for name in _COUNTS]
    for key, info in _series(client, camera).items():
        sums = _text(info["duplicatePolicy"]) == "sum"
        start, end = start_ms, end_ms
        if sums:
            start, end = start - start % _SECOND_MS, end + -end % _SECOND_MS
        # what is older than that has been given up by the series already, and it refuses to delete it
        start = max(start, _oldest_allowed_ms(info))
        if start >= end:
            continue
        kept_ms = _sample_to_keep(client, key, info, start, end)
        if not key.startswith(in_totals):
            count = int(call(client, "TS.DEL", key, start, (end if kept_ms is None else kept_ms) - 1))
            if kept_ms is not None and sums:
                call(client, "TS.ADD", key, kept_ms, 0, "ON_DUPLICATE", "LAST")
        else:
            count = _delete_from_totals(client, camera, key, start, end, kept_ms, sums=sums)
        deleted += count if key in counts else 0
        if sums and count:
            again = _sum_again(client, camera, key, start, start_ms) + _sum_again(client, camera, key, end_ms, end)
            if again and key.startswith(in_totals):
                call(client, "HINCRBY", schema.removed_key(camera), _name_of(camera, key), -again)
    return deleted


def _sample_to_keep(client: redis.Redis, key: str, info: Mapping[str, Any], start_ms: int, end_ms: int) -> int | None:
    """Time of the sample that must stay when samples are deleted; None if all can be deleted.

    TS.DEL of RedisTimeSeries 1.12 ends redis-server with a segmentation fault when it deletes all samples of the newest
    bucket of a compaction rule, and the compaction has two buckets or more before that. So the newest sample stays
    then: as 0 in a series that sums; in another one it is the measurement of one frame.
    """
    newest_ms = int(info["lastTimestamp"])
    if not info["rules"] or end_ms <= newest_ms or start_ms <= int(info["firstTimestamp"]):
        return None
    found = call(client, "TS.REVRANGE", key, "-", start_ms - 1, "COUNT", 1)
    before_ms = int(found[0][0] if found else info["firstTimestamp"])
    rules = rules_of(info).items()
    emptied = (compaction for compaction, (bucket_ms, _) in rules if before_ms // bucket_ms < newest_ms // bucket_ms)
    complete = (int(series_info(client, each)["totalSamples"]) for each in emptied)
    return newest_ms if any(number > 1 for number in complete) else None


def _delete_from_totals(
    client: redis.Redis, camera: object, key: str, start_ms: int, end_ms: int, kept_ms: int | None, *, sums: bool
) -> int:
    """Delete samples of a line or zone, and note in the same transaction how much the totals lose."""
    samples = call(client, "TS.RANGE", key, start_ms, (end_ms if sums or kept_ms is None else kept_ms) - 1)
    name = _name_of(camera, key)
    if not samples:
        return 0
    lost = sum(round(float(value)) for _, value in samples) if sums else len(samples)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.execute_command("TS.DEL", key, start_ms, (end_ms if kept_ms is None else kept_ms) - 1)
        if kept_ms is not None and sums:
            pipeline.execute_command("TS.ADD", key, kept_ms, 0, "ON_DUPLICATE", "LAST")
        if sums or name.endswith(_DWELL):
            pipeline.hincrby(schema.removed_key(camera), name, lost)
        with server_errors(client):
            return int(pipeline.execute()[0])


def _name_of(camera: object, key: str) -> str:
    return key.removeprefix(schema.series_key(camera, ""))


def _first_ms(client: redis.Redis, keys: list[str], start_ms: int, end_ms: int) -> int | None:
    """Time of the first sample in some series from one time to before another one; None if there is none."""
    found = [call(client, "TS.RANGE", key, start_ms, end_ms - 1, "COUNT", 1) for key in keys]
    return min((int(samples[0][0]) for samples in found if samples), default=None)


def _sum_again(client: redis.Redis, camera: object, key: str, start_ms: int, end_ms: int) -> int:
    """Give a second its sample for the frames in a part of it; returns that."""
    frames = _times_of_frames(client, camera, start_ms, end_ms) if start_ms < end_ms else set()
    if not frames:
        return 0
    name = _name_of(camera, key)
    if name in (schema.IN_FPS, schema.OUT_FPS):
        total = len(frames)
    elif name == schema.LOOKED_FPS:
        total = _seen_by_model(client, camera, start_ms, end_ms)
    elif name.startswith(_LINE):
        total = _crossings(client, camera, name, start_ms, end_ms)
    else:
        total = _people_seen_first(client, camera, start_ms, end_ms)
    call(client, "TS.ADD", key, start_ms - start_ms % _SECOND_MS, total)
    return total


def _times_of_frames(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> set[int]:
    keys = _count_keys(client, camera)
    return {int(at) for key in keys for at, _ in call(client, "TS.RANGE", key, start_ms, end_ms - 1)}


def _count_keys(client: redis.Redis, camera: object) -> list[str]:
    """The series that have a sample for each frame that was processed, whatever was counted in it."""
    return [key for name in _COUNTS if client.exists(key := schema.series_key(camera, name))]


def _people_seen_first(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> int:
    """How many people were seen for the first time from one time to before another one, as the detections say."""
    found = {at: _ids_in(fields) for at, fields in _detections(client, camera, start_ms, end_ms).items()}
    earlier = {each for at, ids in found.items() if at < start_ms for each in ids}
    return len({each for at, ids in found.items() if at >= start_ms for each in ids} - earlier)


def _seen_by_model(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> int:
    """For how many frames from one time to before another one the model ran, as the detections say."""
    found = _detections(client, camera, start_ms, end_ms)
    return sum(fields.get(schema.PREDICTED.encode()) != b"1" for at, fields in found.items() if at >= start_ms)


def _crossings(client: redis.Redis, camera: object, series: str, start_ms: int, end_ms: int) -> int:
    """How often a line was crossed from one time to before another one, as the detections say, which have totals."""
    line, _, direction = series.removeprefix(_LINE).rpartition(":")
    index = LINE_SERIES.index(direction) if direction in LINE_SERIES else 0
    found = _detections(client, camera, start_ms, end_ms)
    totals = {at: total for at in sorted(found) if (total := _total_of(found[at], line, index)) is not None}
    before = [total for at, total in totals.items() if at < start_ms]
    within = [total for at, total in totals.items() if at >= start_ms]
    # a total falls when samples are deleted, and grows by crossings alone
    return sum(max(0, later - earlier) for earlier, later in pairwise([*before[-1:], *within]))


def _detections(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> dict[int, Mapping[bytes, bytes]]:
    """The newest detections of each time from a moment before one time to before another one."""
    wanted = _times_of_frames(client, camera, max(0, start_ms - _REMEMBERED_MS), end_ms)
    found: dict[int, Mapping[bytes, bytes]] = {}
    before = "+"
    while not wanted <= found.keys() and (
        page := streams.entries(client, schema.detections_key(camera), end=before, count=_PAGE, newest_first=True)
    ):
        for entry_id, fields in page:
            at = streams.number(fields, schema.TS, streams.time_ms(entry_id))
            if at in wanted:
                found.setdefault(at, fields)
        before = f"({page[-1][0]}"
    return found


def _total_of(fields: Mapping[bytes, bytes], line: str, index: int) -> int | None:
    """How often a line was crossed in a direction since it was made; None if the detections do not say."""
    try:
        total = json.loads(fields.get(schema.LINES.encode(), b"{}"))[line][index]
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return total if isinstance(total, int) else None


def _ids_in(fields: Mapping[bytes, bytes]) -> set[int]:
    try:
        ids = json.loads(fields.get(schema.TRACKS.encode(), b"[]"))
    except ValueError:
        return set()
    return {each for each in ids if isinstance(each, int)} if isinstance(ids, list) else set()


def _series(client: redis.Redis, camera: object) -> dict[str, dict[str, Any]]:
    """All series of a camera that are filled by commands, not by compaction rules."""
    found = call(client, "TS.QUERYINDEX", f"camera={schema.camera_id(camera)}")
    every = {key: series_info(client, key) for key in map(_text, found) if is_here(client, key)}
    return {key: info for key, info in every.items() if info["sourceKey"] is None}


def _oldest_allowed_ms(info: dict[str, Any]) -> int:
    retention_ms, newest_ms = int(info["retentionTime"]), int(info["lastTimestamp"])
    return max(0, newest_ms - retention_ms) if retention_ms and int(info["totalSamples"]) else 0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
