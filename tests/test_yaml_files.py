"""YAML files that would take the memory or the time of whoever reads them are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rededge_nb import assets
from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.control.models import load_card
from rededge_nb.errors import ConfigurationError, ModelCardError
from rededge_nb.yaml_files import MAX_BYTES, read_yaml

LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


def written(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text)
    return path


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: [1, x]\nb: &unused {c: 2.5}\n")) == {"a": [1, "x"], "b": {"c": 2.5}}


@pytest.mark.parametrize("text", [LAUGHS, "a: &a x\nb: *a\n", "- &a [*a]\n", "a: &a {b: c}\nd: {<<: *a}\n"])
def test_references_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="are not allowed: repeat the value"):
        read_yaml(written(tmp_path, text))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    assert len(read_yaml(written(tmp_path, "x" * MAX_BYTES))) == MAX_BYTES
    with pytest.raises(ValueError, match="it has more than 100000 bytes"):
        read_yaml(written(tmp_path, "x" * (MAX_BYTES + 1)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: nanodet-g-416", "name: [nanodet-g-416]"),
        ("name: nanodet-g-416", "name: {a: b}"),
        ("name: nanodet-g-416", "name: true"),
        ("name: nanodet-g-416", "name:"),
        ("name: nanodet-g-416", f"{LAUGHS}name: *i"),
        ("name: nanodet-g-416", f"name: x\nmore: {'x' * MAX_BYTES}"),
        ("name: nanodet-g-416", f"name: {'[' * 5000}"),
    ],
)
def test_a_model_card_with_such_values_is_refused(tmp_path: Path, old: str, new: str) -> None:
    text = assets.model_card_file("nanodet-g-416").read_text()
    assert old in text
    with pytest.raises(ModelCardError) as caught:
        load_card(written(tmp_path, text.replace(old, new, 1)))
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("text", [LAUGHS, f"cameras: {'x' * MAX_BYTES}", "- id: &a a\n  source: *a\n"])
def test_a_file_of_cameras_with_such_values_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"are not allowed|more than 100000 bytes"):
        read_cameras(written(tmp_path, text))
