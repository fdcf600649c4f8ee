from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from math import cos, pi, sin
from typing import Any

import pytest

from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule, SilenceRule
from rededge_nb.analytics.scene import MAX_BYTES, Line, Mask, Scene, Zone, parse_scene
from rededge_nb.errors import RedEdgeError, SceneError

TRIANGLE = [[0.2, 0.2], [0.6, 0.2], [0.6, 0.7]]
FULL: dict[str, Any] = {
    "format": 1,
    "version": 12,
    "lines": [
        {"name": "door", "a": [0.1, 0.5], "b": [0.9, 0.5], "forward": "in", "backward": "out"},
        {"name": "gate", "a": [0, 0], "b": [1, 1], "forward": "forward", "backward": "backward"},
    ],
    "zones": [{"name": "desk", "points": TRIANGLE}],
    "masks": [{"name": "window", "points": [[0, 0], [0.2, 0], [0.2, 0.1]], "style": "blur"}],
    "boxes_only": True,
    "rules": [
        {"name": "queue", "kind": "occupancy", "zone": "desk", "at_least": 6, "lasting": 30, "cooldown": 60},
        {"name": "entry", "kind": "crossings", "line": "door", "direction": "forward", "within": 7.5},
    ],
}


def scene() -> Scene:
    return parse_scene(FULL)


def test_a_scene_is_read_and_written_without_a_change() -> None:
    assert scene().to_dict() == FULL
    assert json.loads(scene().to_json()) == FULL
    assert parse_scene(scene().to_json()) == scene()
    assert parse_scene(scene().to_json().encode()) == scene()
    assert parse_scene(scene().to_json(indent=2)) == scene()


def test_the_parts_of_a_scene() -> None:
    assert scene().version == 12
    assert scene().line("door") == Line("door", (0.1, 0.5), (0.9, 0.5), "in", "out")
    assert scene().zone("desk") == Zone("desk", ((0.2, 0.2), (0.6, 0.2), (0.6, 0.7)))
    assert scene().masks == (Mask("window", ((0.0, 0.0), (0.2, 0.0), (0.2, 0.1)), "blur"),)
    assert scene().boxes_only
    assert scene().rules[0] == OccupancyRule(name="queue", zone="desk", at_least=6, lasting=30, cooldown=60)
    assert "door" in scene()
    assert "queue" not in scene()


def test_everything_has_a_default() -> None:
    assert parse_scene("{}") == Scene()
    small = parse_scene({"lines": [{"name": "a", "a": [0, 0], "b": [0, 1]}]})
    assert (small.lines[0].forward, small.lines[0].backward) == ("forward", "backward")
    assert not small.boxes_only


def test_a_scene_is_a_value() -> None:
    assert hash(scene()) == hash(parse_scene(scene().to_json()))
    assert Scene(lines=[Line("a", (0, 0), (1, 1))]).lines == (Line("a", (0.0, 0.0), (1.0, 1.0)),)  # type: ignore[arg-type]


def test_coordinates_are_kept_with_five_decimals() -> None:
    assert parse_scene({"lines": [{"name": "a", "a": [1 / 3, 0], "b": [2 / 3, 1]}]}).lines[0].a == (0.33333, 0.0)


def test_masks_without_a_name_get_one() -> None:
    points = [[0, 0], [0.2, 0], [0.2, 0.1]]
    zones = [{"name": "mask-2", "points": TRIANGLE}]
    masks = parse_scene({"zones": zones, "masks": [{"points": points}, {"name": "mask-1", "points": points}]}).masks
    assert [mask.name for mask in masks] == ["mask-3", "mask-1"]
    assert masks[0].style == "black"


def wrong(change: dict[str, Any]) -> str:
    with pytest.raises(SceneError) as found:
        parse_scene({**FULL, **change})
    assert isinstance(found.value, RedEdgeError)
    assert isinstance(found.value, ValueError)
    return str(found.value)


def line(**change: Any) -> dict[str, Any]:
    return {"lines": [FULL["lines"][0], {**FULL["lines"][1], **change}]}


