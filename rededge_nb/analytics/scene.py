"""The scene of a camera: lines, zones, masks and rules, stored as JSON at `camera:<id>:scene`.

    {"format": 1, "version": 12,
     "lines": [{"name": "door", "a": [0.1, 0.5], "b": [0.9, 0.5], "forward": "in", "backward": "out"}],
     "zones": [{"name": "desk", "points": [[0.2, 0.2], [0.6, 0.2], [0.6, 0.7]]}],
     "masks": [{"name": "window", "points": [[0, 0], [0.2, 0], [0.2, 0.1]], "style": "blur"}],
     "boxes_only": false,
     "rules": [{"name": "queue", "kind": "occupancy", "zone": "desk", "at_least": 6, "lasting": 30}]}

Coordinates are from 0 to 1 of the frame's width and height, so that a scene stays right when the resolution changes;
y grows downwards. They are kept with five decimals: a hundredth of a pixel of a frame 1000 pixels wide.

A scene is a value: the methods return a changed copy. `version` counts the edits of a camera's scene, so that two
editors notice each other; whoever saves a scene increases it, nothing here does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from rededge_nb.analytics.fields import (
    Fields,
    at,
    check_choice,
    check_flag,
    check_integer,
    check_items,
    check_name,
    check_number,
    nearest,
    parse_json,
    plain_number,
    shown,
)
from rededge_nb.analytics.geometry import Point, polygon_problem, segment_problem
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule, Rule, check_rule_names, parse_rules
from rededge_nb.errors import SceneError

__all__ = ["Line", "Mask", "Scene", "SceneError", "Zone", "parse_scene"]

FORMAT: Final = 1
"""Number of the schema. It increases when a reader of the earlier schema could misunderstand a scene."""
MAX_BYTES: Final = 65_536
"""Largest scene, as `Scene.to_json()` writes it. A text that is read may have four times as many, for its spaces."""
MAX_LINES: Final = 32
MAX_ZONES: Final = 32
MAX_MASKS: Final = 32
MAX_POINTS: Final = 64
_MAX_VERSION: Final = 2**53  # the largest range of whole numbers that JavaScript keeps exactly

MASK_STYLES: Final = ("black", "blur", "pixelate")


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasName)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that people cross: the segment from `a` to `b`.

    Attributes:
        name: Unique among lines, zones and masks.
        a: The start, `(x, y)`.
        b: The end.
        forward: What users call the direction from the left side to the right side. Left is the left hand of somebody
            who walks from `a` to `b` over the image as over a map: for a line drawn from left to right, forward is
            downwards; for a line drawn from top to bottom, forward is from right to left.
        backward: What users call the other direction.
    """

    name: str
    a: Point
    b: Point
    forward: str = "forward"
    backward: str = "backward"

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "a", _point(self.a, "a"))
        object.__setattr__(self, "b", _point(self.b, "b"))
        if problem := segment_problem(self.a, self.b):
            raise SceneError("", f"the line {problem}")
        check_name(self.forward, "forward")
        check_name(self.backward, "backward")
        if self.forward == self.backward:
            raise SceneError("backward", f'"{self.backward}" is the name of the other direction, too')
        if self.forward == "backward" or self.backward == "forward":
            raise SceneError("forward", 'the names "forward" and "backward" are exchanged: reverse the line instead')


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the frame in which people are counted.

    Attributes:
        name: Unique among lines, zones and masks.
        points: The corners in order, at least 3; the polygon may be concave and is closed by itself.
    """

    name: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "points", _polygon(self.points))


@dataclass(frozen=True, slots=True)
class Mask:
    """A part of the frame that is never stored.

    Attributes:
        name: Unique among lines, zones and masks.
        points: The corners, as in a `Zone`.
        style: What is shown instead: "black", "blur" or "pixelate".
    """

    name: str
    points: tuple[Point, ...]
    style: str = "black"

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "points", _polygon(self.points))
        check_choice(self.style, "style", MASK_STYLES)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is drawn over a camera's frames.

    Attributes:
        version: How often the camera's scene was edited; 0 is a camera without a scene.
        lines: In the order in which they are shown.
        zones: In the order in which they are shown; they may overlap.
        masks: In the order in which they are applied.
        boxes_only: Whether no image of the camera is stored at all.
        rules: The rules for alarms.

    Raises:
        SceneError: Two parts have the same name, a rule names a line or zone that does not exist, or there are too
            many of something.
    """

    version: int = 0
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    masks: tuple[Mask, ...] = ()
    boxes_only: bool = False
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        check_integer(self.version, "version", 0, _MAX_VERSION)
        check_flag(self.boxes_only, "boxes_only")
        seen: dict[str, str] = {}
        for part, limit in (("lines", MAX_LINES), ("zones", MAX_ZONES), ("masks", MAX_MASKS)):
            items: tuple[_HasName, ...] = tuple(getattr(self, part))
            check_items(items, part, limit)
            object.__setattr__(self, part, items)
            for i, item in enumerate(items):
                if item.name in seen:
                    raise SceneError(f"{part}[{i}].name", f'"{item.name}" is the name of {seen[item.name]}, too')
                seen[item.name] = f"{part}[{i}]"
        with at("rules"):
            check_rule_names(self.rules)
        object.__setattr__(self, "rules", tuple(_resolved(rule, i, self) for i, rule in enumerate(self.rules)))
        if len(self.to_json().encode()) > MAX_BYTES:
            raise SceneError("", f"the scene is larger than {MAX_BYTES} bytes of JSON")

    def __contains__(self, name: str) -> bool:
        return name in self._names()

    def _names(self) -> list[str]:
        items: tuple[_HasName, ...] = (*self.lines, *self.zones, *self.masks)
        return [item.name for item in items]

    def line(self, name: str) -> Line:
        """The line of that name.

        Raises:
            SceneError: There is none.
        """
        return _named(self.lines, name, "line")

    def zone(self, name: str) -> Zone:
        """The zone of that name.

        Raises:
            SceneError: There is none.
        """
        return _named(self.zones, name, "zone")

    def with_line(
        self, name: str, a: Point, b: Point, *, forward: str | None = None, backward: str | None = None
    ) -> Scene:
        """The scene with one more line, or with the line of that name moved; that keeps the names of its directions."""
        old = next((line for line in self.lines if line.name == name), None)
        forward = forward or (old.forward if old else "forward")
        backward = backward or (old.backward if old else "backward")
        with at(f"line {shown(name)}"):
            line = Line(name, a, b, forward, backward)
        return replace(self, lines=_put(self.lines, line))

    def with_zone(self, name: str, points: Sequence[Point]) -> Scene:
        """The scene with one more zone, or with the zone of that name replaced."""
        with at(f"zone {shown(name)}"):
            zone = Zone(name, tuple(points))
        return replace(self, zones=_put(self.zones, zone))

    def with_mask(self, points: Sequence[Point], *, style: str = "black", name: str | None = None) -> Scene:
        """The scene with one more mask, or with the mask of that name replaced.

        A mask without a name is called `mask-<n>`.
        """
        name = _free_mask_name(self._names()) if name is None else name
        with at(f"mask {shown(name)}"):
            mask = Mask(name, tuple(points), style)
        return replace(self, masks=_put(self.masks, mask))

    def with_rule(self, rule: Rule) -> Scene:
        """The scene with one more rule, or with the rule of that name replaced."""
        return replace(self, rules=_put(self.rules, rule))

    def without(self, name: str) -> Scene:
        """The scene without the line, zone or mask of that name.

        Raises:
            SceneError: There is none, or a rule needs it.
        """
        self._check_there(name)
        for rule in self.rules:
            if name in (getattr(rule, "line", None), getattr(rule, "zone", None)):
                raise SceneError("", f'"{name}" cannot be removed: the rule "{rule.name}" needs it; remove that first')
        return self._mapped(lambda item: None if item.name == name else item)

    def without_rule(self, name: str) -> Scene:
        """The scene without the rule of that name.

        Raises:
            SceneError: There is none.
        """
        _named(self.rules, name, "rule")
        return replace(self, rules=tuple(rule for rule in self.rules if rule.name != name))

    def renamed(self, old: str, new: str) -> Scene:
        """The scene in which a line, zone or mask, and the rules about it, have the new name.

        Raises:
            SceneError: There is no `old`, or `new` is not a name or is taken.
        """
        self._check_there(old)
        check_name(new)
        if new != old and new in self:
            raise SceneError("", f'"{old}" cannot be renamed to "{new}": that name is taken')
        rules: list[Rule] = []
        for rule in self.rules:
            if isinstance(rule, CrossingsRule) and rule.line == old:
                rules.append(replace(rule, line=new))
            elif isinstance(rule, DwellRule | OccupancyRule) and rule.zone == old:
                rules.append(replace(rule, zone=new))
            else:
                rules.append(rule)
        return self._mapped(lambda item: replace(item, name=new) if item.name == old else item, tuple(rules))

    def reversed_line(self, name: str) -> Scene:
        """The scene in which the line goes the other way: who went forward goes backward now.

        The names of the directions stay with forward and backward, so that "in" changes its side, too.
        """
        line = self.line(name)
        return replace(self, lines=_put(self.lines, replace(line, a=line.b, b=line.a)))

    def to_dict(self) -> dict[str, Any]:
        """The scene as `parse_scene` reads it."""
        return {
            "format": FORMAT,
            "version": self.version,
            "lines": [
                {"name": x.name, "a": _plain(x.a), "b": _plain(x.b), "forward": x.forward, "backward": x.backward}
                for x in self.lines
            ],
            "zones": [{"name": x.name, "points": [_plain(p) for p in x.points]} for x in self.zones],
            "masks": [{"name": x.name, "points": [_plain(p) for p in x.points], "style": x.style} for x in self.masks],
            "boxes_only": self.boxes_only,
            "rules": [rule.to_dict() for rule in self.rules],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """The scene as JSON text, on one line unless `indent` is given."""
        return json.dumps(self.to_dict(), indent=indent, separators=(",", ":") if indent is None else None)

    def _check_there(self, name: str) -> None:
        if name not in self:
            raise SceneError("", f"there is no line, zone or mask {shown(name)}; {nearest(name, self._names())}")

    def _mapped(self, change: Callable[[Any], Any], rules: tuple[Rule, ...] | None = None) -> Scene:
        """The scene with each line, zone and mask changed; None removes it."""
        parts: dict[str, Any] = {
            part: tuple(new for item in getattr(self, part) if (new := change(item)) is not None)
            for part in ("lines", "zones", "masks")
        }
        return replace(self, **parts, rules=self.rules if rules is None else rules)


def parse_scene(source: str | bytes | Mapping[str, object]) -> Scene:
    """A scene from its JSON text, or from the dictionary of such a text.

    Args:
        source: JSON text, or what a JSON or YAML reader made of it.

    Raises:
        SceneError: Something is wrong; `field` says where, as `zones[1].points[2]`.
    """
    value = parse_json(source, 4 * MAX_BYTES) if isinstance(source, str | bytes) else source
    fields = Fields(value, ("format", "version", "lines", "zones", "masks", "boxes_only", "rules"))
    number = check_integer(fields.get("format", FORMAT), "format", 1, _MAX_VERSION)
    if number > FORMAT:
        raise SceneError("format", f"is {number}; this version of rededge_nb knows 1 to {FORMAT}: update it")
    lines = _parse_items(fields, "lines", MAX_LINES, _parse_line)
    zones = _parse_items(fields, "zones", MAX_ZONES, _parse_zone)
    taken = [*(line.name for line in lines), *(zone.name for zone in zones), *_names_of_masks(fields)]
    masks = _parse_items(fields, "masks", MAX_MASKS, lambda value: _parse_mask(value, taken))
    with at("rules"):
        rules = parse_rules(fields.get("rules", []))
    return Scene(
        version=check_integer(fields.get("version", 0), "version", 0, _MAX_VERSION),
        lines=lines,
        zones=zones,
        masks=masks,
        boxes_only=check_flag(fields.get("boxes_only", False), "boxes_only"),
        rules=rules,
    )


def _parse_items(fields: Fields, part: str, limit: int, parse: Callable[[object], _Item]) -> tuple[_Item, ...]:
    found = []
    for i, item in enumerate(check_items(fields.get(part, []), part, limit)):
        with at(f"{part}[{i}]"):
            found.append(parse(item))
    return tuple(found)


def _names_of_masks(fields: Fields) -> list[str]:
    masks = check_items(fields.get("masks", []), "masks", MAX_MASKS)
    return [str(mask["name"]) for mask in masks if isinstance(mask, Mapping) and "name" in mask]


def _parse_line(value: object) -> Line:
    fields = Fields(value, ("name", "a", "b", "forward", "backward"))
    name, a, b = check_name(fields.get("name")), _point(fields.get("a"), "a"), _point(fields.get("b"), "b")
    forward = check_name(fields.get("forward", "forward"), "forward")
    return Line(name, a, b, forward, check_name(fields.get("backward", "backward"), "backward"))


def _parse_zone(value: object) -> Zone:
    fields = Fields(value, ("name", "points"))
    return Zone(check_name(fields.get("name")), _polygon(fields.get("points")))


def _parse_mask(value: object, taken: list[str]) -> Mask:
    """A mask; one without a name gets a name that is not in `taken`, which grows by it."""
    fields = Fields(value, ("name", "points", "style"))
    if "name" in fields:
        name = check_name(fields.get("name"))
    else:
        name = _free_mask_name(taken)
        taken.append(name)
    points = _polygon(fields.get("points"))
    return Mask(name, points, check_choice(fields.get("style", "black"), "style", MASK_STYLES))


def _point(value: object, field: str) -> Point:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise SceneError(field, f"{shown(value)} is not a point: [x, y], both from 0 to 1")
    for axis, number in zip("xy", value, strict=True):
        try:
            check_number(number, field, 0, 1)
        except SceneError as error:
            raise SceneError(field, f"{axis} {error.problem}") from None
    return round(float(value[0]), 5), round(float(value[1]), 5)


def _polygon(value: object) -> tuple[Point, ...]:
    items = check_items(value, "points", MAX_POINTS)
    points = tuple(_point(item, f"points[{i}]") for i, item in enumerate(items))
    if problem := polygon_problem(points):
        raise SceneError("points", problem)
    return points


def _plain(point: Point) -> list[float | int]:
    return [plain_number(value) for value in point]


def _named(items: Sequence[_Item], name: str, what: str) -> _Item:
    for item in items:
        if item.name == name:
            return item
    names = [item.name for item in items]
    raise SceneError("", f"there is no {what} {shown(name)}; {nearest(name, names)}")


def _put(items: tuple[_Item, ...], item: _Item) -> tuple[_Item, ...]:
    """The items with `item` in the place of the one that has its name, or at the end."""
    names = [x.name for x in items]
    name = item.name
    if name not in names:
        return (*items, item)
    return tuple(item if x == name else old for x, old in zip(names, items, strict=True))


def _free_mask_name(taken: Sequence[str]) -> str:
    return next(name for i in range(1, len(taken) + 2) if (name := f"mask-{i}") not in taken)


def _resolved(rule: Rule, index: int, scene: Scene) -> Rule:
    """The rule with its direction as "forward" or "backward", once its line or zone is known to exist."""
    with at(f"rules[{index}]"):
        if isinstance(rule, OccupancyRule | DwellRule):
            with at("zone"):
                scene.zone(rule.zone)
        if not isinstance(rule, CrossingsRule):
            return rule
        with at("line"):
            line = scene.line(rule.line)
        if rule.direction in (None, "forward", "backward"):
            return rule
        choices = (line.forward, line.backward)
        check_choice(rule.direction, "direction", choices)
        return replace(rule, direction="forward" if rule.direction == line.forward else "backward")
