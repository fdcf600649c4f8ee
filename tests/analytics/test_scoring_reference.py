"""The same figures as TrackEval and pycocotools, which `record_scores` has recorded for generated cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rededge_nb.analytics.scoring import score_detections, score_tracks
from tests.analytics.record_scores import RECORDED
from tests.analytics.scored_cases import BOX_CASES, TRACK_CASES, case

REFERENCE: dict[str, list[dict[str, Any]]] = json.loads(RECORDED.read_text())


def ids_of(name: str) -> list[str]:
    return [f"{each['seed']}-{each['flag0']}" for each in REFERENCE[name]]


def test_every_case_was_recorded() -> None:
    assert [(each["seed"], each["flag0"]) for each in REFERENCE["tracks"]] == TRACK_CASES
    # pycocotools does not take a case without people or without boxes
    assert len(REFERENCE["boxes"]) >= len(BOX_CASES) - 4


@pytest.mark.parametrize("expected", REFERENCE["tracks"], ids=ids_of("tracks"))
def test_tracks_score_as_with_trackeval(expected: dict[str, Any]) -> None:
    truth, found, frames = case(expected["seed"])
    scores = score_tracks(truth, found, range(1, frames + 1), flag0=expected["flag0"])
    names = expected.keys() - {"seed", "flag0"}
    assert {name: getattr(scores, name) for name in names} == pytest.approx(
        {name: expected[name] for name in names}, abs=1e-6
    )


@pytest.mark.parametrize("expected", REFERENCE["boxes"], ids=ids_of("boxes"))
def test_boxes_score_as_with_pycocotools(expected: dict[str, Any]) -> None:
    truth, found, frames = case(expected["seed"])
    scores = score_detections(truth, found, range(1, frames + 1), flag0=expected["flag0"])
    # the mean over so many points of recall is the area to 1e-5 or so
    assert scores.ap == pytest.approx(expected["ap"], abs=1e-4)
