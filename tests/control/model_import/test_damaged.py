"""Damaged, hostile and unrelated files: a clear error for each, bounded memory, no file outside the folder is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from benchmarks.import_fuzz import damaged_files, outcome
from rededge_nb.control.model_import import import_model, isolated
from rededge_nb.control.model_import.reading import read_model
from rededge_nb.errors import ModelImportError
from tests.control.model_import import toys

SECRET = b"secret weights" * 100


def with_weights_at(location: str, *, offset: str = "0", length: str = "16") -> bytes:
    model = toys.toy_model(toys.yolov8)
    tensor = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    model.graph.initializer.append(tensor)
    blob: bytes = model.SerializeToString()
    return blob


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "/etc/hostname",
        "..\\secret",
        "C:\\secret",
        "folder/../../secret",
        "link",
        "folder/link",
        "",
        "\0",
        ".",
    ],
)
def test_weights_outside_of_the_folder_are_not_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "models"
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder" / "link").symlink_to(tmp_path / "secret")
    (folder / "toy.onnx").write_bytes(with_weights_at(location))
    with pytest.raises(ModelImportError, match=r"asks for weights in|which is not beside it"):
        read_model(folder / "toy.onnx")


def test_a_device_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "toy.onnx").write_bytes(with_weights_at("pipe"))
    with pytest.raises(ModelImportError, match="'pipe', which is not beside it"):
        read_model(tmp_path / "toy.onnx")
    with pytest.raises(ModelImportError, match="pipe is not a file"):
        read_model(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        ("0", "17", "need 16 bytes; the file says 17 at 0"),
        ("-8", "16", "the file says 16 at -8"),
        ("many", "16", "the place of the weights 'outside' is not a number"),
        ("8", "16", "weights.bin is too short for the weights of toy.onnx"),
    ],
)
def test_weights_with_a_wrong_place_are_refused(offset: str, length: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    (tmp_path / "toy.onnx").write_bytes(with_weights_at("weights.bin", offset=offset, length=length))
    with pytest.raises(ModelImportError, match=message):
        read_model(tmp_path / "toy.onnx")


def constant_outside() -> bytes:
    model = toys.toy_model(toys.yolov8)
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/hostname")
    model.graph.node.append(helper.make_node("Constant", [], ["outside"], value=tensor))
    blob: bytes = model.SerializeToString()
    return blob


def no_image() -> bytes:
    model = toys.toy_model(toys.yolov8)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    blob: bytes = model.SerializeToString()
    return blob


def old() -> bytes:
    model = toys.toy_model(toys.yolov8)
    model.opset_import[0].version = 9
    blob: bytes = model.SerializeToString()
    return blob


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "it is empty"),
        (lambda: b"PK\x03\x04" + bytes(100), "it is a PyTorch or other zip file: export it to ONNX first"),
        (lambda: b"<!DOCTYPE html>", "it is a web page or XML"),
        (lambda: bytes(4) + b"TFL3" + bytes(100), "TensorFlow Lite file: convert it with tf2onnx"),
        (lambda: b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (lambda: ModelProto().SerializeToString(), "it is empty"),
        (constant_outside, "has constants in other files"),
        (no_image, r"no input of the model can be an image.*inputs: images float \[1, 7, 320, 320\]"),
        (old, "uses opset 9: export it with opset 11"),
    ],
)
def test_what_a_file_is_instead_of_a_model(content: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    from rededge_nb.control.model_import.facts import image_input

    (tmp_path / "toy.onnx").write_bytes(content())
    with pytest.raises(ModelImportError, match=message):
        image_input(read_model(tmp_path / "toy.onnx"))


def test_a_model_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    def head(toy: toys.Toy, box: list[str]) -> None:
        sides = toy.node("Mul", [toy.node("Shape", [box[0]]), toy.constant([1, 80_000, 20_000], np.int64)])
        toy.output("output", toy.node("ConstantOfShape", [sides]), ["a", "b", "c"])

    onnx.save(toys.toy_model(head), tmp_path / "large.onnx")
    with pytest.raises(ModelImportError, match=r"(?i)large\.onnx.*(memory|alloc)"):
        import_model(tmp_path / "large.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["large.onnx"]


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ModelImportError, match=r"x\.onnx cannot be imported: the process .* killed by the signal SIGSEGV"
    ):
        isolated.read_result(tmp_path / "x.onnx", tmp_path, -11)


def test_damaged_and_unrelated_files_give_an_error_each(tmp_path: Path) -> None:
    outcomes = [outcome(blob, tmp_path) for blob in damaged_files(20, seed=1)]
    assert not [each for each in outcomes if each.problem]
    assert sum(each.refused for each in outcomes) >= 15
    assert len({each.message for each in outcomes}) >= 8, "specific messages"
