"""How good the boxes, ids and counts of a camera or of a file are: `rededge score` compares them with the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.ground_truth import FoundBox, TruthBox, read_counts, read_found, read_truth
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_scoring import SceneScores, Walker, score_scene
from rededge_nb.analytics.scored_frames import Flag0
from rededge_nb.analytics.scoring import (
    LEAST_IOU,
    CountScores,
    DetectionScores,
    TrackScores,
    count_people,
    score_counts,
    score_detections,
    score_tracks,
)
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.reading.detections import Detections, read_detections
from rededge_nb.reading.frames import latest_frame
from rededge_nb.reading.scenes import read_scene
from rededge_nb.reading.series import read_many
from rededge_nb.streams import id_order

Counts = Mapping[int, int]
Truth = Mapping[int, Sequence[TruthBox]]


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        boxes: The boxes of each frame; None if only people were counted.
        counts: The number of people in each frame; None if it is the number of boxes.
        frames: The frames that were processed; None: all.
    """

    boxes: Mapping[int, Sequence[FoundBox]] | None = None
    counts: Counts | None = None
    frames: frozenset[int] | None = None


@dataclass(frozen=True)
class Scores:
    """How good it is.

    Attributes:
        counts: Of the numbers of people.
        detections: Of the boxes; None if the truth or what was found has no boxes.
        tracks: Of the ids; None if a box has no id.
        not_processed: Frames of the truth that are not scored, because they were not processed.
        scene: Of crossings and stays; None without lines and zones, or if a box has no id.
    """

    counts: CountScores
    detections: DetectionScores | None
    tracks: TrackScores | None
    not_processed: int
    scene: SceneScores | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return asdict(self)

    def as_rows(self) -> list[tuple[str, str]]:
        """The figures, each as name and text."""
        rows = [("frames scored", str(self.counts.frames)), ("frames not processed", str(self.not_processed))]
        rows += [
            ("count error, people per frame", f"{self.counts.mae:.2f}"),
            ("count bias", f"{self.counts.bias:+.2f}"),
        ]
        if self.detections is not None:
            each = self.detections
            rows += [("recall", f"{each.recall:.3f}"), ("precision", f"{each.precision:.3f}"), ("AP", f"{each.ap:.3f}")]
        if self.tracks is not None:
            ids = self.tracks
            rows += [("MOTA", f"{ids.mota:.3f}"), ("IDF1", f"{ids.idf1:.3f}"), ("HOTA", f"{ids.hota:.3f}")]
            rows += [("identity switches", str(ids.switches)), ("fragments", str(ids.fragments))]
            rows += [("ids, for people", f"{ids.ids}, for {ids.people}")]
        return rows + ([] if self.scene is None else _scene_rows(self.scene))


@dataclass(frozen=True)
class ScoredScene:
    """The lines and zones at which labelled and found people are counted.

    Attributes:
        scene: Lines and zones.
        frame_wh: Width and height of the frames in pixels.
        fps: Frames per second; the numbers of frames count at this rate.
    """

    scene: Scene
    frame_wh: tuple[int, int]
    fps: float


