"""What holds for every scene and every way: the state, changes of the scene, and properties of random walks."""

from __future__ import annotations

import copy
import json
import random

import pytest

from rededge_nb.analytics.counting import FORGET_S, SceneCounter
from rededge_nb.analytics.counting_state import CountingState, read_state
from rededge_nb.analytics.counts import Crossing, FrameCounts
from rededge_nb.analytics.scene import Scene
from rededge_nb.errors import SceneError
from tests.analytics.running import Counted, line, run, zone
from tests.analytics.walkers import FRAME, HEIGHT, WIDTH, Frame, Path, Person, Walker, frames, stop, straight, way

DOOR = line((384, 460), (384, 120))
DESK = zone((284, 200), (484, 200), (484, 400), (284, 400))


def random_scene(rng: random.Random) -> Scene:
    scene = Scene()
    for i in range(5):
        a, b = (rng.uniform(0, 1), rng.uniform(0, 1)), (rng.uniform(0, 1), rng.uniform(0, 1))
        scene = scene.with_line(f"line-{i}", a, b)
    for i in range(5):
        x, y, w, h = rng.uniform(0, 0.6), rng.uniform(0, 0.6), rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)
        corners = [(x, y), (x + w, y), (x + w, y + h), (x + w / 2, y + h / 2), (x, y + h)]
        scene = scene.with_zone(f"zone-{i}", corners)
    return scene


def random_walker(rng: random.Random) -> Walker:
    height = rng.uniform(50, 160)
    path: Path = [(rng.uniform(0, 3), rng.uniform(-50, WIDTH + 50), rng.uniform(150, HEIGHT + 30))]
    for _ in range(rng.randint(2, 8)):
        t, x, y = path[-1]
        if rng.random() < 0.25:
            path.append((t + rng.uniform(0.5, 4), x, y))
        else:
            goal = rng.uniform(-50, WIDTH + 50), rng.uniform(150, HEIGHT + 30)
            away = ((goal[0] - x) ** 2 + (goal[1] - y) ** 2) ** 0.5
            path.append((t + away / (height * rng.uniform(0.4, 1.5)) + 0.01, *goal))
    hidden = [(start, start + rng.uniform(0.1, 2)) for start in (rng.uniform(0, path[-1][0]) for _ in range(2))]
    return Walker(path, height, hidden)


def random_frames(seed: int, people: int = 6) -> list[Frame]:
    rng = random.Random(seed)
    walkers = [random_walker(rng) for _ in range(people)]
    fps = rng.choice([7, 10, 25])
    return list(
        frames(walkers, fps, drop_third=rng.random() < 0.5, jitter=0.02, slow_s=rng.choice([0, 0.2]), seed=seed)
    )


@pytest.mark.parametrize("seed", range(12))
def test_forward_less_backward_is_the_change_of_side(seed: int) -> None:
    scene = Scene().with_line("across", (0, 0.55), (1, 0.62)).with_line("upright", (0.45, 0), (0.52, 1))
    walking = random_frames(seed)
    first: dict[int, tuple[float, float, float]] = {}
    last: dict[int, tuple[float, float, float]] = {}
    for frame in walking:
        for person in frame.people:
            if person.confidence > 0:
                x1, y1, x2, y2 = person.box
                last[person.id] = ((x1 + x2) / 2, y2, y2 - y1)
                first.setdefault(person.id, last[person.id])
    counted = run(scene, walking)
    summaries = {summary.track: summary for counts in counted.frames for summary in counts.finished}
    assert summaries.keys() == first.keys()
    checked = 0
    for one in scene.lines:
        ax, ay, bx, by = one.a[0] * WIDTH, one.a[1] * HEIGHT, one.b[0] * WIDTH, one.b[1] * HEIGHT
        for track, summary in summaries.items():
            sides = []
            for x, y, height in (first[track], last[track]):
                distance = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
                sides.append((distance > 0, abs(distance) / height > 0.35))
            if all(clear for _, clear in sides):
                forward, backward = summary.crossed.get(one.name, (0, 0))
                assert forward - backward == sides[1][0] - sides[0][0], (one.name, track)
                checked += 1
    assert checked > 0


