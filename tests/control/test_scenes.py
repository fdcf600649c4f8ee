"""Scenes that are stored: versions, conflicts, and the series that follow the lines and zones."""

from __future__ import annotations

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_series import keys_of, line_series, series_of
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.scenes import change_scene, save_scene
from rededge_nb.errors import SceneConflictError, SceneError
from rededge_nb.reading.scenes import read_crossings, read_scene, read_zones

DOOR = Scene().with_line("door", (0.1, 0.5), (0.9, 0.5), forward="in", backward="out")
DESK = DOOR.with_zone("desk", [(0.2, 0.2), (0.6, 0.2), (0.6, 0.7)])


@pytest.fixture
def scene(client: redis.Redis) -> CameraScene:
    return CameraScene(client, "0")


def keys(scene: Scene) -> set[bytes]:
    return {key.encode() for series in series_of(scene) for key, _ in keys_of("camera:0", series)}


def test_every_change_is_stored_at_once_and_has_a_version(client: redis.Redis, scene: CameraScene) -> None:
    assert read_scene(client, "0") == Scene()
    scene.line("door", (0.1, 0.5), (0.9, 0.5), forward="in", backward="out").zone("desk", DESK.zones[0].points)
    stored = read_scene(client, "0")
    assert (stored.version, stored.lines, stored.zones) == (2, DESK.lines, DESK.zones)
    assert repr(scene) == "<Scene of camera 0, version 2: lines door; zones desk>"
    scene.reverse("door").rename("door", "gate").remove("desk")
    stored = read_scene(client, "0")
    assert stored.version == 5
    assert [(line.name, line.a, line.b, line.forward) for line in stored.lines] == [
        ("gate", (0.9, 0.5), (0.1, 0.5), "in")
    ]
    assert not stored.zones


def test_a_scene_that_somebody_else_has_saved_meanwhile_is_a_conflict(scene: CameraScene) -> None:
    mine, theirs = scene.load(), scene.load()
    scene.save(theirs.with_line("theirs", (0, 0), (1, 1)))
    with pytest.raises(SceneConflictError, match="it has version 1 now, and yours began with 0"):
        scene.save(mine.with_line("mine", (0, 0), (1, 1)))
    assert [line.name for line in scene.load().lines] == ["theirs"]


def test_a_change_is_made_again_when_somebody_else_saves_meanwhile(client: redis.Redis) -> None:
    calls = []

    def change(old: Scene) -> Scene:
        if not calls:
            calls.append(old.version)
            CameraScene(client, "0").zone("desk", DESK.zones[0].points)
        return old.with_line("door", (0.1, 0.5), (0.9, 0.5))

    stored = change_scene(client, "0", change)
    assert ([line.name for line in stored.lines], [zone.name for zone in stored.zones]) == (["door"], ["desk"])
    assert stored.version == 2


def test_series_are_made_with_the_line_or_zone(client: redis.Redis, scene: CameraScene) -> None:
    scene.save(DESK)
    assert keys(DESK) <= set(client.keys("camera:0:*"))
    found = client.execute_command("TS.QUERYINDEX", "camera=0", "line=door", "__name__=line_forward_sum_15m")
    assert found == [b"camera:0:line:door:forward:sum:15m"]


def test_what_was_counted_follows_a_rename(client: redis.Redis, scene: CameraScene) -> None:
    scene.save(DESK)
    client.execute_command("TS.ADD", "camera:0:line:door:forward", 60_000, 2)
    client.execute_command("TS.ADD", "camera:0:zone:desk:dwell", 60_000, 12.5)
    scene.rename("door", "gate").rename("desk", "till")
    (crossings,) = read_crossings(client, "0")
    assert (crossings.line, crossings.counts) == ("gate", (2, 0))
    assert crossings.forward.labels["line"] == "gate"
    client.execute_command("TS.ADD", "camera:0:line:gate:forward", 61_000, 3)
    sums = client.execute_command("TS.RANGE", "camera:0:line:gate:forward:sum:1m", "-", "+", "LATEST")
    assert [[at, float(value)] for at, value in sums] == [[60_000, 5]]
    (visits,) = read_zones(client, "0")
    assert visits.dwell.values.tolist() == [12.5]
    assert not client.execute_command("TS.QUERYINDEX", "line=door")
    assert not client.keys("camera:0:line:door:*")


