"""Reading the YAML file that describes several cameras; its errors name the line.

Names and numbers are taken as they are written. YAML 1.1 would read the camera ids `010` and `12:30` as the numbers 8
and 750.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import yaml

from rededge_nb import schema, settings
from rededge_nb.analytics.scene import Scene, parse_scene
from rededge_nb.capture.options import OPTIONS, CaptureOptions, Option
from rededge_nb.capture.sources import synthetic
from rededge_nb.capture.sources.address import Address, is_address
from rededge_nb.capture.sources.certificates import is_fingerprint
from rededge_nb.errors import ConfigurationError, SceneError, SourceError
from rededge_nb.yaml_files import loader_of

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_FOREIGN_PLACEHOLDER = re.compile(r"\$(?:[A-Za-z_{(]|\$)")
"""What shells and other programs would replace, and this one does not."""
_STANDARD_TAGS = "tag:yaml.org,2002:"
_SCALAR_TAGS = tuple(_STANDARD_TAGS + name for name in ("str", "int", "float", "bool", "timestamp"))
_OPTIONS = tuple(each for each in OPTIONS if each.name not in ("camera", "wait"))
"""Fields of a camera besides `id` and `source`. Cameras of a file are always waited for."""


@dataclass(frozen=True)
class CameraConfig:
    """One camera of the file.

    Attributes:
        camera: Camera id.
        source: What `open_source` takes, with its variables filled in; may hold a password.
        shown: The source for people, without credentials.
        options: Options of `start_capture`, `camera` among them.
        scene: Lines, zones and masks; None leaves those that are stored.
    """

    camera: str
    source: str | int = field(repr=False)
    shown: str
    options: CaptureOptions
    scene: Scene | None = None


def read_cameras(path: str | Path) -> list[CameraConfig]:
    """The cameras of a file, in its order.

    Raises:
        ConfigurationError: the file cannot be read, or has a mistake; the message names file, line and field.
    """
    path = Path(path).expanduser()
    try:
        loader = loader_of(path)
        root = loader.get_single_node()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the cameras in {path}: {getattr(error, 'strerror', error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        # Not chained, and only in part: it quotes the line, which may hold a password.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{path}{where}: this is not YAML ({problem or type(error).__name__})") from None
    return _File(path, loader).cameras(root)


class _File:
    """Turns nodes, which know their lines, into cameras."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path = path
        self._loader = loader

    def cameras(self, root: yaml.Node | None) -> list[CameraConfig]:
        listed = root
        if isinstance(root, yaml.MappingNode):
            entries = self._entries(root, {"cameras"}, "the file")
            listed = entries.get("cameras")
        if not isinstance(listed, yaml.SequenceNode) or not listed.value:
            self._refuse(listed or root, "there are no cameras: take a list `cameras:` with `id` and `source` for each")
        cameras: list[CameraConfig] = []
        lines: dict[str, int] = {}
        for node in listed.value:
            camera = self._camera(node)
            if camera.camera in lines:
                self._refuse(
                    node, f"camera {camera.camera!r} is in line {lines[camera.camera]} already: take another id"
                )
            lines[camera.camera] = _line(node)
            cameras.append(camera)
        return cameras

    def _camera(self, node: yaml.Node) -> CameraConfig:
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, "a camera is written as `id: …` and `source: …`, one in a line")
        entries = self._entries(node, {"id", "source", "scene", *(each.name for each in _OPTIONS)}, "a camera")
        for name in ("id", "source"):
            if name not in entries:
                self._refuse(node, f"the camera has no `{name}`: every camera needs `id` and `source`")
        camera = self._text("id", entries["id"], "a name or a number")
        try:
            schema.camera_id(camera)
        except ConfigurationError as error:
            self._refuse(entries["id"], str(error))
        options: CaptureOptions = {}
        for option in _OPTIONS:
            if option.name in entries:
                chosen: Any = {option.name: self._option_value(option, entries[option.name])}
                options.update(chosen)
        options.update({"camera": camera, "wait": True})
        source, shown = self._source(entries["source"])
        return CameraConfig(camera, source, shown, options, self._scene(entries.get("scene")))

    def _scene(self, node: yaml.Node | None) -> Scene | None:
        if node is None:
            return None
        try:
            return parse_scene(self._loader.construct_object(node, deep=True))
        except SceneError as error:
            self._refuse(node, f"the `scene` is wrong: {error}")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self._refuse(node, f"the `scene` cannot be read: {getattr(error, 'problem', error)}")

    def _option_value(self, option: Option, node: yaml.Node) -> Any:
        value: Any
        match option.kind:
            case "number" | "whole number":
                value = self._number(option, node)
            case "switch":
                value = self._switch(option, node)
            case "size" if isinstance(node, yaml.SequenceNode):
                value = tuple(self._text(option.name, each, option.expected) for each in node.value)
                value = tuple(int(side) if side.isdigit() else side for side in value)
            case _:
                value = self._text(option.name, node, option.expected)
        if option.name == "certificate" and not is_fingerprint(value):
            value = str(self._path.parent / Path(value).expanduser())
        try:
            option.check(value)
        except ConfigurationError as error:
            self._refuse(node, str(error))
        return value

    def _source(self, node: yaml.Node) -> tuple[str | int, str]:
        source = self._text("source", node, "a path, an address or the number of a webcam")
        if source.isdecimal():
            return int(source), f"webcam {int(source)}"
        source = self._with_variables(source, node)
        if is_address(source):
            try:
                return source, Address.parse(source).shown
            except SourceError as error:
                # not chained: the traceback of the cause would show nothing new
                self._refuse(node, str(error))
        if source.startswith(synthetic.PREFIX):
            try:
                synthetic.DrawnScene.parse(source)
            except ConfigurationError as error:
                self._refuse(node, str(error))
            return source, source
        path = self._path.parent / Path(source).expanduser()
        return str(path), str(path)

    def _with_variables(self, text: str, node: yaml.Node) -> str:
        """The text with its `${NAME}` filled in; before the `@` of an address they are percent-encoded."""
        if _FOREIGN_PLACEHOLDER.search(_VARIABLE.sub("", text)) and not (self._path.parent / text).exists():
            self._refuse(
                node,
                "`source` has a placeholder that is not known here: take ${NAME}, which stands for the value of the "
                "environment's variable NAME, and write a $ that is meant as it stands as %24 (in an address)",
            )
        before, at, after = text.rpartition("@") if is_address(text) else ("", "", text)

        def value(found: re.Match[str], encode: Callable[[str], str]) -> str:
            known = settings.environment_value(found[1])
            if known is None:
                self._refuse(node, f"`source` refers to ${{{found[1]}}}, which the environment does not have: set it")
            return encode(known)

        filled = _VARIABLE.sub(lambda found: value(found, lambda known: quote(known, safe="")), before)
        return filled + at + _VARIABLE.sub(lambda found: value(found, str), after)

    def _entries(self, node: yaml.MappingNode, known: set[str], what: str) -> dict[str, yaml.Node]:
        """The fields of a mapping."""
        entries: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                self._refuse(key, f"{what} has no field `{name}`: take {', '.join(sorted(known))}")
            if name in entries:
                self._refuse(key, f"`{name}` is there twice: remove one")
            entries[name] = value
        return entries

    def _text(self, name: str, node: yaml.Node, expected: str) -> str:
        """A value as it is written."""
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALAR_TAGS:
            found = "" if node.tag.startswith(_STANDARD_TAGS) else f" (the tag {node.tag} is not known)"
            self._refuse(node, f"`{name}` must be {expected}{found}")
        return str(node.value)

    def _number(self, option: Option, node: yaml.Node) -> float:
        text = self._text(option.name, node, option.expected).replace("_", "")
        quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
        try:
            if quoted:
                raise ValueError
            if re.fullmatch(r"[-+]?[0-9]+", text):
                return int(text)
            return float(re.sub(r"(?i)^([-+]?)\.(nan|inf)$", r"\1\2", text))
        except ValueError:
            self._refuse(node, f"`{option.name}` must be {option.expected}")

    def _switch(self, option: Option, node: yaml.Node) -> bool:
        text = self._text(option.name, node, option.expected)
        if node.tag != _STANDARD_TAGS + "bool":
            self._refuse(node, f"`{option.name}` must be {option.expected}")
        return bool(self._loader.bool_values[text.lower()])

    def _refuse(self, node: yaml.Node | None, words: str) -> NoReturn:
        where = "" if node is None else f" line {_line(node)}"
        raise ConfigurationError(f"{self._path}{where}: {words}") from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