def zone(*points: Any) -> dict[str, Any]:
    return {"zones": [{"name": "desk", "points": list(points)}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format: is 2; this version of rededge_nb knows 1 to 1: update it"),
        ({"format": 0}, "format: is 0, must be from 1 to"),
        ({"version": -1}, "version: is -1, must be from 0 to"),
        ({"version": 1.5}, "version: 1.5 is not a whole number"),
        ({"version": True}, "version: true is not a whole number"),
        ({"boxes_only": 1}, "boxes_only: 1 is neither true nor false"),
        ({"zone": []}, 'unknown field "zone"; did you mean "zones"?'),
        ({"lines": {}}, "lines: {} is not a list"),
        ({"lines": [5]}, "lines[0]: 5 is not an object with the fields name, a, b, forward, backward"),
        (line(colour="red"), 'lines[1]: unknown field "colour"; known are "name", "a", "b", "forward", "backward"'),
        (line(foward="in"), 'lines[1]: unknown field "foward"; did you mean "forward"?'),
        (line(a=[0, 1.2]), "lines[1].a: y is 1.2, must be from 0 to 1"),
        (line(a=[-0.001, 1]), "lines[1].a: x is -0.001, must be from 0 to 1"),
        (line(b=[0, "1"]), 'lines[1].b: y "1" is not a number'),
        (line(b=[0, None]), "lines[1].b: y null is not a number"),
        (line(b=[float("inf"), 0]), "lines[1].b: x is Infinity, must be from 0 to 1"),
        (line(b=[float("nan"), 0]), "lines[1].b: x is NaN, must be from 0 to 1"),
        (line(b=[True, 0]), "lines[1].b: x true is not a number"),
        (line(b=[0, 0, 0]), "lines[1].b: [0, 0, 0] is not a point: [x, y], both from 0 to 1"),
        (line(b="0,0"), 'lines[1].b: "0,0" is not a point'),
        (line(b=[0, 0]), "lines[1]: the line has no length: its two ends are the same point"),
        (line(b=[0.002, 0]), "lines[1]: the line is too short: its length is 0.002 of the frame"),
        (line(name="the door"), 'lines[1].name: "the door" is not a name: 1 to 32 letters (a-z), digits'),
        (line(name=""), 'lines[1].name: "" is not a name'),
        (line(name="x" * 33), "is not a name"),
        (line(name="tür"), 'lines[1].name: "tür" is not a name'),
        (line(name=7), "lines[1].name: 7 is not a name"),
        (line(name="door\n"), "is not a name"),
        (line(name="door"), 'lines[1].name: "door" is the name of lines[0], too'),
        (line(name="desk"), 'zones[0].name: "desk" is the name of lines[1], too'),
        (line(name="window"), 'masks[0].name: "window" is the name of lines[1], too'),
        (line(forward="in", backward="in"), 'lines[1].backward: "in" is the name of the other direction, too'),
        (line(forward="backward", backward="x"), 'lines[1].forward: the names "forward" and "backward" are exchanged'),
        (line(forward="in side"), 'lines[1].forward: "in side" is not a name'),
        ({"lines": [{"name": "a", "a": [0, 0]}]}, 'lines[0]: the field "b" is missing'),
        ({"zones": [{"name": "desk"}]}, 'zones[0]: the field "points" is missing'),
        (zone([0, 0], [1, 0], [1.2, 1]), "zones[0].points[2]: x is 1.2, must be from 0 to 1"),
        (zone([0, 0], [1, 0]), "zones[0].points: a polygon needs at least 3 points, found 2"),
        (zone(), "zones[0].points: a polygon needs at least 3 points, found 0"),
        (zone([0, 0], [1, 0], [1, 0], [1, 1]), "zones[0].points: points[2] repeats points[1]"),
        (zone([0, 0], [1, 0], [1, 1], [0, 0]), "zones[0].points: the last point repeats the first one: leave it out"),
        (zone([0, 0], [1, 1], [0.5, 0.5]), "zones[0].points: turns back on itself at points[1]"),
        (zone([0, 0], [1, 0], [0.5, 0.0001]), "zones[0].points: is too small: its area is 5e-05 of the frame"),
        (
            zone([0, 0], [1, 1], [1, 0], [0, 1]),
            "zones[0].points: crosses or touches itself: the edge from points[0] to points[1] and the edge from "
            "points[2] to points[3]",
        ),
        (zone([0, 0], [1, 0], [0.5, 0.5], [1, 1], [0, 1], [0.5, 0.5]), "crosses or touches itself"),
        (zone([0, 0], [1, 0], [1, 1], [0.5, 0], [0, 1]), "crosses or touches itself"),
        ({"masks": [{"points": TRIANGLE, "style": "blr"}]}, 'masks[0].style: "blr" is unknown; did you mean "blur"?'),
        ({"masks": [{"points": TRIANGLE, "style": None}]}, "masks[0].style: null is unknown"),
        ({"rules": [{"name": "a", "kind": "dwell", "zone": "dsk", "longer_than": 5}]},
         'rules[0].zone: there is no zone "dsk"; did you mean "desk"?'),
        ({"rules": [{"name": "a", "kind": "crossings", "line": "desk"}]}, 'rules[0].line: there is no line "desk"'),
        ({"rules": [{"name": "a", "kind": "crossings", "line": "door", "direction": "inn"}]},
         'rules[0].direction: "inn" is unknown; did you mean "in"?'),
        ({"rules": [{"name": "a", "kind": "silence"}] * 2}, 'rules[1].name: "a" is the name of rules[0], too'),
    ],
)  # fmt: skip
def test_errors_name_the_field(change: dict[str, Any], message: str) -> None:
    assert message in wrong(change)


