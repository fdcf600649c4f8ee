from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
from rededge_nb.analytics.scored_frames import Flag0
from rededge_nb.analytics.scoring import (
    CountScores,
    count_people,
    score_counts,
    score_detections,
    score_tracks,
)
from rededge_nb.errors import ConfigurationError


def box(x: float) -> Box:
    return (x, 0.0, x + 40, 100.0)


def two_people(frames: int) -> dict[int, list[TruthBox]]:
    return {frame: [TruthBox(1, box(0)), TruthBox(2, box(200))] for frame in range(1, frames + 1)}


def found(frames: Mapping[int, Sequence[tuple[float, int]]]) -> dict[int, list[FoundBox]]:
    return {frame: [FoundBox(box(x), id=number) for x, number in boxes] for frame, boxes in frames.items()}


ALL = range(1, 11)


def test_perfect_tracks() -> None:
    scores = score_tracks(two_people(10), found({frame: [(0, 7), (200, 9)] for frame in ALL}), ALL)
    shares = (scores.recall, scores.precision, scores.mota, scores.idf1, scores.idp, scores.idr)
    assert set(shares) == {1.0}
    assert (scores.hota, scores.deta, scores.assa) == pytest.approx((1, 1, 1))
    assert (scores.switches, scores.fragments, scores.people, scores.ids) == (0, 0, 2, 2)


def test_ids_that_change_places() -> None:
    """After five of ten frames the two ids are exchanged: two switches, and half of the boxes have the right id."""
    tracks = {frame: [(0, 7), (200, 9)] if frame <= 5 else [(0, 9), (200, 7)] for frame in ALL}
    scores = score_tracks(two_people(10), found(tracks), ALL)
    assert (scores.switches, scores.fragments) == (2, 0)
    assert scores.mota == pytest.approx(1 - 2 / 20)
    assert (scores.idf1, scores.idp, scores.idr) == (0.5, 0.5, 0.5)
    # each of the four pairs of a person and an id is together in 5 of 15 frames
    assert (scores.deta, scores.assa) == pytest.approx((1, 1 / 3))
    assert scores.hota == pytest.approx((1 / 3) ** 0.5)


def test_somebody_who_is_missed_and_a_box_on_nobody() -> None:
    tracks = {frame: [(0, 7), (200, 9)] for frame in ALL}
    tracks[4] = tracks[5] = [(0, 7), (500, 9)]
    scores = score_tracks(two_people(10), found(tracks), ALL)
    assert (scores.recall, scores.precision) == (0.9, 0.9)
    assert scores.mota == pytest.approx(1 - 4 / 20)
    assert (scores.switches, scores.fragments) == (0, 1)
    assert scores.idf1 == pytest.approx(0.9)


def test_frames_without_people_count() -> None:
    truth, tracks = two_people(5), found({frame: [(0, 7), (200, 9)] for frame in ALL})
    assert score_tracks(truth, tracks, range(1, 6)).precision == 1
    assert score_tracks(truth, tracks, ALL).precision == 0.5


@pytest.mark.parametrize(
    ("flag0", "recall", "precision"), [("ignore", 1.0, 1.0), ("keep", 1.0, 1.0), ("drop", 1.0, 0.5)]
)
def test_a_box_on_somebody_who_is_not_scored(flag0: Flag0, recall: float, precision: float) -> None:
    truth = {frame: [TruthBox(1, box(0)), TruthBox(2, box(200), False)] for frame in ALL}
    tracks = found({frame: [(0, 7), (200, 9)] for frame in ALL})
    for scores in (score_tracks(truth, tracks, ALL, flag0=flag0), score_detections(truth, tracks, ALL, flag0=flag0)):
        assert (scores.recall, scores.precision) == (recall, precision)


@pytest.mark.parametrize(("flag0", "recall", "people"), [("ignore", 1.0, 2), ("keep", 0.5, 4), ("drop", 1.0, 2)])
def test_somebody_who_is_not_scored_and_not_found(flag0: Flag0, recall: float, people: int) -> None:
    truth = {frame: [TruthBox(1, box(0)), TruthBox(2, box(200), False)] for frame in (1, 2)}
    scores = score_detections(truth, found({1: [(0, 7)], 2: [(0, 7)]}), [1, 2], flag0=flag0)
    assert (scores.recall, scores.people, scores.ap) == (recall, people, recall)


def test_a_second_box_on_a_person_is_wrong() -> None:
    twice = {1: [FoundBox(box(0), 0.9), FoundBox(box(3), 0.8)]}
    scores = score_detections({1: [TruthBox(1, box(0))]}, twice, [1])
    assert (scores.recall, scores.precision, scores.ap) == (1.0, 0.5, 1.0)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right, and one of three people never found: precision 1 up to 1/3, then 2/3 up to 2/3."""
    truth = {1: [TruthBox(number, box(100.0 * number)) for number in range(3)]}
    boxes = {1: [FoundBox(box(0), 0.9), FoundBox(box(500), 0.8), FoundBox(box(100), 0.3)]}
    scores = score_detections(truth, boxes, [1], confidence=0.5)
    assert scores.ap == pytest.approx((1 + 2 / 3) / 3)
    assert scores.recall == pytest.approx(1 / 3)
    assert (scores.precision, scores.boxes) == (0.5, 2)


def test_nothing_to_compare_scores_nothing() -> None:
    assert score_detections({}, {}, ALL).ap == 0
    for truth, tracks in (({}, found({1: [(0, 1)]})), (two_people(2), {})):
        scores = score_tracks(truth, tracks, ALL)
        assert (scores.idf1, scores.hota, scores.mota, scores.recall) == (0, 0, 0, 0)


def test_an_id_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"in what was found, frame 3 has \['7'\] twice"):
        score_tracks(two_people(5), found({3: [(0, 7), (200, 7)]}), ALL)
    with pytest.raises(ConfigurationError, match="in the truth, frame 1 "):
        score_tracks({1: [TruthBox(1, box(0)), TruthBox(1, box(5))]}, found({1: [(0, 7)]}), ALL)


def test_boxes_without_ids_are_no_tracks() -> None:
    with pytest.raises(ConfigurationError, match="frame 2 has a box without an id"):
        score_tracks(two_people(5), {2: [FoundBox(box(0))]}, ALL)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="flag0 is 'skip'"):
        score_tracks(two_people(1), found({1: [(0, 7)]}), [1], flag0="skip")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="least_iou is 0"):
        score_detections(two_people(1), {}, [1], least_iou=0)


def test_counts() -> None:
    assert score_counts({1: 4, 2: 5, 9: 6}, {1: 4, 2: 7, 5: 0, 9: 5}) == CountScores(1.0, 1 / 3, 3)


def test_counts_need_every_frame_of_the_truth() -> None:
    with pytest.raises(ConfigurationError, match="2 of 3 frames of the truth were not counted, the first is frame 4"):
        score_counts({1: 4, 9: 5, 4: 6}, {1: 4})
    with pytest.raises(ConfigurationError, match="the truth has no frames"):
        score_counts({}, {1: 4})


def test_people_with_flag_0_are_people_unless_they_are_dropped() -> None:
    truth = {1: [TruthBox(1, box(0)), TruthBox(2, box(200), False)]}
    assert count_people(truth, [1, 2]) == {1: 2, 2: 0}
    assert count_people(truth, [1], flag0="keep") == {1: 2}
    assert count_people(truth, [1], flag0="drop") == {1: 1}
    assert count_people(found({1: [(0, 1), (200, 2)]}), [1], flag0="drop") == {1: 2}
