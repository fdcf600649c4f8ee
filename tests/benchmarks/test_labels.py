"""The labels of the sample video have the form that a scorer reads, and agree with the counts made by eye."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

from benchmarks.accuracy import LABELS
from rededge_nb import assets

BOXES = Path(LABELS).parent / "labels" / "walking.txt"


class Label(NamedTuple):
    """A line of MOT text: the frame counts from 1, lengths are in pixels."""

    frame: int
    person: int
    left: int
    top: int
    width: int
    height: int
    flag: int


@pytest.fixture(scope="module")
def labels() -> list[Label]:
    rows = [line.split(",") for line in BOXES.read_text().splitlines()]
    assert {tuple(row[7:]) for row in rows} == {("-1", "-1", "-1")}
    return [Label(*map(int, row[:7])) for row in rows]


@pytest.fixture(scope="module")
def video() -> tuple[int, int, int]:
    """Number of frames, width and height of the sample video."""
    capture = cv2.VideoCapture(str(assets.sample_video()))
    frames, width, height = (
        int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    capture.release()
    return frames, width, height


def test_at_least_24_frames_of_the_video_are_labelled(labels: list[Label], video: tuple[int, int, int]) -> None:
    frames = {label.frame for label in labels}
    assert len(frames) >= 24
    assert min(frames) >= 1
    assert max(frames) <= video[0]


def test_lines_are_in_order_and_no_id_is_twice_in_a_frame(labels: list[Label]) -> None:
    keys = [(label.frame, label.person) for label in labels]
    assert keys == sorted(set(keys))
    assert min(label.person for label in labels) >= 1


def test_boxes_are_inside_the_frame_and_have_the_shape_of_a_person(
    labels: list[Label], video: tuple[int, int, int]
) -> None:
    _, width, height = video
    for label in labels:
        assert 0 <= label.left < label.left + label.width <= width, label
        assert 0 <= label.top < label.top + label.height <= height, label
        assert label.height > label.width, label


def test_the_flag_is_0_or_1_and_the_same_for_all_boxes_of_a_person(labels: list[Label]) -> None:
    flags = {(label.person, label.flag) for label in labels}
    assert {flag for _, flag in flags} == {0, 1}
    assert len(flags) == len({person for person, _ in flags})


def test_ids_are_followed_over_runs_of_frames(labels: list[Label]) -> None:
    frames = Counter(label.person for label in labels)
    assert min(frames.values()) >= 3
    assert sum(number >= 8 for number in frames.values()) >= 10


def test_as_many_people_as_were_counted_by_eye(labels: list[Label]) -> None:
    boxes = Counter(label.frame for label in labels)
    counted = json.loads(LABELS.read_text())["people"]
    assert counted
    # labels.json counts frames from 0
    assert {frame: boxes[int(frame) + 1] for frame in counted} == counted
