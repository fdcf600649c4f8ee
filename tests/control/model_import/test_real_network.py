"""The network of a bundled model is imported without the nodes around it, and finds what the bundled model finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from rededge_nb import assets
from rededge_nb.analytics.detecting import input_image
from rededge_nb.control.model_import.checks import sample_image
from rededge_nb.control.model_import.importing import run_import
from rededge_nb.control.model_import.options import ImportOptions
from rededge_nb.control.model_import.running import Runner
from rededge_nb.errors import ModelImportError

BUNDLED = assets.folder("models") / "nanodet-g-416.onnx"
SCORES, DISTANCES = ("Identity:0", "Identity_1:0", "Identity_2:0"), ("Identity_3:0", "Identity_4:0", "Identity_5:0")


def network(*, one_output: bool) -> ModelProto:
    """NanoDet-g as its authors export it: normalised float32 in; scores and distributions for each stride out."""
    bundled = onnx.load(BUNDLED)
    start = next(node for node in bundled.graph.node if node.op_type == "Conv").input[0]
    outputs, nodes = [*SCORES, *DISTANCES], []
    needed = set(outputs)
    for node in reversed(bundled.graph.node):
        if needed.intersection(node.output) and start not in node.output:
            nodes.insert(0, node)
            needed.update(node.input)
    if one_output:
        levels = [f"level_{number}" for number in range(3)]
        pairs = zip(SCORES, DISTANCES, levels, strict=True)
        nodes += [
            helper.make_node("Concat", [scores, distances], [level], axis=2) for scores, distances, level in pairs
        ]
        nodes.append(helper.make_node("Concat", levels, ["output"], axis=1))
        outputs = ["output"]
    graph = helper.make_graph(
        nodes,
        "nanodet",
        [helper.make_tensor_value_info(start, TensorProto.FLOAT, [1, 3, 416, 416])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(bundled.graph.initializer),
    )
    return helper.make_model(graph, opset_imports=bundled.opset_import, ir_version=bundled.ir_version)


@pytest.mark.parametrize(("one_output", "layout"), [(False, "nanodet"), (True, "nanodet-plus")])
def test_it_gives_the_boxes_of_the_bundled_model(one_output: bool, layout: str, tmp_path: Path) -> None:
    onnx.save(network(one_output=one_output), tmp_path / "network.onnx")
    result = run_import(tmp_path / "network.onnx", ImportOptions(), {})
    assert result.recognised[0].startswith(f"layout {layout} (")
    assert result.sample_objects == 6
    inputs = {"image": input_image(sample_image(), (416, 416))[np.newaxis]}
    boxes, scores = (each.values for each in Runner(result.blob, "the imported model").outputs(inputs))
    expected = [each.values for each in Runner(BUNDLED.read_bytes(), "the bundled model").outputs(inputs)]
    assert np.abs(boxes - expected[0]).max() < 0.01
    assert np.abs(scores - expected[1][..., :1]).max() < 1e-4


@pytest.mark.parametrize(("resize", "found"), [("stretch", "nobody"), ("letterbox", "2")])
def test_a_wrong_preparation_is_refused_and_a_better_one_is_named(resize: str, found: str, tmp_path: Path) -> None:
    onnx.save(network(one_output=False), tmp_path / "network.onnx")
    text = rf"the model finds {found} in the sample image.*; with --colour \w+ --scale \S+ it finds [67]: give these"
    with pytest.raises(ModelImportError, match=text):
        run_import(tmp_path / "network.onnx", ImportOptions(scale="0-255", resize=resize), {})


def test_what_a_user_insists_on_is_a_warning(tmp_path: Path) -> None:
    onnx.save(network(one_output=False), tmp_path / "network.onnx")
    options = ImportOptions(colour="rgb", scale="0-255", resize="letterbox")
    (warning,) = run_import(tmp_path / "network.onnx", options, {}).warnings
    assert warning.startswith("the model finds 1 in the sample image, which shows several people; with --colour rgb")
