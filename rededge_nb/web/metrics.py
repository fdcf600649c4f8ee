"""The newest values of all cameras' time series as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import redis
from tornado.web import HTTPError

from rededge_nb import schema
from rededge_nb.analytics.counted import CLASS, Counted
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import GearError
from rededge_nb.monitoring.top import CameraFigures, snapshot
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.detections import read_latest_detections
from rededge_nb.reading.events import active_alarms
from rededge_nb.reading.frames import newest_frame_ms
from rededge_nb.reading.present import Present, present_of
from rededge_nb.reading.seen import midnight_ms, seen_since
from rededge_nb.reading.series import camera_ids
from rededge_nb.reading.too_few_frames import too_few_frames
from rededge_nb.web.handlers import Handler
from rededge_nb.web.hub import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STALE_MS = 5 * schema.MINUTE_MS
"""Samples that are older than this are left out; Prometheus looks back equally far."""
RATE_WINDOW_MS = 10_000
"""Frames per second are averaged over this time: the present second is incomplete, and single seconds vary."""

_RATES = (schema.IN_FPS, schema.OUT_FPS, schema.LOOKED_FPS)
_SECOND_MS = 1000


@dataclass
class Metric:
    """A metric with its samples: labels and value.

    Attributes:
        kind: `gauge` or `counter`.
    """

    name: str
    text: str
    kind: str = "gauge"
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)


class MetricsHandler(Handler):
    """`/metrics`: for Prometheus. If Redis does not answer, it has that and the figures of the web server."""

    async def get(self) -> None:
        """Answer with all metrics."""
        found: list[Metric] = []
        redis_up = True
        try:
            found = await self.from_redis(read_metrics)
        except HTTPError as error:
            # any other error means that Redis answers, for example that it has no time series
            redis_up = error.status_code != HTTPStatus.SERVICE_UNAVAILABLE
        up = Metric("rededge_redis_up", "Whether Redis answers.", samples=[({}, float(redis_up))])
        self.set_header("Content-Type", CONTENT_TYPE)
        metrics = [up, *found, *_own(self.services.hub)]
        self.finish(exposition(metric for metric in metrics if metric.samples))


def read_metrics(client: redis.Redis) -> list[Metric]:
    """One metric per series name, with a sample for each camera that has a recent one."""
    cameras = list(dict.fromkeys([*camera_ids(client), *known_cameras(client)]))
    presents = {camera: present_of(client, camera) for camera in cameras}
    recorded = [camera for camera, present in presents.items() if present.recording]
    rows = snapshot(client, cameras=recorded, window=RATE_WINDOW_MS // _SECOND_MS) if recorded else []
    seconds, microseconds = client.time()
    now_ms = seconds * _SECOND_MS + microseconds // 1000
    return [
        *_of_series(client, now_ms, presents, rows),
        *_of_people_seen(client, now_ms, rows),
        *_of_recordings(rows),
        *_of_scenes(client, presents),
        *_of_events(client, now_ms, cameras),
    ]


def _of_series(
    client: redis.Redis, now_ms: int, presents: Mapping[str, Present], recorded: Iterable[CameraFigures]
) -> Iterable[Metric]:
    """The newest values of each series, by the clock or in the recording that a camera was last fed with."""
    texts = _texts()
    metrics = {name: Metric(f"rededge_{name}", text) for name, text in texts.items()}
    recordings = {row.camera: presents[row.camera] for row in recorded}
    names = [name for name in texts if name not in _RATES]
    for labels, value in _newest(client, Present(now_ms, now_ms), names):
        if labels.get("camera") not in recordings:
            _put(metrics, labels, value)
    for camera, present in recordings.items():
        for labels, value in _newest(client, present, names, f"camera={camera}"):
            _put(metrics, labels, value)
    end_ms = now_ms - now_ms % _SECOND_MS - 1
    window = (end_ms + 1 - RATE_WINDOW_MS, end_ms)
    counted = ("WITHLABELS", "AGGREGATION", "sum", RATE_WINDOW_MS, "FILTER", _named(_RATES))
    for _, pairs, samples in _call(client, "TS.MRANGE", *window, *counted):
        labels, frames = _labels_of(pairs), sum(float(value) for _, value in samples)
        if labels.get("camera") not in recordings:
            _put(metrics, labels, frames / (RATE_WINDOW_MS / _SECOND_MS))
    for row in recorded:
        for name, value in zip(_RATES, (row.in_fps, row.out_fps, row.looked_fps), strict=True):
            _put(metrics, {"__name__": name, "camera": row.camera}, value)
    return metrics.values()


def _newest(
    client: redis.Redis, present: Present, names: Iterable[str], *chosen: str
) -> Iterator[tuple[dict[str, str], float]]:
    """Labels and newest value of each series that has one which is not stale."""
    buckets = {rule.name: rule.bucket_ms for spec in schema.series_specs("0") for rule in spec.rules}
    # a compaction has the time at which its bucket begins
    start_ms = max(0, present.now_ms - STALE_MS - max(buckets.values()))
    newest = ("LATEST", "WITHLABELS", "COUNT", 1, "FILTER", _named(names), *chosen)
    for _, pairs, samples in _call(client, "TS.MREVRANGE", start_ms, present.end_ms, *newest):
        labels = _labels_of(pairs)
        bucket_ms = buckets.get(labels["__name__"], 0)
        for at_ms, value in samples:
            last_ms = min(int(at_ms) + bucket_ms, present.now_ms)
            # what was before a recording is of another source
            before = present.recording is not None and last_ms < present.recording.start_ms // _SECOND_MS * _SECOND_MS
            if not before and present.age_ms(last_ms) <= STALE_MS:
                yield labels, float(value)


def _of_people_seen(client: redis.Redis, now_ms: int, recorded: Sequence[CameraFigures]) -> Iterator[Metric]:
    """Those of the day, of cameras with a live source; and of all cameras, whether people could be followed."""
    what = _class_label(counted_now(client))
    recordings = [row.camera for row in recorded]
    today = Metric("rededge_seen_today", "People, or what else is counted, seen for the first time since midnight.")
    today.samples += [
        ({"camera": name} | what, float(count))
        for name, count in seen_since(client, midnight_ms(now_ms), now_ms).items()
        if name not in recordings
    ]
    yield today
    few = Metric(
        "rededge_too_few_frames",
        "Frames a second that the model saw at the worst, today or in the recording, where these were too few to "
        "follow people: people seen, crossings and stays are not reliable.",
    )
    found = too_few_frames(client, midnight_ms(now_ms), now_ms + schema.CLOCK_SLACK_MS)
    of_day = {name: each for name, each in found.items() if name not in recordings}
    of_recordings = {row.camera: row.too_few for row in recorded if row.too_few}
    few.samples += [({"camera": name}, each.fps) for name, each in {**of_day, **of_recordings}.items()]
    yield few


def _of_recordings(recorded: Iterable[CameraFigures]) -> list[Metric]:
    """Of cameras that were last fed with a recording: how far it is counted."""
    running = Metric("rededge_recording_running", "1 while a recording is counted, 0 when its capture has ended.")
    position = Metric("rededge_recording_position_seconds", "Where in its recording the newest processed frame is.")
    seen = Metric("rededge_recording_seen", "People, or what else is counted, seen for the first time in a recording.")
    for row in recorded:
        if row.recording is None:  # another source has begun meanwhile
            continue
        labels = {"camera": row.camera}
        running.samples.append((labels, float(row.recording.running)))
        position.samples.append((labels, row.recording.position_s))
        if row.recording.seen is not None:
            seen.samples.append((labels | _class_label(row.counted), float(row.recording.seen)))
    return [running, position, seen]


def _of_scenes(client: redis.Redis, presents: Mapping[str, Present]) -> list[Metric]:
    """Lines and zones of all cameras, from the newest frames that were processed."""
    crossings = Metric("rededge_line_crossings_total", "Crossings of a line since it was made.", "counter")
    people = Metric("rededge_zone_people", "People, or what else is counted, in a zone in the newest frame.")
    longest = Metric("rededge_zone_longest_stay_seconds", "How long the one that entered first has been in the zone.")
    entries = Metric("rededge_zone_entries_total", "How many have entered a zone since it was made.", "counter")
    exits = Metric("rededge_zone_exits_total", "How many have left a zone since it was made.", "counter")
    for camera, present in presents.items():
        try:
            found = read_latest_detections(client, camera)
        except GearError:  # another gear wrote it
            continue
        if found is None:
            continue
        for line, counts in found.lines.items():
            for direction, count in zip(("forward", "backward"), counts, strict=True):
                labels = {"camera": camera, "line": line, "direction": direction} | _class_label(found.counted)
                crossings.samples.append((labels, float(count)))
        for zone, (now, seconds, entered, left) in found.zones.items():
            labels = {"camera": camera, "zone": zone} | _class_label(found.counted)
            if found.ts_ms <= present.end_ms and present.age_ms(found.ts_ms) <= STALE_MS:
                people.samples.append((labels, float(now)))
                longest.samples.append((labels, float(seconds)))
            entries.samples.append((labels, float(entered)))
            exits.samples.append((labels, float(left)))
    return [crossings, people, longest, entries, exits]


def _class_label(counted: Counted) -> dict[str, str]:
    """The label that says what is counted; none for people."""
    return {} if counted.is_people else {CLASS: counted.name}


def _of_events(client: redis.Redis, now_ms: int, cameras: Iterable[str]) -> list[Metric]:
    """Since when each camera has sent no frame, and which alarms are active."""
    age = Metric("rededge_camera_last_frame_seconds", "Seconds since the newest frame of a camera.")
    silent = Metric("rededge_camera_silent", "Whether a camera is silent, as its rules say.")
    alarms = Metric("rededge_alarms_active", "Active alarms of a camera.")
    for camera in cameras:
        labels = {"camera": camera}
        newest = newest_frame_ms(client, camera)
        if newest is not None:
            age.samples.append((labels, max(0, now_ms - newest) / _SECOND_MS))
        active = active_alarms(client, camera)
        silent.samples.append((labels, float(any(alarm.kind == "camera_silent" for alarm in active))))
        alarms.samples.append((labels, float(len(active))))
    return [age, silent, alarms]


def exposition(metrics: Iterable[Metric]) -> str:
    """Metrics in Prometheus' text format."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escaped(metric.text, quoted=False)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for labels, value in metric.samples:
        pairs = ",".join(f'{name}="{_escaped(text, quoted=True)}"' for name, text in labels.items())
        yield f"{metric.name}{{{pairs}}} {value!r}" if pairs else f"{metric.name} {value!r}"