def test_an_error_is_data() -> None:
    with pytest.raises(SceneError) as found:
        parse_scene({**FULL, **zone([0, 0], [1, 0], [1.2, 1])})
    error = pickle.loads(pickle.dumps(found.value))
    assert (error.field, error.problem) == ("zones[0].points[2]", "x is 1.2, must be from 0 to 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ('{"lines": [}', "not JSON: Expecting value at line 1, column 12"),
        ("[]", "[] is not an object with the fields format, version"),
        ("null", "null is not an object"),
        ('{"version": NaN}', "NaN is not a number that JSON allows"),
        ('{"version": 1, "version": 2}', 'the field "version" stands twice in one object'),
        ('{"version": 1e999}', "version: Infinity is not a whole number"),
        ('{"version": %s}' % ("9" * 5000), "not JSON: Exceeds the limit"),
        (b"\xff\xfe", "the text is not UTF-8"),
        ("[" * 100_000, "lists or objects are nested too deeply"),
        (" " * (4 * MAX_BYTES + 1), f"the text has {4 * MAX_BYTES + 1} bytes, at most {4 * MAX_BYTES} are allowed"),
    ],
)
def test_texts_that_are_no_scene(text: str | bytes, message: str) -> None:
    with pytest.raises(SceneError) as found:
        parse_scene(text)
    assert message in str(found.value)


def test_the_size_is_bounded() -> None:
    def polygon(n: int) -> list[list[float]]:
        return [[0.5 + 0.4 * cos(2 * pi * i / n), 0.5 + 0.4 * sin(2 * pi * i / n)] for i in range(n)]

    assert parse_scene({"zones": [{"name": "a", "points": polygon(64)}]}).zones
    assert "zones[0].points: has 65 items, at most 64" in wrong({"zones": [{"name": "desk", "points": polygon(65)}]})
    many = [{"name": f"z{i}", "points": TRIANGLE} for i in range(33)]
    assert "zones: has 33 items, at most 32" in wrong({"zones": many})
    assert "masks: has 33 items, at most 32" in wrong({"masks": many})
    assert "lines: has 33 items, at most 32" in wrong(
        {"lines": [{"name": f"l{i}", "a": [0, 0], "b": [1, 1]} for i in range(33)]}
    )
    assert "rules: has 65 items, at most 64" in wrong(
        {"rules": [{"name": f"r{i}", "kind": "silence"} for i in range(65)]}
    )
    full = [{"name": f"z{i}" + "x" * 29, "points": polygon(64)} for i in range(32)]
    masks = [{"name": f"m{i}" + "x" * 29, "points": polygon(64), "style": "pixelate"} for i in range(32)]
    with pytest.raises(SceneError, match=f"larger than {MAX_BYTES} bytes"):
        parse_scene({"zones": full, "masks": masks})


def test_lines_are_added_moved_and_reversed() -> None:
    one = Scene().with_line("door", (0.1, 0.5), (0.9, 0.5), forward="in", backward="out").with_line("b", (0, 0), (1, 1))
    moved = one.with_line("door", (0.2, 0.5), (0.8, 0.5))
    assert [x.name for x in moved.lines] == ["door", "b"]
    assert moved.line("door") == Line("door", (0.2, 0.5), (0.8, 0.5), "in", "out")
    assert moved.reversed_line("door").line("door") == Line("door", (0.8, 0.5), (0.2, 0.5), "in", "out")
    assert one.line("door").a == (0.1, 0.5)


def test_zones_masks_and_rules_are_added_and_replaced() -> None:
    one = Scene().with_zone("desk", [(0, 0), (1, 0), (1, 1)]).with_mask([(0, 0), (0.5, 0), (0.5, 0.5)], style="blur")
    two = one.with_zone("desk", [(0, 0), (0.5, 0), (0.5, 0.5)]).with_mask([(0, 0), (0.5, 0), (0.5, 0.5)])
    assert two.zone("desk").points[1] == (0.5, 0.0)
    assert [(mask.name, mask.style) for mask in two.masks] == [("mask-1", "blur"), ("mask-2", "black")]
    rule = DwellRule(name="waits", zone="desk", longer_than=60)
    assert two.with_rule(rule).with_rule(replace(rule, longer_than=90)).rules == (replace(rule, longer_than=90),)
    assert two.with_rule(rule).without_rule("waits").rules == ()


