"""Which detection belongs to which track, in one frame."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb.analytics.assignment import assign
from rededge_nb.analytics.boxes import buffered, overlaps
from rededge_nb.analytics.detections import Detection
from rededge_nb.analytics.track import Track
from rededge_nb.analytics.tracker_settings import TrackerSettings

Pair = tuple[Track, Detection]

HALF_WAY, LAST_SEEN = 0.5, 0.0
"""Where lost people are looked for, as a share of the way from where they were last seen to where they are expected."""


def pair(
    tracks: Sequence[Track],
    detections: Sequence[Detection],
    frame_wh: tuple[int, int],
    settings: TrackerSettings,
) -> tuple[list[Pair], list[Detection]]:
    """Pairs tracks with detections, in the order that `tracking` describes.

    Args:
        tracks: Tracks, moved to where they are expected in this frame.
        detections: Detections of the frame.
        frame_wh: Size of the frame in pixels.
        settings: Thresholds and buffers.

    Returns:
        The pairs, and the detections of high confidence that are left.
    """
    near, far = settings.buffers
    high = [each for each in detections if each.confidence >= settings.high_confidence]
    low = [each for each in detections if settings.low_confidence <= each.confidence < settings.high_confidence]
    people = [track for track in tracks if track.id]
    pairs: list[Pair] = []
    people, high = _best_pairs(people, high, near, settings.least_iou, pairs)
    people, high = _best_pairs(people, high, far, settings.least_iou, pairs)
    just_seen = [track for track in people if not track.missed]
    _best_pairs(just_seen, low, near, settings.low_least_iou, pairs, weighted=False)
    # whoever is expected outside the frame has left, and it is somebody else who enters where they went out
    lost = [track for track in people if track.missed and track.is_inside(frame_wh)]
    for share in (HALF_WAY, LAST_SEEN):
        lost, high = _best_pairs(lost, high, far, settings.least_iou, pairs, share_of_way=share)
    unconfirmed = [track for track in tracks if not track.id]
    _, high = _best_pairs(unconfirmed, high, near, settings.least_iou, pairs)
    return pairs, high


def _best_pairs(
    tracks: list[Track],
    detections: list[Detection],
    buffer: float,
    least_iou: float,
    pairs: list[Pair],
    *,
    weighted: bool = True,
    share_of_way: float | None = None,
) -> tuple[list[Track], list[Detection]]:
    """Adds the best pairs to `pairs`, and returns the tracks and detections that are left.

    Args:
        tracks: Tracks to find a detection for.
        detections: Detections to choose from.
        buffer: Share by which all boxes grow on each side.
        least_iou: Least intersection over union of the grown boxes.
        pairs: Is extended.
        weighted: Whether a detection counts more when it is more certain.
        share_of_way: Looks for people there instead of where they are expected.
    """
    if not tracks or not detections:
        return tracks, detections
    expected = [
        buffered(track.box if share_of_way is None else track.box_on_the_way(share_of_way), buffer) for track in tracks
    ]
    found = [buffered(detection.box, buffer) for detection in detections]
    # the 1 makes two pairs with a small overlap better than one with a large overlap
    edges = [
        (row, column, 1.0 + (iou * detections[column].confidence if weighted else iou))
        for row, column, iou in overlaps(expected, found, least_iou)
    ]
    chosen = assign(edges)
    pairs += [(tracks[row], detections[column]) for row, column in chosen]
    rows, columns = {row for row, _ in chosen}, {column for _, column in chosen}
    return (
        [track for row, track in enumerate(tracks) if row not in rows],
        [detection for column, detection in enumerate(detections) if column not in columns],
    )