def _escaped(text: str, *, quoted: bool) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quoted else escaped


def _texts() -> dict[str, str]:
    """The description of each series, by name."""
    took = "Milliseconds that the newest frame spent in"
    steps = {schema.step_series(step): f"{took} the step {step}." for step in schema.STEPS}
    what = {schema.PEOPLE: "People", schema.SEEN: "People seen for the first time"}
    compactions = {
        rule.name: f"{what[spec.name]}, {rule.aggregation} of {rule.bucket_ms // schema.MINUTE_MS} min, including the "
        "present one."
        for spec in schema.series_specs("0")
        for rule in spec.rules
    }
    known = {
        schema.PEOPLE: "People in the newest frame that was processed.",
        schema.OTHER_COUNT: "Objects of the class that is counted, in the newest frame that was processed.",
        schema.DETECTED: "Boxes that the model found in the newest frame, before tracking.",
        schema.SEEN: "People seen for the first time in the newest second.",
        **compactions,
        schema.IN_FPS: "Frames per second that arrived, mean of the last 10 s.",
        schema.OUT_FPS: "Frames per second that were processed, mean of the last 10 s.",
        schema.LOOKED_FPS: "Frames per second for which the model ran, mean of the last 10 s.",
        **steps,
        schema.TOTAL: f"{took} all steps.",
        schema.LATENCY: "Milliseconds from the capture of the newest frame to its detections.",
    }
    return known | {name: f"Series {name}." for name in schema.raw_series_names() if name not in known}


