"""The options of a capture are declared once: everything that lists them agrees with the declarations."""

from __future__ import annotations

import re
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.capture.options import OPTIONS, CaptureOptions, Option, Settings, settings_of
from rededge_nb.capture.sources import open_source
from rededge_nb.cli import main
from rededge_nb.errors import ConfigurationError
from tests.paths import TOP

EXAMPLES: dict[str, tuple[Any, Any]] = {
    "camera id": ("door", "a:b"),
    "number": (1.5, -1),
    "whole number": (3, 1.5),
    "switch": (True, 5),
    "size": ("640x480", "large"),
    "text": ("camera.pem", 5),
    "time": ("2026-01-05T10:00:00Z", "noon"),
}
"""A value of each kind, and one that is refused."""


def example(option: Option, *, good: bool) -> Any:
    if option.choices:
        return option.choices[-1] if good else "none of them"
    return EXAMPLES[option.kind][0 if good else 1]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_takes_what_it_should_and_names_what_it_does_not(option: Option) -> None:
    good: Any = {option.name: example(option, good=True)}
    assert getattr(settings_of(good), option.name) == good[option.name]
    bad: Any = {option.name: example(option, good=False)}
    with pytest.raises(ConfigurationError, match=option.name.split("_")[0]):
        settings_of(bad)


def test_defaults_are_valid_and_may_be_given() -> None:
    assert settings_of({option.name: option.default for option in OPTIONS}) == Settings()  # type: ignore[misc]


def test_an_unknown_option_is_refused() -> None:
    unknown: Any = {"qualty": 5}
    with pytest.raises(ConfigurationError, match="a capture has no option 'qualty': take camera, fps, "):
        settings_of(unknown)


def test_the_typed_dictionary_has_the_same_names_and_types() -> None:
    declared = {each.name: each.type for each in fields(Settings)}
    typed = dict(CaptureOptions.__annotations__)
    assert typed.pop("progress")
    # a camera id may be given as a number, too
    assert typed.pop("camera") == typing.ForwardRef("object", module=CaptureOptions.__module__)
    declared.pop("camera")
    assert list(declared) == list(typed)
    assert declared == {name: reference.__forward_arg__ for name, reference in typed.items()}


def test_open_source_takes_the_options_that_say_so() -> None:
    assert set(Settings().opening) == set(typing.get_type_hints(open_source)) - {"source", "stop", "return"}


def test_the_command_line_has_every_option() -> None:
    command = main.commands["capture"]
    shown = {each.name: each for each in command.params if isinstance(each, click.Option)}
    context = click.Context(command)
    for option in OPTIONS:
        assert shown[option.name].help == option.help
        assert (shown[option.name].get_default(context) or None) == (option.default or None)


def test_a_camera_of_a_file_has_every_option(tmp_path: Path) -> None:
    def read(option: Option, value: Any) -> Any:
        text = str(value).lower() if isinstance(value, bool) else value
        path = tmp_path / "cameras.yaml"
        path.write_text(f"- id: a\n  source: 0\n  {option.name}: {text}\n")
        (camera,) = read_cameras(path)
        found = camera.options[option.name]  # type: ignore[literal-required]
        return Path(found).name if option.name == "certificate" else found

    for option in OPTIONS:
        if option.name in ("camera", "wait"):  # the first is `id` there, and the second is always on
            continue
        assert read(option, example(option, good=True)) == example(option, good=True)
        bad = "[1]" if option.kind == "text" else example(option, good=False)
        with pytest.raises(ConfigurationError, match=rf"cameras\.yaml line 3: .*{option.name}"):
            read(option, bad)


def as_markdown() -> str:
    """The table of options in the documentation."""
    rows = ["| option | value | default | meaning |", "| --- | --- | --- | --- |"]
    for option in OPTIONS:
        value = option.expected.replace(", such as", ":") if option.kind != "switch" else ""
        default = "" if option.default in (None, False) else f"`{option.default}`"
        rows.append(f"| `--{option.name.replace('_', '-')}` | {value} | {default} | {option.help} |")
    return "\n".join(rows)


def test_the_documentation_lists_every_option() -> None:
    page = (TOP / "docs" / "how-to" / "own-camera.md").read_text()
    [table] = re.findall(r"\| option \| value .*?(?=\n\n|\Z)", page, re.DOTALL)
    assert table.strip() == as_markdown()


if __name__ == "__main__":
    print(as_markdown())