def test_edits_keep_the_version() -> None:
    assert scene().with_line("x", (0, 0), (0, 1)).without("x").renamed("gate", "exit").version == 12


def test_parts_are_removed() -> None:
    assert [x.name for x in scene().without("gate").lines] == ["door"]
    assert scene().without("window").masks == ()
    assert scene().without_rule("queue").without("desk").zones == ()


def test_renaming_follows_into_the_rules() -> None:
    renamed = scene().renamed("desk", "till").renamed("door", "entrance").renamed("window", "glass")
    assert [rule.to_dict().get("zone", rule.to_dict().get("line")) for rule in renamed.rules] == ["till", "entrance"]
    assert renamed.masks[0].name == "glass"
    assert scene().renamed("door", "door") == scene()


def test_directions_of_rules_are_kept_as_forward_and_backward() -> None:
    rule = CrossingsRule(name="r", line="door", direction="out")
    assert replace(scene(), rules=(rule,)).rules[0] == replace(rule, direction="backward")
    other_names = scene().with_rule(rule).with_line("door", (0, 0), (1, 1), forward="a", backward="b")
    assert other_names.rules[-1] == replace(rule, direction="backward")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.with_line("door", (0, 0), (0, 1.2)), 'line "door".b: y is 1.2, must be from 0 to 1'),
        (lambda s: s.with_line("door", (0, 0), (0,)), 'line "door".b: [0] is not a point'),
        (lambda s: s.with_line("desk", (0, 0), (0, 1)), 'zones[0].name: "desk" is the name of lines[2], too'),
        (lambda s: s.with_zone("new", [(0, 0), (1, 1)]), 'zone "new".points: a polygon needs at least 3 points'),
        (lambda s: s.with_mask([(0, 0), (1, 1)]), 'mask "mask-1".points: a polygon needs at least 3 points'),
        (lambda s: s.with_mask([(0, 0), (1, 1), (0, 1)], style="x"), 'mask "mask-1".style: "x" is unknown'),
        (lambda s: s.without("dor"), 'there is no line, zone or mask "dor"; did you mean "door"?'),
        (lambda s: Scene().without("a"), 'there is no line, zone or mask "a"; there are none'),
        (lambda s: s.without("desk"), '"desk" cannot be removed: the rule "queue" needs it; remove that first'),
        (lambda s: s.without("door"), '"door" cannot be removed: the rule "entry" needs it'),
        (lambda s: s.without_rule("q"), 'there is no rule "q"'),
        (lambda s: s.renamed("door", "desk"), '"door" cannot be renamed to "desk": that name is taken'),
        (lambda s: s.renamed("door", "a b"), 'name: "a b" is not a name'),
        (lambda s: s.renamed("nothing", "x"), 'there is no line, zone or mask "nothing"'),
        (lambda s: s.reversed_line("desk"), 'there is no line "desk"'),
        (lambda s: s.line("gat"), 'there is no line "gat"; did you mean "gate"?'),
        (lambda s: s.zone("gate"), 'there is no zone "gate"'),
        (lambda s: s.with_rule(DwellRule(name="x", zone="no", longer_than=1)), 'rules[2].zone: there is no zone "no"'),
    ],
)
def test_edits_that_cannot_be(edit: Any, message: str) -> None:
    with pytest.raises(SceneError) as found:
        edit(scene())
    assert message in str(found.value)


def test_every_kind_of_rule_goes_through_json() -> None:
    full = scene().with_rule(SilenceRule(name="s", after=20)).with_rule(DwellRule(name="d", zone="desk", longer_than=5))
    assert parse_scene(full.to_json()) == full


def test_damaged_scenes_are_refused_with_a_scene_error_and_nothing_else() -> None:
    """A seeded fuzzer: values anywhere in the scene are replaced by nonsense."""
    rng = random.Random(20)
    nonsense: list[Any] = [
        None,
        True,
        -1,
        0,
        1e308,
        2**70,
        "",
        "x" * 99,
        [],
        {},
        [[]],
        [0.5, 0.5],
        {"a": 1},
        "forward",
        0.5,
    ]
    refused = 0
    for _ in range(3000):
        damaged = json.loads(json.dumps(FULL))
        for _ in range(rng.randint(1, 2)):
            node: Any = damaged
            while True:
                keys = list(node) if isinstance(node, dict) else list(range(len(node)))
                if not keys:
                    break
                key = rng.choice(keys)
                if not isinstance(node[key], dict | list) or rng.random() < 0.3:
                    node[key] = rng.choice(nonsense)
                    break
                node = node[key]
        try:
            parsed = parse_scene(damaged)
        except SceneError:
            refused += 1
        else:
            assert parse_scene(parsed.to_json()) == parsed
    assert 1000 < refused < 3000