@pytest.mark.parametrize("seed", range(12))
def test_entries_less_exits_are_the_people_inside(seed: int) -> None:
    scene = random_scene(random.Random(seed))
    counter, state, inside = SceneCounter(scene), CountingState(), dict.fromkeys((z.name for z in scene.zones), 0)
    for frame in random_frames(seed):
        counts, state = counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        for entry in counts.entries:
            inside[entry.zone] += 1
        for leaving in counts.exits:
            inside[leaving.zone] -= 1
            assert leaving.seconds >= 0
        known = dict.fromkeys(inside, 0)
        for track in state.tracks.values():
            for index, _ in track.inside_since:
                known[scene.zones[index].name] += 1
        assert inside == known
        assert all(counts.zones[name].people <= known[name] for name in known)
    assert not any(inside.values())
    assert not state.tracks


@pytest.mark.parametrize("seed", range(12))
def test_a_state_that_is_written_and_read_between_all_frames_gives_the_same(seed: int) -> None:
    scene, walking = random_scene(random.Random(seed)), random_frames(seed)
    kept, reloaded = run(scene, walking), run(scene, walking, reload=True)
    assert kept.frames == reloaded.frames
    assert sum(kept.lines.values()) + sum(kept.entries.values()) > 0


def test_a_frame_that_is_processed_twice_gives_the_same_and_changes_nothing() -> None:
    scene = random_scene(random.Random(5))
    counter, state = SceneCounter(scene), CountingState()
    for frame in random_frames(5):
        before = copy.deepcopy(state)
        first = counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        assert state == before
        assert counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished) == first
        state = first[1]


def test_the_state_stays_equal_through_json() -> None:
    scene = random_scene(random.Random(6))
    counter, state = SceneCounter(scene), CountingState()
    for frame in random_frames(6):
        _, state = counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        assert read_state(json.loads(json.dumps(state.to_data()))) == state


def test_counts_do_not_depend_on_the_resolution() -> None:
    scene, walking = random_scene(random.Random(7)), random_frames(7)
    counter, state, changing = SceneCounter(scene), CountingState(), Counted()
    for i, frame in enumerate(walking):
        scale = 2.5 if i % 2 else 1.0
        people = [Person(p.id, tuple(v * scale for v in p.box), p.confidence) for p in frame.people]  # type: ignore[arg-type]
        counts, state = counter.count(state, people, frame.ts_ms, (WIDTH * scale, HEIGHT * scale), frame.finished)
        changing.add(counts)
    assert changing.frames == run(scene, walking).frames


def test_the_order_of_the_people_does_not_matter() -> None:
    scene, walking = random_scene(random.Random(8)), random_frames(8)
    turned = [Frame(frame.ts_ms, frame.people[::-1], frame.finished) for frame in walking]
    straight_on, reverse = run(scene, walking), run(scene, turned)
    for a, b in zip(straight_on.frames, reverse.frames, strict=True):
        assert set(a.crossings) == set(b.crossings)
        assert set(a.exits) == set(b.exits)
        assert a.zones.keys() == b.zones.keys()
        assert [now.people for now in a.zones.values()] == [now.people for now in b.zones.values()]


def count_with_change(walkers: list[Walker], scenes: dict[float, Scene], fps: int = 10) -> Counted:
    """Counts with the scene that is in force at each time, in seconds."""
    state, counted = CountingState(), Counted()
    for frame in frames(walkers, fps, start_ms=0):
        scene = [scene for since, scene in scenes.items() if 1000 * since <= frame.ts_ms][-1]
        counts, state = SceneCounter(scene).count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        counted.add(counts)
    return counted


def crossings(counted: Counted) -> list[Crossing]:
    return [crossing for counts in counted.frames for crossing in counts.crossings]


