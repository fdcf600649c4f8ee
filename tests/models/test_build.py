"""The models that are committed are those that the script builds from the source's weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from tests.models.detector import MODELS, Detector, card_of, sample_frame

pytest.importorskip("onnx", reason="pip install 'rededge_nb[dev]'")

import onnx
from onnx import numpy_helper

from models import build

BUILT = sorted(build.MODELS)
LARGEST = 10_000_000
"""Bytes of a file that may be committed."""


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", BUILT)
def test_the_script_builds_the_committed_model(name: str) -> None:
    assert build.build(name) == onnx.load(MODELS / f"{name}.onnx")


@pytest.mark.parametrize("name", BUILT)
def test_the_card_describes_its_file(name: str) -> None:
    card, path = card_of(name), MODELS / f"{name}.onnx"
    blob = path.read_bytes()
    assert (card["name"], card["file"]) == (name, path.name)
    assert hashlib.sha256(blob).hexdigest() == card["sha256"]
    assert len(blob) < LARGEST
    (described,), outputs = Detector(name).session.get_inputs(), Detector(name).session.get_outputs()
    assert (described.name, described.type, described.shape) == (
        card["input"]["name"],
        "tensor(uint8)",
        ["N", "height", "width", 3],
    )
    assert {output.name: output.type for output in outputs} == dict.fromkeys(card["outputs"], "tensor(float)")
    assert card["classes"][card["counting"]["class_id"]] == "person"
    assert card["tracking"]["low"] < card["tracking"]["high"] < card["tracking"]["new"]


def test_the_command_line_writes_the_model_that_is_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, str(MODELS / "build.py"), "--output", str(tmp_path)]
    done = subprocess.run([*command, "nanodet-g-two-sizes"], capture_output=True, text=True, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["nanodet-g-two-sizes.onnx"]
    assert done.stdout.startswith(card_of("nanodet-g-two-sizes")["sha256"])
    refused = subprocess.run([*command, "nanodet-h"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no such model: nanodet-h; there are nanodet-g-two-sizes, nanodet-g-fast" in refused.stderr


def test_weights_are_those_of_the_source() -> None:
    source = {tensor.name: tensor for tensor in onnx.load(build.SOURCE).graph.initializer}
    layers = 0
    for tensor in onnx.load(MODELS / "nanodet-g-two-sizes.onnx").graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.ndim == 4 and weights.shape[2] > 1:  # not the 1x1 layers, some of which lose their other classes
            layers += 1
            assert tensor == source[tensor.name]
    assert layers > 20


def test_at_the_size_of_the_source_the_results_are_those_of_the_source() -> None:
    image = np.asarray(cv2.resize(sample_frame(300), (416, 416)), np.uint8)[np.newaxis]
    boxes, scores = session(onnx.load(build.SOURCE)).run(["boxes", "scores"], {"image": image})
    built = Detector("nanodet-g-two-sizes").session
    boxes_now, scores_now = built.run(["boxes", "scores"], {"image": image})
    first_run = boxes.shape[1]
    np.testing.assert_allclose(boxes_now[:, :first_run], boxes, atol=1e-3)
    np.testing.assert_allclose(scores_now[:, :first_run], scores[:, :, :1], atol=1e-5)


def test_the_second_run_sees_the_image_at_the_smaller_size() -> None:
    run = Detector("nanodet-g-two-sizes").session.run
    width, height = 640, 480
    smaller_wh = (416, 288)  # 5/8 of it is 400x300
    cells = sum(smaller_wh[0] * smaller_wh[1] // stride**2 for stride in build.STRIDES)
    image = np.asarray(cv2.resize(sample_frame(300), (width, height)), np.uint8)
    smaller = np.asarray(cv2.resize(image, smaller_wh), np.uint8)
    boxes, scores = run(["boxes", "scores"], {"image": smaller[np.newaxis]})
    both_boxes, both_scores = run(["boxes", "scores"], {"image": image[np.newaxis]})
    sure = scores[0, :cells, 0] > 0.4
    assert sure.sum() >= 3
    scale = np.array([width / smaller_wh[0], height / smaller_wh[1]] * 2)
    np.testing.assert_allclose(both_boxes[0, -cells:][sure], boxes[0, :cells][sure] * scale, atol=3)
    np.testing.assert_allclose(both_scores[0, -cells:][sure], scores[0, :cells][sure], atol=0.05)


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("size_wh", [(352, 256), (576, 320), (320, 576), (1056, 32), (32, 32)])
def test_several_frames_at_once_give_the_same_as_one_by_one(name: str, size_wh: tuple[int, int]) -> None:
    run = Detector(name).session.run
    frames = [cv2.resize(sample_frame(number), size_wh) for number in (0, 100)]
    together = run(["boxes", "scores"], {"image": np.stack(frames)})
    alone = [run(["boxes", "scores"], {"image": frame[np.newaxis]}) for frame in frames]
    for output, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(output, np.concatenate(parts), atol=1e-3)


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("size_wh", [(500, 384), (512, 400), (408, 408), (33, 32)])
def test_an_input_that_is_no_multiple_of_32_is_refused(name: str, size_wh: tuple[int, int]) -> None:
    image = np.zeros((1, size_wh[1], size_wh[0], 3), np.uint8)
    with pytest.raises(Exception, match="Add"):
        Detector(name).session.run(["boxes", "scores"], {"image": image})


def test_measuring_the_ranges_again_gives_the_committed_ones() -> None:
    committed = build.committed_ranges()
    measured = build.measured_ranges(build.people_detector(onnx.load(build.SOURCE)))
    assert measured.keys() == committed.keys()
    for name, (least, greatest) in measured.items():
        # another processor and another decoder of video differ a little
        width = committed[name][1] - committed[name][0]
        assert (least, greatest) == pytest.approx(committed[name], abs=width * 0.05), name


@pytest.mark.backends
@pytest.mark.parametrize("name", BUILT)
def test_openvino_runs_the_model(name: str) -> None:
    pytest.importorskip("openvino", reason="pip install 'rededge_nb[openvino]'")
    from rededge_nb.edge.ai.backends import onnx_openvino

    loaded, detector = (
        onnx_openvino.load((MODELS / f"{name}.onnx").read_bytes(), device="CPU", threads=1),
        Detector(name),
    )
    for size_wh in ((512, 384), (320, 576)):
        image = np.asarray(cv2.resize(sample_frame(300), size_wh), np.uint8)[np.newaxis]
        expected = detector.session.run(["boxes", "scores"], {"image": image})
        found = [output for output in loaded.run([image]) if output is not None]
        # int8: both round, but not at the same places
        steps = {"nanodet-g-two-sizes": (0.01, 1e-4), "nanodet-g-fast": (12, 0.05)}[name]
        for one, other, tolerance in zip(found, expected, steps, strict=True):
            np.testing.assert_allclose(one, other, atol=tolerance)