def read_scored_scene(client: redis.Redis, camera: object, *, fps: float | None = None) -> ScoredScene | None:
    """The scene of a camera for `score`; None if it has no lines and zones, or no frame any more.

    Args:
        client: Connected to the server.
        camera: Camera id.
        fps: Frames per second of the source; None: from the times of the newest capture's frames.

    Raises:
        SceneError: the scene cannot be read.
        GearError: an entry is malformed.
    """
    scene = read_scene(client, camera)
    if not scene.lines and not scene.zones:
        return None
    try:
        height, width = latest_frame(client, camera).image().shape[:2]
    except NoDataError:
        return None
    if fps is None:
        entries = sorted(read_detections(client, camera), key=lambda each: id_order(each.ref))
        times = [each.ts_ms for each in entries if each.capture == entries[-1].capture]
        steps = sorted(after - before for before, after in pairwise(times) if after > before)
        if not steps:
            return None
        fps = 1000 / steps[len(steps) // 2]
    return ScoredScene(scene, (width, height), fps)


def parse_truth(text: str) -> Truth | Counts:
    """The truth in MOT format, or a table of counts in CSV, which has letters in its first line.

    Raises:
        ConfigurationError: a line is wrong.
    """
    return read_counts(text) if _is_table(text) else read_truth(text)


def parse_found(text: str) -> Found:
    """What a program found, in MOT format or as a table of counts.

    Raises:
        ConfigurationError: a line is wrong.
    """
    if _is_table(text):
        counts = read_counts(text)
        return Found(counts=counts, frames=frozenset(counts))
    return Found(boxes=read_found(text))


def read_numbered(client: redis.Redis, camera: object, *, fps: float | None = None) -> Found:
    """What a camera's gear wrote for the newest capture, with the number of each frame; the first one is 1.

    Args:
        client: Connected to the server.
        camera: Camera id.
        fps: Frames per second of the source: frames are numbered by their time. None: one after the other, which is
            right if all were processed.

    Raises:
        NoDataError: the camera has no detections.
        ConfigurationError: frames are missing and `fps` is not given, or does not fit.
        GearError: an entry is malformed.
    """
    entries = sorted(read_detections(client, camera), key=lambda each: id_order(each.ref))
    if not entries:
        raise NoDataError(f"camera {schema.camera_id(camera)} has no detections: capture the video first")
    # older captures, and frames that came without one
    entries = [each for each in entries if each.capture == entries[-1].capture]
    if fps is None:
        _check_complete(client, camera, entries)
        numbers = list(range(1, len(entries) + 1))
    else:
        numbers = [1 + round((each.ts_ms - entries[0].ts_ms) * fps / 1000) for each in entries]
        twice = len(numbers) - len(set(numbers))
        if twice or min(numbers) < 1:
            raise ConfigurationError(
                f"at {fps:g} frames per second {twice} of {len(numbers)} frames have the number of another one, or "
                "come before the first: give the rate at which the frames were captured"
            )
    return Found(
        boxes={number: _boxes(each) for number, each in zip(numbers, entries, strict=True)},
        counts={number: each.people for number, each in zip(numbers, entries, strict=True)},
        frames=frozenset(numbers),
    )


def score(
    truth: Truth | Counts,
    found: Found,
    *,
    frames: int | None = None,
    only_labelled: bool = False,
    flag0: Flag0 = "ignore",
    confidence: float = 0.0,
    least_iou: float = LEAST_IOU,
    scene: ScoredScene | None = None,
) -> Scores:
    """Compare what was found with the truth.

    Args:
        truth: From `parse_truth`.
        found: From `parse_found` or `read_numbered`.
        frames: How many frames the truth describes, from frame 1 on; None: up to the last one with a box. Not for
            counts, which name each frame.
        only_labelled: Score only frames with a box in the truth; without it, a frame without one is a frame without
            people.
        flag0: What becomes of people with flag 0.
        confidence: Boxes below it are not counted; the average precision uses them.
        least_iou: From this intersection over union on, a box is on a person.
        scene: Score crossings and stays at these lines and zones, too, if all boxes have ids. Without labels for every
            frame (`only_labelled`) they are not scored.

    Raises:
        ConfigurationError: no frame of the truth was processed, or an id occurs twice in a frame.
    """
    if not truth:
        raise ConfigurationError("the truth is empty: at least one line is needed")
    true_counts = {frame: people for frame, people in truth.items() if isinstance(people, int)}
    true_boxes = {frame: people for frame, people in truth.items() if not isinstance(people, int)}
    labelled = truth.keys() if true_counts or only_labelled else range(1, (frames or max(truth)) + 1)
    chosen = sorted(labelled if found.frames is None else found.frames.intersection(labelled))
    if not chosen:
        raise ConfigurationError(f"none of the {len(labelled)} frames of the truth was processed")
    sure = _of_confidence(found, chosen, confidence)
    counted = found.counts if found.counts is not None and not confidence else count_people(sure, chosen)
    expected = true_counts or count_people(true_boxes, chosen, flag0=flag0)
    with_ids = [box.id is not None for frame in chosen for box in sure.get(frame, ())]
    has_ids = bool(true_boxes and with_ids and all(with_ids))
    return Scores(
        counts=score_counts({frame: expected[frame] for frame in chosen}, {frame: counted[frame] for frame in chosen}),
        detections=score_detections(
            true_boxes, found.boxes, chosen, confidence=confidence, flag0=flag0, least_iou=least_iou
        )
        if true_boxes and found.boxes is not None
        else None,
        tracks=score_tracks(true_boxes, sure, chosen, flag0=flag0, least_iou=least_iou) if has_ids else None,
        not_processed=len(labelled) - len(chosen),
        scene=_score_scene(true_boxes, sure, chosen, scene, flag0)
        if has_ids and scene is not None and not only_labelled
        else None,
    )


def _score_scene(
    truth: Truth, found: Mapping[int, Sequence[FoundBox]], frames: Sequence[int], scored: ScoredScene, flag0: Flag0
) -> SceneScores:
    true_people = {
        frame: [Walker(each.id, _floats(each.box)) for each in people if each.scored or flag0 == "keep"]
        for frame, people in truth.items()
    }
    # the tracker has ids for boxes of confidence 0, too: people who are not seen for a moment
    people = {
        frame: [Walker(each.id, _floats(each.box), each.confidence) for each in boxes if each.id is not None]
        for frame, boxes in found.items()
    }
    return score_scene(true_people, people, frames, scored.scene, scored.frame_wh, scored.fps)


def _floats(box: Box) -> Box:
    """The numbers of a box, which may be NumPy's, as those of Python, which counting needs."""
    x1, y1, x2, y2 = map(float, box)
    return x1, y1, x2, y2


def _scene_rows(scores: SceneScores) -> list[tuple[str, str]]:
    rows = [
        (f"line {each.line} {each.direction}, found / true", f"{each.found} / {each.truth} ({each.matched} matched)")
        for each in scores.lines
    ]
    for zone in scores.zones:
        stays = f"{zone.found} / {zone.truth} ({zone.matched} matched)"
        rows.append((f"zone {zone.zone} stays, found / true", stays))
        means = " / ".join("-" if each is None else f"{each:.1f} s" for each in (zone.found_mean_s, zone.truth_mean_s))
        rows.append((f"zone {zone.zone} mean stay, found / true", means))
        error = "-" if zone.mae_s is None else f"{zone.mae_s:.1f} s"
        rows.append((f"zone {zone.zone} error of a matched stay", error))
    return rows


def _of_confidence(found: Found, frames: Iterable[int], confidence: float) -> dict[int, list[FoundBox]]:
    boxes = found.boxes or {}
    return {frame: [box for box in boxes.get(frame, ()) if box.confidence >= confidence] for frame in frames}


def _is_table(text: str) -> bool:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return "frame" in first.lower()


def _boxes(found: Detections) -> list[FoundBox]:
    ids = [None] * len(found) if found.tracks is None else found.tracks.tolist()
    rows = zip(found.xyxy.tolist(), found.confidence.tolist(), ids, strict=True)
    # a gear of one's own may give no confidence
    return [FoundBox(tuple(box), 1.0 if math.isnan(value) else value, number) for box, value, number in rows]


def _check_complete(client: redis.Redis, camera: object, entries: Sequence[Detections]) -> None:
    """Frames that were dropped or failed have no entry, and the numbers after them would be wrong."""
    times = [each.ts_ms for each in entries]
    start_ms, end_ms = min(times) // 1000 * 1000, max(times)
    series = read_many(client, camera, (schema.IN_FPS, schema.OUT_FPS), start_ms=start_ms, end_ms=end_ms)
    missing = round(series[schema.IN_FPS].values.sum() - series[schema.OUT_FPS].values.sum())
    if missing > 0:
        raise ConfigurationError(
            f"{missing} of the frames that arrived were dropped or failed, so that the others cannot be numbered one "
            "after the other: give the frames per second of the source (--fps), or capture with --pace asap"
        )