def test_a_removed_line_keeps_its_data_for_a_while_and_goes_on_when_it_comes_back(
    client: redis.Redis, scene: CameraScene
) -> None:
    scene.save(DOOR)
    client.execute_command("TS.ADD", "camera:0:line:door:forward", 60_000, 2)
    scene.remove("door")
    for series in line_series("door"):
        for key, retention_ms in keys_of("camera:0", series):
            assert 0 < client.pttl(key) <= retention_ms
    scene.line("door", (0.2, 0.5), (0.9, 0.5))
    assert client.pttl("camera:0:line:door:forward") == -1
    assert read_crossings(client, "0")[0].counts == (2, 0)


def test_a_name_with_data_of_a_removed_line_keeps_that_data(client: redis.Redis, scene: CameraScene) -> None:
    scene.save(DOOR.with_line("gate", (0, 0), (1, 0.1)))
    client.execute_command("TS.ADD", "camera:0:line:gate:forward", 60_000, 7)
    scene.remove("gate").rename("door", "gate")
    assert read_crossings(client, "0")[0].counts == (7, 0)
    assert client.pttl("camera:0:line:door:forward") > 0


def test_what_is_no_scene_is_named_and_only_replaced_on_request(client: redis.Redis, scene: CameraScene) -> None:
    client.set(schema.scene_key("0"), '{"lines": [{"name": "a b"}]}')
    for action in (scene.load, lambda: scene.remove("door"), lambda: scene.save(DOOR)):
        with pytest.raises(SceneError, match=r'camera:0:scene\.lines\[0\]\.name: "a b" is not a name'):
            action()
    assert save_scene(client, "0", DOOR, version=None).version == 1
    assert scene.load().lines == DOOR.lines


def test_a_part_that_is_wrong_changes_nothing(scene: CameraScene) -> None:
    scene.save(DESK)
    with pytest.raises(SceneError, match=r"x is 1\.5"):
        scene.line("door", (0.1, 0.5), (1.5, 0.5))
    with pytest.raises(SceneError, match="there is no line, zone or mask"):
        scene.remove("dor")
    assert scene.load().version == 1


def test_masks_have_names_and_styles(scene: CameraScene) -> None:
    scene.mask([(0, 0), (0.2, 0), (0.2, 0.1)], style="blur").mask([(0, 0), (0.2, 0), (0.2, 0.1)], name="window")
    assert [(mask.name, mask.style) for mask in scene.load().masks] == [("mask-1", "blur"), ("window", "black")]


def test_a_rule_is_stored_changed_and_removed_and_a_wrong_one_names_its_field(scene: CameraScene) -> None:
    scene.zone("desk", DESK.zones[0].points).rule("queue", "occupancy", zone="desk", at_least=6, lasting=30)
    assert repr(scene).endswith("zones desk; rules queue>")
    scene.rule("queue", zone="desk", at_least=8)
    (rule,) = scene.load().rules
    assert rule.to_dict() == {"name": "queue", "kind": "occupancy", "zone": "desk", "at_least": 8}
    for fields, wrong in (({"at_least": 0}, "at_least"), ({"at_lest": 6}, "at_lest"), ({"at_least": 6}, "zone")):
        with pytest.raises(SceneError) as caught:
            scene.rule("queue", zone="dsk" if wrong == "zone" else "desk", **fields)
        assert wrong in str(caught.value)
    with pytest.raises(SceneError, match="kind"):
        scene.rule("new", zone="desk", at_least=1)
    assert scene.load().rules == (rule,)
    scene.remove_rule("queue")
    assert not scene.load().rules
