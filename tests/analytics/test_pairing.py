from __future__ import annotations

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.detections import Detection
from rededge_nb.analytics.pairing import pair
from rededge_nb.analytics.track import Track
from rededge_nb.analytics.tracker_settings import TWO_SIZES
from tests.analytics.drawn_scene import FRAME_WH

NOISE = TWO_SIZES.noise()


def person(number: int, x: float, y: float = 300) -> Track:
    """Somebody who stands there, detected in the frame before; number 0 is nobody yet."""
    track = Track.started(Detection(box(x, y), 0.9), 1000, NOISE)
    track.id = number
    track.predict(0.1, 1000, NOISE)
    return track


def box(x: float, y: float = 300) -> Box:
    return (x - 20, y - 100, x + 20, y)


def paired(tracks: list[Track], boxes: list[tuple[float, float]]) -> tuple[dict[int, float], list[float]]:
    """For boxes given by their middle and confidence: the middle for each track's id, and those that are left."""
    detections = [Detection(box(x), confidence) for x, confidence in boxes]
    pairs, left = pair(tracks, detections, FRAME_WH, TWO_SIZES)
    return {track.id: sum(each.box[::2]) / 2 for track, each in pairs}, [sum(each.box[::2]) / 2 for each in left]


def test_a_near_box_is_taken() -> None:
    assert paired([person(1, 300), person(2, 400)], [(410, 0.9), (295, 0.9)]) == ({1: 295, 2: 410}, [])


def test_a_box_further_away_is_taken_when_no_other_is_near() -> None:
    assert paired([person(1, 300)], [(342, 0.9)]) == ({1: 342}, [])
    assert paired([person(1, 300)], [(342, 0.9), (310, 0.9)]) == ({1: 310}, [342])
    assert paired([person(1, 300)], [(365, 0.9)]) == ({}, [365])


def test_of_two_boxes_the_one_that_is_more_certain_is_taken() -> None:
    assert paired([person(1, 300)], [(302, 0.6), (296, 0.95)]) == ({1: 296}, [302])


def test_two_pairs_are_better_than_one_with_a_large_overlap() -> None:
    assert paired([person(1, 300), person(2, 326)], [(302, 0.9), (275, 0.9)]) == ({1: 275, 2: 302}, [])


def test_an_uncertain_box_is_for_people_only_who_were_just_seen() -> None:
    assert paired([person(1, 300)], [(304, 0.4)]) == ({1: 304}, [])
    assert paired([person(1, 300)], [(304, 0.3)]) == ({}, [])
    assert paired([person(0, 300)], [(304, 0.4)]) == ({}, [])
    missed = person(1, 300)
    missed.predict(0.1, 1100, NOISE)
    assert paired([missed], [(304, 0.4)]) == ({}, [])


def test_people_come_before_those_who_are_none_yet() -> None:
    assert paired([person(0, 300), person(7, 312)], [(302, 0.9)]) == ({7: 302}, [])


def test_whoever_is_lost_is_looked_for_on_the_way() -> None:
    def lost(expected_x: float) -> Track:
        track = person(1, 300)
        track.centre.vx = expected_x - 300
        track.predict(1.0, 1100, NOISE)
        return track

    for where in (300, 360, 420):
        assert paired([lost(420)], [(where, 0.9)]) == ({1: where}, [])
    # somebody who is expected outside the frame has left
    assert paired([lost(FRAME_WH[0] + 30)], [(300, 0.9)]) == ({}, [300])
    just_seen = lost(500)
    just_seen.missed = False
    assert paired([just_seen], [(300, 0.9)]) == ({}, [300])
