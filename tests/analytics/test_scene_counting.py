"""What the gear writes about a scene: samples, totals and fields, while the scene changes and with damaged states."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_counting import CountedScene, count_scene, without_people, without_removed
from tests.analytics.running import line, zone
from tests.analytics.walkers import FRAME, Frame, Walker, frames, straight

DOOR = line((384, 460), (384, 120))
DESK = zone((284, 200), (484, 200), (484, 400), (284, 400), scene=DOOR)
START_MS = 1_000_000


def count(text: str | None, saved: Any, frame: Frame, camera: str = "camera:0") -> CountedScene:
    saved = json.loads(json.dumps(saved))
    return count_scene(camera, text, saved, frame.people, frame.ts_ms, (768, 576), list(frame.finished))


def count_all(scenes: dict[float, Scene], walkers: list[Walker]) -> list[CountedScene]:
    """Counts walkers with the scene that is in force at each time, in seconds."""
    counted: list[CountedScene] = []
    for frame in frames(walkers, 10, start_ms=START_MS):
        scene = [scene for since, scene in scenes.items() if START_MS + 1000 * since <= frame.ts_ms][-1]
        counted.append(count(scene.to_json(), counted[-1].saved if counted else None, frame))
    return counted


def fields(counted: CountedScene) -> dict[str, Any]:
    return dict(zip(counted.fields[::2], map(json.loads, map(str, counted.fields[1::2])), strict=True))


def sums(counted: list[CountedScene]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in counted:
        for sample in each.samples:
            found[sample.series] += sample.value if sample.series.startswith("line:") else 1
    return found


def test_without_a_scene_nothing_is_written() -> None:
    for frame in frames([Walker(straight(100, 700))], 10, start_ms=START_MS):
        assert count(None, None, frame) == CountedScene()


def test_a_crossing_is_a_sample_of_its_second_and_counts_in_the_totals() -> None:
    counted = count_all({0: DESK}, [Walker(straight(100, 700))])
    crossings = [s for each in counted for s in each.samples if s.series.startswith("line:")]
    assert [sample.series for sample in crossings] == ["line:door:forward"]
    assert crossings[0].at_ms % 1000 == 0
    assert fields(counted[0]) == {"scene": 0, "lines": {"door": [0, 0]}, "zones": {"desk": [0, 0, 0, 0]}}
    assert fields(counted[-1])["lines"] == {"door": [1, 0]}
    assert fields(counted[-1])["zones"]["desk"][2:] == [1, 1]
    (track,) = [words for each in counted for words in each.tracks.values()]
    assert json.loads(str(track[1])) == {"door": [1, 0]}
    assert json.loads(str(track[3]))["desk"] == pytest.approx(200 / 95, abs=0.2)
    assert sums(counted)["zone:desk:people"] == len(counted)
    assert sums(counted)["zone:desk:dwell"] == 1


def test_series_are_made_with_the_line_or_zone_and_only_then() -> None:
    counted = count_all({0: DOOR, 2: DESK, 4: DESK.renamed("desk", "till")}, [Walker(straight(100, 700))])
    made = {at / 10: each.new_series for at, each in enumerate(counted) if each.new_series}
    assert made == {
        0: ("line:door:forward", "line:door:backward"),
        2: ("zone:desk:people", "zone:desk:dwell"),
        4: ("zone:till:people", "zone:till:dwell"),
    }


def test_totals_follow_a_rename_and_a_move_and_end_with_the_line() -> None:
    walkers = [Walker(straight(100, 700))]
    renamed = DESK.renamed("door", "gate")
    moved = line((650, 460), (650, 120), "gate", renamed)
    last = fields(count_all({0: DESK, 4: renamed, 4.5: moved}, walkers)[-1])
    assert last["lines"] == {"gate": [2, 0]}
    removed = fields(count_all({0: DESK, 4: DESK.without("door"), 4.5: DESK}, walkers)[-1])
    assert removed["lines"] == {"door": [0, 0]}
    assert removed["zones"]["desk"][2:] == [1, 1]


def test_people_who_leave_a_zone_together_are_samples_with_times_of_their_own() -> None:
    crowd = [Walker(straight(100, 700)) for _ in range(5)]
    counted = count_all({0: DESK}, crowd)
    times = [s.at_ms for each in counted for s in each.samples if s.series == "zone:desk:dwell"]
    assert len(times) == len(set(times)) == 5
    assert max(times) - min(times) < 10


def test_a_scene_that_cannot_be_read_is_reported_once_and_counting_continues_with_the_next() -> None:
    everything = frames([Walker(straight(100, 700))], 10, start_ms=START_MS)
    saved, problems, crossings = None, [], 0
    for at, frame in enumerate(everything):
        counted = count("{broken" if 20 <= at < 24 else DOOR.to_json(), saved, frame, "camera:unreadable")
        saved = counted.saved
        problems += [counted.problem] if counted.problem else []
        crossings += sum(sample.series == "line:door:forward" for sample in counted.samples)
    assert len(problems) == 1
    assert "the scene cannot be read: not JSON" in problems[0]
    assert crossings == 1


@pytest.mark.parametrize(
    "damaged",
    [7, {}, {"state": {}, "totals": {}}, {"state": {"format": 1, "tracks": [[1]]}, "totals": {}}, {"state": None}],
)
def test_a_damaged_state_is_reported_and_counting_begins_again(damaged: Any) -> None:
    (frame, *_) = frames([Walker(straight(100, 700))], 10, start_ms=START_MS)
    counted = count(DOOR.to_json(), damaged, frame)
    assert "its state is damaged" in counted.problem
    assert fields(counted)["lines"] == {"door": [0, 0]}
    assert count(DOOR.to_json(), counted.saved, frame).problem == ""


def test_what_is_saved_is_not_changed() -> None:
    saved: Any = None
    for frame in frames([Walker(straight(100, 700))], 10, start_ms=START_MS):
        before = json.dumps(saved)
        first = count_scene("camera:0", DESK.to_json(), saved, frame.people, frame.ts_ms, (768, 576), [])
        assert json.dumps(saved) == before
        assert count_scene("camera:0", DESK.to_json(), saved, frame.people, frame.ts_ms, (768, 576), []) == first
        saved = json.loads(json.dumps(first.saved))
    assert FRAME == (768, 576)


def test_what_is_deleted_from_the_series_leaves_the_totals_but_never_more() -> None:
    counted = count_all({0: DESK}, [Walker(straight(100, 700))])
    saved = without_removed(
        counted[-1].saved, {"line:door:forward": "1", "zone:desk:dwell": "1", "line:gone:forward": "3"}
    )
    assert saved["totals"]["lines"] == {"door": [0, 0]}
    assert saved["totals"]["zones"] == {"desk": [0, 0]}
    assert saved["state"] == counted[-1].saved["state"]
    assert without_removed(saved, {"line:door:backward": 2})["totals"]["lines"] == {"door": [0, 0]}
    assert without_removed(None, {"line:door:forward": 1}) is None


def test_people_of_a_deleted_count_leave_no_zone_and_have_not_entered_it() -> None:
    counted = count_all({0: DESK}, [Walker(straight(100, 700))])
    inside = next(each for each in counted if fields(each)["zones"]["desk"][0])
    assert fields(inside)["zones"]["desk"][2:] == [1, 0]
    saved = without_people(inside.saved)
    assert saved["totals"]["zones"] == {"desk": [0, 0]}
    assert saved["state"]["tracks"] == []
    assert count(DESK.to_json(), saved, Frame(START_MS, [], [])).samples[0].value == 0
    assert without_people(None) is None


def test_stays_that_end_at_one_time_have_samples_of_their_own_when_time_goes_back() -> None:
    pair = [Walker(straight(100, 320)), Walker(straight(100, 320, 350))]
    counted = count_all({0: DESK}, pair)
    inside = next(each for each in counted if fields(each)["zones"]["desk"][0] == 2)
    ids = [int(track[0]) for track in inside.saved["state"]["tracks"]]
    left = count(DESK.to_json(), inside.saved, Frame(START_MS - 3_600_000, [], ids))
    times = [sample.at_ms for sample in left.samples if sample.series == "zone:desk:dwell"]
    assert len(times) == len(set(times)) == 2
