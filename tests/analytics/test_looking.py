"""When the model looks at a frame: what may be left out, and what must not be."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from itertools import count

import cv2
import numpy as np
import pytest

from rededge_nb.analytics.looking import EXPECT_S, STILL_S, Choice, Looking, Plan
from rededge_nb.errors import ConfigurationError
from tests.analytics.filmed import CAMERA, HEIGHT, WIDTH, Frame, Image, noisy, room, times, watch, with_person
from tests.waiting import wait_for

PERIODIC = {seconds: int(seconds / STILL_S) for seconds in (30, 60)}
"""How often the model runs in so many seconds in which nothing happens."""
TALL = 75.0


def at(x: float, foot: float = 200.0) -> tuple[float, float, float, float]:
    return (x - 0.2 * TALL, foot - TALL, x + 0.2 * TALL, foot)


def test_an_empty_scene_needs_few_runs_of_the_model() -> None:
    random, empty = np.random.default_rng(1), room()
    filmed = watch((ts, noisy(empty, random), []) for ts in times(60))
    assert filmed.looks <= PERIODIC[60] + 2
    assert set(filmed.people) == {0}
    assert len(filmed.people) == 600


def test_somebody_who_enters_slowly_is_counted_within_the_period() -> None:
    """At five pixels of 768 a second, from outside of the frame."""
    random, empty = np.random.default_rng(2), room()

    def frames() -> Iterator[Frame]:
        for ts in times(60):
            box = at(-15 + 2.5 * ts / 1000)
            # a detector sees somebody who is in the frame by a half
            yield ts, noisy(with_person(empty, box), random), [box] if box[0] + box[2] > 0 else []

    filmed = watch(frames())
    first = next(number for number, (_, _, boxes) in enumerate(frames()) if boxes)
    counted = filmed.people.index(1)
    assert (counted - first) / 10 <= STILL_S + 1
    assert set(filmed.people[counted:]) == {1}
    assert filmed.looks < 600


def test_somebody_who_walks_through_a_slow_camera_is_seen_in_each_frame() -> None:
    """One frame a second: nobody is in the same place in two frames."""
    empty = room()
    enters = 11
    frames = []
    for number, ts in enumerate(times(20, fps=1)):
        inside = enters <= number < enters + 4
        boxes = [at(60 + 70 * (number - enters))] if inside else []
        frames.append((ts, with_person(empty, boxes[0]) if inside else empty, boxes))
    filmed = watch(frames)
    assert filmed.choices[enters : enters + 5] == [Choice.LOOK] * 5
    assert filmed.looks <= 15, "but not at all frames of an empty scene"


def test_somebody_who_stands_still_remains_counted() -> None:
    """For ten minutes, at one frame a second."""
    random, image, box = np.random.default_rng(3), with_person(room(), at(150)), at(150)
    filmed = watch((ts, noisy(image, random), [box]) for ts in times(600, fps=1))
    assert filmed.people == [1] * 600
    filmed = watch((ts, noisy(image, random), [box]) for ts in times(60))
    assert filmed.people == [1] * 600
    assert filmed.looks <= PERIODIC[60] + 4


def test_somebody_who_stands_still_and_leaves_is_noticed_at_once() -> None:
    random, empty, box = np.random.default_rng(4), room(), at(150)
    there = with_person(empty, box)
    gone_ms = 21_000
    filmed = watch(
        (ts, noisy(there if ts < gone_ms else empty, random), [box] if ts < gone_ms else []) for ts in times(30)
    )
    last = len(filmed.people) - 1 - filmed.people[::-1].index(1)
    assert filmed.people[: last + 1] == [1] * (last + 1)
    assert 0 <= last / 10 - (gone_ms - 1000) / 1000 <= 1


def test_a_light_that_is_switched_on_runs_the_model_once() -> None:
    random, dark = np.random.default_rng(5), room()
    bright = cv2.convertScaleAbs(dark, alpha=1.5, beta=20)
    filmed = watch((ts, noisy(np.asarray(dark if ts < 15_500 else bright, np.uint8), random), []) for ts in times(30))
    assert filmed.choices[145] == Choice.LOOK
    assert filmed.looks <= PERIODIC[30] + 4
    assert set(filmed.people) == {0}


def test_light_that_changes_slowly_needs_few_runs() -> None:
    random, image = np.random.default_rng(6), room()
    filmed = watch(
        (ts, noisy(np.asarray(cv2.convertScaleAbs(image, alpha=0.8 + ts / 150_000), np.uint8), random), [])
        for ts in times(60)
    )
    assert filmed.looks <= 2 * PERIODIC[60]
    assert set(filmed.people) == {0}


def test_a_camera_that_shakes_is_looked_at_all_the_time() -> None:
    """Nothing can be said from movement then, so nothing is left out."""
    random, image = np.random.default_rng(7), room()
    cv2.circle(image, (250, 150), 45, (220, 220, 220), -1)
    grid = np.indices((HEIGHT, WIDTH)).sum(axis=0) // 12 % 2
    image = np.asarray(np.clip(image.astype(int) + 60 * grid[:, :, None] - 30, 0, 255), np.uint8)
    box = at(150)

    def frames() -> Iterator[Frame]:
        for ts in times(10):
            x, y = (int(value) for value in random.integers(-4, 5, 2))
            shifted = np.roll(with_person(image, box), (y, x), (0, 1))
            yield ts, noisy(np.asarray(shifted, np.uint8), random), [(box[0] + x, box[1] + y, box[2] + x, box[3] + y)]

    filmed = watch(frames())
    assert filmed.looks >= 90
    assert set(filmed.people) == {1}


def rain(image: Image, random: np.random.Generator, drops: int = 80) -> Image:
    """The image with bright streaks, elsewhere in each frame."""
    image = image.copy()
    for x, y in random.integers((0, 0), (WIDTH, HEIGHT - 15), (drops, 2)):
        cv2.line(image, (int(x), int(y)), (int(x) + 2, int(y) + 13), (210, 210, 210), 1)
    return image


def test_rain_is_nobody_and_somebody_in_the_rain_is_counted() -> None:
    random, empty = np.random.default_rng(8), room()
    filmed = watch((ts, rain(empty, random), []) for ts in times(60))
    assert filmed.looks <= 2.5 * PERIODIC[60]
    walks = watch(
        (ts, rain(with_person(empty, at(50 + 30 * (ts / 1000 - 20))) if ts > 20_000 else empty, random),
         [at(50 + 30 * (ts / 1000 - 20))] if ts > 20_000 else [])
        for ts in times(30)
    )  # fmt: skip
    assert 1 in walks.people[190 : 190 + int(10 * (STILL_S + 1))]
    assert set(walks.people[190 + int(10 * (STILL_S + 1)) :]) == {1}


def test_leaves_that_move_are_learned_and_do_not_hide_who_walks_elsewhere() -> None:
    random, empty = np.random.default_rng(9), room()

    def leaves(image: Image) -> Image:
        image = image.copy()
        for x, y in random.integers((250, 10), (370, 100), (60, 2)):
            cv2.circle(image, (int(x), int(y)), 6, (20, 90, 20), -1)
        return image

    filmed = watch((ts, leaves(empty), []) for ts in times(60))
    assert filmed.looks <= 3 * PERIODIC[60], "the first seconds teach what moves there"
    assert filmed.choices[-200:].count(Choice.LOOK) <= 2 * 20 / STILL_S
    enters_ms = 40_000
    walks = watch(
        (ts, leaves(with_person(empty, at(30 + 30 * (ts - enters_ms) / 1000)) if ts >= enters_ms else empty),
         [at(30 + 30 * (ts - enters_ms) / 1000)] if ts >= enters_ms else [])
        for ts in times(45)
    )  # fmt: skip
    assert 1 in walks.people[390:400], "who walks where nothing else moves is noticed at once"


def test_a_model_that_is_busy_leaves_frames_to_expectation() -> None:
    image = room()

    def frames(seconds: float) -> Iterator[Frame]:
        for ts in times(seconds):
            box = at(50 + 30 * ts / 1000)
            yield ts, with_person(image, box), [box]

    filmed = watch(frames(8), busy=0.25)
    assert set(filmed.choices) == {Choice.LOOK, Choice.BETWEEN}
    assert len(filmed.people) == 80
    assert set(filmed.people[10:]) == {1}
    for (_, _, truth), boxes in list(zip(frames(8), filmed.boxes, strict=True))[20:]:
        assert abs(boxes[0][0] - truth[0][0]) < 8, "expected boxes follow the person"


def test_every_nth_frame_also_of_recordings_and_always_the_same() -> None:
    image = with_person(room(), at(150))
    frames = [(ts, image, [at(150)]) for ts in times(3)]
    for every in (2, 3):
        filmed = watch(frames, Plan("off", str(every)), recorded=True)
        assert [number for number, choice in enumerate(filmed.choices) if choice == Choice.LOOK] == [
            *range(0, 30, every)
        ]
    assert watch(frames, recorded=True).looks == 30, "a recording is looked at frame by frame"
    assert watch(frames, Plan("on"), recorded=True).looks < 10, "unless it is asked for"


def test_after_a_long_time_without_the_model_a_frame_is_dropped() -> None:
    looking = Looking()
    assert looking.choose(CAMERA, 1000, 1.0, Plan(), recorded=False) == Choice.LOOK
    looking.looked(CAMERA, 1000, 1.1, (WIDTH, HEIGHT), None, 0)
    looking.followed(CAMERA, 1, unsettled=False)
    looking.stored(CAMERA, "1000-0", 1000)
    soon, late = 1000 + int(EXPECT_S * 900), 1000 + int(EXPECT_S * 1100)
    assert looking.choose(CAMERA, soon, 1.2, Plan(), recorded=False, newer_waits=True) == Choice.BETWEEN
    assert looking.choose(CAMERA, late, 1.2, Plan(), recorded=False, newer_waits=True) == Choice.DROP
    assert looking.choose(CAMERA, soon, 2.0, Plan(), recorded=False, newer_waits=True) == Choice.LOOK, "it is overdue"


def test_frames_that_wait_get_the_model_one_after_the_other_the_longest_wait_first() -> None:
    looking, clock, order = Looking(), count(10.0, 0.001), queue.SimpleQueue[str]()
    cameras = [f"camera:{number}" for number in range(4)]
    for number, camera in enumerate(cameras):
        assert looking.choose(camera, 1000, 1.0 + number, Plan(), recorded=False) == Choice.LOOK
        looking.looked(camera, 1000, 1.1 + number, (WIDTH, HEIGHT), None, 0)
        looking.followed(camera, 0, unsettled=False)
        looking.stored(camera, "1000-0", 1000)

    def wait(camera: str) -> None:
        looking.wait_for_model(camera, lambda: next(clock))
        order.put(camera)

    assert looking.choose("camera:busy", 9000, 9.0, Plan(), recorded=False) == Choice.LOOK
    threads = [threading.Thread(target=wait, args=(camera,)) for camera in cameras[::-1]]
    for camera, thread in zip(cameras[::-1], threads, strict=True):
        assert looking.choose(camera, 9000, 9.0, Plan(), recorded=False, newer_waits=True) == Choice.DROP
        assert looking.choose(camera, 9000, 9.0, Plan(), recorded=False) == Choice.WAIT
        thread.start()
    wait_for(lambda: all(known.waiting for name, known in looking._cameras.items() if name in cameras))
    assert order.empty()
    running = "camera:busy"
    for camera in cameras:
        looking.forget(running, next(clock))
        assert order.get(timeout=20) == camera
        running = camera
    for thread in threads:
        thread.join()


def test_frames_that_are_far_apart_wait_although_people_could_be_expected() -> None:
    looking = Looking()
    for camera in ("camera:1", "camera:2"):
        assert looking.choose(camera, 1000, 1.0, Plan(), recorded=False) == Choice.LOOK
        looking.looked(camera, 1000, 1.1, (WIDTH, HEIGHT), None, 1)
        looking.followed(camera, 1, unsettled=False)
        looking.stored(camera, "1000-0", 1000)
    assert looking.choose("camera:1", 1500, 1.5, Plan(), recorded=False) == Choice.LOOK
    assert looking.choose("camera:2", 1500, 1.5, Plan(), recorded=False) == Choice.WAIT
    looking.stored("camera:2", "1400-0", 1400)
    assert looking.choose("camera:2", 1500, 1.5, Plan(), recorded=False) == Choice.BETWEEN


def test_the_model_goes_to_the_camera_that_has_waited_longest() -> None:
    """With one run at a time, and a run that takes as long as half a frame."""
    looking, cameras = Looking(), [f"camera:{number}" for number in range(6)]
    looks = dict.fromkeys(cameras, 0)
    for tick in range(600):
        now = tick * 0.05
        for camera in cameras[tick % 2 :: 2]:
            ts = 1000 + tick * 50
            if looking.choose(camera, ts, now, Plan(gate="off"), recorded=False) == Choice.LOOK:
                looks[camera] += 1
                looking.looked(camera, ts, now + 0.05, (WIDTH, HEIGHT), None, 1)
                looking.followed(camera, 1, unsettled=False)
            looking.stored(camera, f"{ts}-0", ts)
    assert min(looks.values()) >= 0.9 * max(looks.values())
    assert sum(looks.values()) >= 500


def test_people_come_before_what_moves_without_people() -> None:
    looking = Looking()
    looks = {"people": 0, "leaves": 0}
    running: str | None = None
    for tick in range(400):
        now, ts = tick * 0.1, 1000 + tick * 100
        for camera in looks:
            if looking.choose(camera, ts, now, Plan(gate="off"), recorded=False) == Choice.LOOK:
                looks[camera] += 1
                assert running is None
                running = camera
            looking.stored(camera, f"{ts}-0", ts)
        if running:
            looking.looked(running, ts, now + 0.09, (WIDTH, HEIGHT), None, int(running == "people"))
            looking.followed(running, int(running == "people"), unsettled=False)
            running = None
    assert looks["people"] > 1.5 * looks["leaves"] > 0


def test_another_worker_in_between_is_noticed() -> None:
    looking = Looking()
    looking.stored(CAMERA, "5-0", 5)
    assert looking.continues(CAMERA, "5-0")
    assert not looking.continues(CAMERA, "6-0")
    looking.forget(CAMERA, 1.0)
    assert not looking.continues(CAMERA, "5-0")


@pytest.mark.parametrize(("gate", "every"), [("sometimes", "auto"), ("auto", "0"), ("auto", "fast")])
def test_settings_that_are_none(gate: str, every: str) -> None:
    with pytest.raises(ConfigurationError, match="take one of"):
        Plan(gate, every)


def test_a_run_that_is_given_up_frees_the_model_for_other_cameras() -> None:
    looking = Looking()
    assert looking.choose("camera:1", 1000, 1.0, Plan(), recorded=False) == Choice.LOOK
    assert looking.choose("camera:2", 1000, 1.0, Plan(), recorded=False) == Choice.WAIT
    looking.forget("camera:1", 1.1)
    assert looking.choose("camera:2", 1100, 1.1, Plan(), recorded=False) == Choice.LOOK
