"""ONNX models on OpenVINO, where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rededge_nb import assets, settings
from rededge_nb.capture.sources import open_source
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.backends import onnx, onnx_choice
from rededge_nb.edge.switchboard.calls import OK, CommandError
from tests.edge.ai import onnx_files
from tests.paths import PEOPLE_MODEL

ADD = onnx_files.binary("Add")


def test_an_unknown_setting_is_an_error(error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.ONNX_BACKEND, "abacus")
    error = error_of("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    assert error == "ERR REDEDGE_ONNX_BACKEND is 'abacus', but it must be one of onnxruntime, openvino, openvino-bf16"


class TestInstalled:
    pytestmark = pytest.mark.backends

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("openvino", reason="pip install 'rededge_nb[openvino]'")

    def test_it_runs_models_if_the_setting_says_so(
        self, call: Callable[..., object], error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(settings.ONNX_BACKEND, "openvino")
        assert call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD) is OK
        assert call("AI.MODELGET", "m", "META")[10:14] == ["inputs", ["a", "b"], "outputs", ["c"]]
        for samples in (1, 3):
            call("AI.TENSORSET", "a", "FLOAT", samples, 2, "VALUES", *([1, 2] * samples))
            call("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "c")
            assert call("AI.TENSORGET", "c", "VALUES") == [b"2", b"4"] * samples
        call("AI.TENSORSET", "a", "DOUBLE", 1, 2)
        assert "Unexpected input data type for a" in error_of(
            "AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "c"
        )
        assert error_of("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.external()) == (
            "Initializer tensors with external data is not allowed."
        )
        assert "GPU" in error_of("AI.MODELSTORE", "m", "ONNX", "GPU", "BLOB", ADD)

    def test_the_people_model_finds_the_same(self) -> None:
        from rededge_nb.edge.ai.backends import onnx_openvino

        image = np.random.default_rng(1).integers(0, 255, (1, 416, 416, 3), np.uint8)
        blob = PEOPLE_MODEL.read_bytes()
        expected = onnx.load(blob, device="CPU", threads=1).run([image])
        found = onnx_openvino.load(blob, device="CPU", threads=1).run([image])
        for one, other in zip(expected, found, strict=True):
            assert one is not None
            np.testing.assert_allclose(one, other, atol=1e-2)

    def test_bfloat16_finds_people_in_the_same_places(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(settings.ONNX_BACKEND, "openvino-bf16")
        with open_source(assets.sample_video()) as source:
            frame = next(iter(source))
        image = cv2.resize(frame, (416, 416))[np.newaxis]
        blob = PEOPLE_MODEL.read_bytes()
        expected = onnx.load(blob, device="CPU", threads=1).run([image])
        found = onnx_choice.load(backends.ModelSource(blob), device="CPU", threads=1).run([image])
        (_, sure), (_, as_sure) = ([np.asarray(each) for each in results] for results in (expected, found))
        np.testing.assert_allclose(sure, as_sure, atol=0.05)
        assert (sure[0, :, 0] > 0.5).sum() > 3


def test_the_error_without_openvino_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.ONNX_BACKEND, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "rededge_nb.edge.ai.backends.onnx_openvino", raising=False)
    monkeypatch.delattr(backends, "onnx_openvino", raising=False)
    with pytest.raises(CommandError, match=r"^ERR Could not load backend: .*pip install 'rededge_nb\[openvino\]'"):
        onnx_choice.load(backends.ModelSource(ADD), device="CPU", threads=1)