def test_unchanged_lines_and_zones_count_on_when_others_change() -> None:
    walkers = [Walker(stop(way((100, 300), (370, 300), (700, 300)), 1, 5))]
    scene = zone((284, 200), (484, 200), (484, 400), (284, 400), scene=DOOR)
    changed = line((600, 100), (600, 500), "other", scene).with_zone("more", [(0, 0), (0.3, 0), (0.3, 0.3)])
    fewer = Scene(lines=changed.lines[:1], zones=changed.zones[:1])
    plain = run(scene, frames(walkers, 10, start_ms=0))
    # while the person stands, and within the 0.3 s of the entry, of the crossing and of the exit
    for until in (2.0, 2.1, 2.2, 3.0, 7.8, 8.0, 8.1, 8.2, 9.1, 9.2, 9.3):
        counted = count_with_change(walkers, {0: scene, until: changed, until + 0.05: fewer})
        assert crossings(counted) == crossings(plain)
        assert len(crossings(plain)) == 1
        assert [counts.entries for counts in counted.frames] == [counts.entries for counts in plain.frames]
        assert [counts.exits for counts in counted.frames] == [counts.exits for counts in plain.frames]


@pytest.mark.parametrize("shift", [-250, -120, -40, -10, 10, 40, 120, 250])
def test_nobody_is_counted_because_a_line_was_moved_over_him(shift: int) -> None:
    standing = [Walker([(0, x, 300), (10, x, 300)]) for x in (150, 300, 370, 384, 398, 470, 620)]
    moved = line((384 + shift, 460), (384 + shift, 120))
    assert not count_with_change(standing, {0: DOOR, 4: moved, 6: DOOR, 8: moved}).lines


def test_a_moved_line_counts_who_crosses_it_afterwards() -> None:
    moved = line((500, 460), (500, 120))
    counted = count_with_change([Walker(straight(100, 700))], {0: DOOR, 1: moved})
    assert counted.lines == {("door", "forward"): 1}
    (crossing,) = crossings(counted)
    assert crossing.ts_ms == pytest.approx(1000 * 400 / 95, abs=110)


def test_a_reversed_line_does_not_count_who_stands_beside_it() -> None:
    walkers = [Walker(stop(way((100, 300), (300, 300), (600, 300)), 1, 5))]
    counted = count_with_change(walkers, {0: DOOR, 4: DOOR.reversed_line("door")})
    assert counted.lines == {("door", "backward"): 1}


def test_renaming_keeps_a_dwell_time_and_a_crossing_that_is_not_decided_yet() -> None:
    walkers = [Walker(stop(way((100, 300), (370, 300), (700, 300)), 1, 5))]
    scene = zone((284, 200), (484, 200), (484, 400), (284, 400), scene=DOOR)
    renamed = scene.renamed("door", "gate").renamed("desk", "till")
    for until in (4.0, 8.1):
        counted = count_with_change(walkers, {0: scene, until: renamed})
        assert counted.lines == {("gate", "forward"): 1}
        assert counted.dwells == {"till": [pytest.approx(5 + 200 / 95, abs=0.2)]}
        (summary,) = [summary for counts in counted.frames for summary in counts.finished]
        assert summary.crossed == {"gate": (1, 0)}
        assert summary.stayed == {"till": counted.dwells["till"][0]}


def test_exchanging_two_names_follows_the_names() -> None:
    scene = line((600, 460), (600, 120), "gate", DOOR)
    exchanged = Scene(lines=(scene.lines[1], scene.lines[0]))
    assert count_with_change([Walker(straight(100, 740))], {0: scene, 3: exchanged}).lines == {
        ("door", "forward"): 1,
        ("gate", "forward"): 1,
    }


def test_a_moved_zone_keeps_those_who_are_still_inside_and_counts_nobody() -> None:
    stays, gone, found = (Walker([(0, x, 300), (20, x, 300)]) for x in (440, 320, 550))
    moved = zone((400, 200), (600, 200), (600, 400), (400, 400))
    counted = count_with_change([stays, gone, found], {0: DESK, 10: moved})
    assert counted.entries["desk"] == 2
    assert [leaving.track for counts in counted.frames for leaving in counts.exits] == [1, 3]
    assert counted.dwells["desk"] == [pytest.approx(20, abs=0.4), pytest.approx(10, abs=0.4)]
    at = {counts.ts_ms: counts.zones["desk"] for counts in counted.frames}
    assert at[9000].people == at[11000].people == 2
    assert at[11000].longest_s == pytest.approx(11, abs=0.4)


