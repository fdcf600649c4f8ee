"""Scores of crossings and stays: right, missed, too many, and at another time."""

from __future__ import annotations

from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_scoring import LineScore, Stay, Walker, count_in_scene, score_scene

WH = (400, 200)
FPS = 10.0
SCENE = (
    Scene()
    .with_line("middle", (0.5, 0.0), (0.5, 1.0), forward="left", backward="right")
    .with_zone("desk", [(0.6, 0.2), (0.9, 0.2), (0.9, 0.95), (0.6, 0.95)])
)
FRAMES = range(1, 101)


def walk(number: int, start: float, end: float, frames: range, *, y: float = 150) -> dict[int, Walker]:
    """Somebody who walks from one x to another in these frames."""
    steps = max(1, len(frames) - 1)
    xs = [start + (end - start) * at / steps for at in range(len(frames))]
    return {frame: Walker(number, (x - 10, y - 60, x + 10, y)) for frame, x in zip(frames, xs, strict=True)}


def people(*walks: dict[int, Walker]) -> dict[int, list[Walker]]:
    return {frame: [each[frame] for each in walks if frame in each] for frame in FRAMES}


RIGHT = walk(1, 100, 300, range(1, 61))
LEFT = walk(2, 300, 100, range(20, 81), y=190)
VISIT = walk(3, 380, 380, range(1, 3)) | walk(3, 300, 300, range(3, 63)) | walk(3, 380, 380, range(63, 80))


def test_what_is_the_same_has_no_errors() -> None:
    truth = people(RIGHT, LEFT, VISIT)
    scores = score_scene(truth, truth, FRAMES, SCENE, WH, FPS)
    assert scores.lines == (LineScore("middle", "forward", 1, 1, 1), LineScore("middle", "backward", 1, 1, 1))
    [desk] = scores.zones
    assert desk.truth == desk.found == desk.matched >= 2
    assert (desk.mae_s, desk.truth_mean_s) == (0.0, desk.found_mean_s)


def test_missed_and_additional_crossings() -> None:
    second = walk(9, 100, 300, range(40, 100))
    scores = score_scene(people(RIGHT, LEFT), people(RIGHT, second), FRAMES, SCENE, WH, FPS)
    forward, backward = scores.lines
    assert (forward.truth, forward.found, forward.matched, forward.error) == (1, 0, 0, -1)
    assert (backward.truth, backward.found, backward.matched, backward.error) == (1, 2, 1, 1)


def test_a_crossing_at_another_time_is_none_of_the_labelled_ones() -> None:
    late = walk(1, 100, 300, range(41, 101))
    [_, backward] = score_scene(people(RIGHT), people(late), FRAMES, SCENE, WH, FPS).lines
    assert (backward.truth, backward.found, backward.matched, backward.error) == (1, 1, 0, 0)
    nearly = walk(1, 100, 300, range(6, 66))
    assert score_scene(people(RIGHT), people(nearly), FRAMES, SCENE, WH, FPS).lines[1].matched == 1


def test_the_length_of_a_stay_that_was_found_for_a_shorter_time() -> None:
    shorter = walk(3, 380, 380, range(1, 13)) | walk(3, 300, 300, range(13, 63)) | walk(3, 380, 380, range(63, 80))
    [desk] = score_scene(people(VISIT), people(shorter), FRAMES, SCENE, WH, FPS).zones
    assert (desk.truth, desk.found, desk.matched) == (1, 1, 1)
    assert desk.mae_s == 1.0
    assert (desk.truth_mean_s, desk.found_mean_s) == (6.0, 5.0)


def test_a_stay_that_is_broken_in_two_is_one_match_and_one_too_many() -> None:
    one = {frame: each._replace(id=3) for frame, each in VISIT.items() if frame < 45}
    two = {frame: each._replace(id=4) for frame, each in VISIT.items() if frame >= 45}
    [desk] = score_scene(people(VISIT), people(one, two), FRAMES, SCENE, WH, FPS).zones
    assert (desk.truth, desk.found, desk.matched) == (1, 2, 1)


def test_whoever_is_in_a_zone_at_the_end_stays_until_then() -> None:
    _, stays = count_in_scene(people(walk(1, 300, 300, range(51, 101))), FRAMES, SCENE, WH, FPS)
    assert stays == [Stay("desk", 5000, 9900)]


def test_nobody_and_no_frames() -> None:
    scores = score_scene({}, {}, FRAMES, SCENE, WH, FPS)
    assert [(each.truth, each.found) for each in scores.lines] == [(0, 0), (0, 0)]
    assert (scores.zones[0].mae_s, scores.zones[0].truth_mean_s) == (None, None)
    assert score_scene({}, {}, [], SCENE, WH, FPS).lines[0].truth == 0
