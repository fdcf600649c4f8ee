from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb import assets
from rededge_nb.capture.run import capture
from rededge_nb.capture.sources import open_source
from rededge_nb.control import inference
from rededge_nb.control.inference import Timing, compare_backends, detect_people
from rededge_nb.control.models import ModelCard, load_card, store_model
from rededge_nb.control.provision import provision
from rededge_nb.edge import processors
from rededge_nb.errors import ModelError, ServerUnavailableError
from rededge_nb.reading.detections import latest_detected_frame


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return load_card(assets.model_card_file())


@pytest.fixture(scope="module")
def image() -> Any:
    with open_source(assets.sample_video()) as video:
        return video.read_image(600)


def test_it_finds_what_the_gear_finds(client: redis.Redis, card: ModelCard, video: Path) -> None:
    provision(client)
    capture(client, video, frames=1, pace="asap")
    frame, found = latest_detected_frame(client, "0")
    assert card.tracking is not None
    # in the first frame the tracker shows what was detected, if that may begin a track
    xyxy, confidence = detect_people(client, card, frame.image(), confidence=card.tracking.new)
    assert len(found) > 0
    np.testing.assert_array_equal(xyxy, found.xyxy)
    np.testing.assert_allclose(confidence, found.confidence, atol=1e-3)


@pytest.mark.parametrize("frame_wh", [(640, 360), (360, 640), (500, 500), (960, 500)])
@pytest.mark.parametrize("name", ["nanodet-g-two-sizes", "fast", "nanodet-g-416"])
def test_boxes_are_in_pixels_of_a_frame_of_any_shape(
    client: redis.Redis, image: Any, name: str, frame_wh: tuple[int, int]
) -> None:
    """The frame is put on a grey background: the people in it are found where they are."""
    card = load_card(assets.model_card_file(name))
    store_model(client, card)
    width, height = max(frame_wh[0], 768), max(frame_wh[1], 576)
    if frame_wh[0] / frame_wh[1] > width / height:
        width = round(height * frame_wh[0] / frame_wh[1])
    else:
        height = round(width * frame_wh[1] / frame_wh[0])
    canvas = np.full((height, width, 3), 110, np.uint8)
    left, top = width - 768, height - 576
    canvas[top:, left:] = image
    xyxy, _ = detect_people(client, card, canvas)
    assert len(xyxy) >= 1
    assert (xyxy[:, 2] > left).all()
    assert (xyxy[:, 3] > top).all()


def test_thresholds_are_applied(client: redis.Redis, card: ModelCard, image: Any) -> None:
    store_model(client, card)
    xyxy, confidence = detect_people(client, card, image)
    assert (xyxy.shape, confidence.shape) == ((len(xyxy), 4), (len(xyxy),))
    assert (xyxy.dtype, confidence.dtype) == (np.float32, np.float32)
    height, width = image.shape[:2]
    assert np.all((xyxy >= 0) & (xyxy <= [width, height] * 2))
    assert confidence.min() >= card.confidence
    assert len(detect_people(client, card, image, confidence=0.1)[0]) > len(xyxy)
    assert len(detect_people(client, card, image, iou=0.99)[0]) > len(xyxy)
    nobody, sure = detect_people(client, card, image, confidence=1.0)
    assert (nobody.shape, sure.shape) == ((0, 4), (0,))


def test_it_leaves_no_keys_even_if_the_model_fails(client: redis.Redis, card: ModelCard, image: Any) -> None:
    with pytest.raises(ModelError, match=r"AI.MODELEXECUTE model:nanodet-g-two-sizes: .*store"):
        detect_people(client, card, image)
    assert client.keys("*inference*") == []
    store_model(client, card)
    detect_people(client, card, image)
    assert client.keys("*inference*") == []


def test_a_lost_server_is_reported(card: ModelCard, image: Any) -> None:
    with redis.Redis(host="127.0.0.1", port=1, retry=None) as nobody, pytest.raises(ServerUnavailableError):
        detect_people(nobody, card, image)


def test_backends_are_compared(card: ModelCard, image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    timings = compare_backends(card, image, seconds=0.0)
    assert timings[0].backend == "ONNX Runtime, 1 thread"
    assert len({timing.backend for timing in timings}) == len(timings)
    assert all(timing.median_ms is not None and timing.median_ms > 0 for timing in timings[:-1])
    assert timings[-1] == Timing("OpenVINO", None, "not installed: pip install openvino")


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_numbers_of_threads_to_compare(monkeypatch: pytest.MonkeyPatch, most: int, counts: list[int]) -> None:
    monkeypatch.setattr(processors, "count", lambda: most)
    assert inference._thread_counts() == counts


FAKE_OPENVINO = """
import os, sys
try:
    import openvino_telemetry
    print("telemetry")
except ImportError:
    print("none")
class Port:
    def get_any_name(self): return "port"
    def get_element_type(self): return self
    def to_dtype(self): return "uint8"
class Core:
    inputs = outputs = [Port()]
    def read_model(self, blob, weights): return len(blob)
    def compile_model(self, model, device, options): return self
    def create_infer_request(self): return self
    def infer(self, inputs): return inputs
"""


def test_openvino_is_timed_without_its_telemetry(tmp_path: Path) -> None:
    (tmp_path / "openvino.py").write_text(FAKE_OPENVINO)
    (tmp_path / "openvino_telemetry.py").touch()
    code = (
        "import numpy as np; from rededge_nb import assets; from rededge_nb.control.inference import compare_backends\n"
        "from rededge_nb.control.models import load_card\n"
        "found = compare_backends(load_card(assets.model_card_file()), np.zeros((9, 9, 3), np.uint8), seconds=0)\n"
        "print(found[-1].backend, found[-1].median_ms is not None)"
    )
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["none", "OpenVINO", "True"]