def _own(hub: Hub) -> list[Metric]:
    viewers = [({"camera": camera}, float(count)) for camera, count in hub.viewers().items()]
    return [
        Metric("rededge_web_viewers", "Viewers of a camera's video now.", samples=viewers),
        Metric("rededge_web_pictures_sent_total", "Frames sent to viewers.", "counter", _by_kind(hub.sent)),
        Metric(
            "rededge_web_pictures_skipped_total",
            "Frames that a viewer was too slow for.",
            "counter",
            _by_kind(hub.skipped),
        ),
    ]


def _by_kind(counts: dict[str, int]) -> list[tuple[dict[str, str], float]]:
    return [({"kind": kind}, float(count)) for kind, count in counts.items()]


def _named(names: Iterable[str]) -> str:
    return f"__name__=({','.join(names)})"


def _labels_of(pairs: Any) -> dict[str, str]:
    return {name.decode(errors="replace"): text.decode(errors="replace") for name, text in pairs if text is not None}


def _put(metrics: dict[str, Metric], labels: Mapping[str, str], value: float) -> None:
    samples = metrics[labels["__name__"]].samples
    camera = {"camera": labels.get("camera", "")} | ({CLASS: labels[CLASS]} if CLASS in labels else {})
    # Prometheus rejects the whole answer if a sample occurs twice
    if not any(known == camera for known, _ in samples):
        samples.append((camera, value))


def _call(client: redis.Redis, *words: Any) -> list[Any]:
    with server_errors(client):
        reply: list[Any] = client.execute_command(*words)
    return reply