def test_a_new_zone_around_a_person_counts_no_entry() -> None:
    counted = count_with_change([Walker([(0, 384, 300), (20, 384, 300)])], {0: DOOR, 10: DESK})
    assert not counted.entries
    assert counted.people["desk"][5] == 1
    assert counted.dwells["desk"] == [pytest.approx(10, abs=0.4)]


def test_a_removed_zone_leaves_no_exits() -> None:
    counted = count_with_change([Walker([(0, 384, 300), (20, 384, 300)])], {0: DESK, 10: DOOR})
    assert not counted.dwells


def test_an_empty_scene_counts_nothing() -> None:
    counted = run(Scene(), frames([Walker(straight(100, 700))], 10))
    assert all(not counts.crossings and not counts.zones for counts in counted.frames)
    assert [summary.track for counts in counted.frames for summary in counts.finished] == [1]


def test_a_track_that_nobody_ends_is_forgotten() -> None:
    counter, state = SceneCounter(DESK), CountingState()
    inside = Person(7, (360, 180, 408, 300))
    for ts_ms in range(0, 2000, 100):
        counts, state = counter.count(state, [inside], ts_ms, FRAME)
    assert counts.zones["desk"] == (1, 1.9, 7)
    counts, state = counter.count(state, [], 30_000, FRAME)
    assert counts.zones["desk"] == (0, 1.9, 7)
    counts, state = counter.count(state, [], 2000 + round(1000 * FORGET_S), FRAME)
    assert counts.exits == ((7, "desk", 1900, 1.9),)
    assert not state.tracks
    assert counts.finished == ((7, {}, {"desk": 1.9}),)


def test_ending_an_unknown_track_does_nothing() -> None:
    counts, state = SceneCounter(DOOR).count(CountingState(), [], 0, FRAME, [5, 6])
    assert counts == FrameCounts(0, (), (), (), {}, ())
    assert state.tracks == {}


def test_a_track_that_was_only_predicted_is_not_remembered() -> None:
    _, state = SceneCounter(DOOR).count(CountingState(), [Person(1, (0, 0, 10, 20), 0.0)], 0, FRAME)
    assert state.tracks == {}


@pytest.mark.parametrize(
    ("people", "frame_wh", "message"),
    [
        ([Person(1, (0, 0, 9, 9)), Person(1, (5, 5, 9, 9))], FRAME, "a track occurs twice in one frame"),
        ([Person(1, (9, 0, 0, 9))], FRAME, "the box of track 1 is not a box"),
        ([Person(1, (0, 0, float("nan"), 9))], FRAME, "the box of track 1 is not a box"),
        ([], (0, 576), "has no size"),
    ],
)
def test_impossible_frames_are_refused(people: list[Person], frame_wh: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneCounter(DOOR).count(CountingState(), people, 0, frame_wh)


def test_a_box_without_height_is_a_position() -> None:
    counts, _ = SceneCounter(DESK).count(CountingState(), [Person(1, (384, 300, 384, 300))], 0, FRAME)
    assert counts.zones["desk"].people == 1


def test_a_state_of_a_newer_version_is_refused() -> None:
    data = CountingState().to_data()
    with pytest.raises(SceneError, match="format: the state of counting has format 2"):
        read_state({**data, "format": 2})
    assert read_state(None) == CountingState()


def test_the_state_is_small() -> None:
    rng = random.Random(9)
    scene = random_scene(rng)
    counter, state, largest = SceneCounter(scene), CountingState(), 0.0
    for frame in random_frames(9, 20):
        _, state = counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        if len(state.tracks) >= 10:
            size = len(json.dumps(state.to_data(), separators=(",", ":")))
            largest = max(largest, (size - 400) / len(state.tracks))
    assert 0 < largest < 200
