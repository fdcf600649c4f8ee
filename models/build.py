"""Build the two people detectors from the weights in `nanodet-g-416.onnx`.

    python models/build.py                        # write both models beside this file and print their digests
    python models/build.py --output /tmp/models   # write them elsewhere
    python models/build.py --calibrate            # first measure the value ranges for int8 again

The source is NanoDet-g for 416x416 pixels and 80 classes. This script changes the graph, never a weight:

- The height and the width of the input are open: any multiples of 32. So a frame can keep its aspect ratio. The graph
  computes the positions of its grid cells from the size of the input.
- The last layers keep the class `person` only. This saves copying 1.1 MB of scores for each frame.
- The weights run twice: on the input, and on the input made smaller inside the graph. At one size the network does not
  see people of some heights (about 150 pixels), whatever that size is; at the other size it sees them. The outputs hold
  the boxes of both runs. The caller's non-maximum suppression removes those that were found twice.
- `nanodet-g-two-sizes` computes in float32, `nanodet-g-fast` in int8.

The int8 model needs the range of values of each layer. They were measured once on frames of the sample video and are
kept in `nanodet-g-fast.ranges.json`. So the build needs no inference, and its result is the same on every machine. With
the versions of onnx and onnxruntime in constraints.txt the files have the digests that their cards (*.yaml) state.

Needs `onnx`, and the quantiser in `onnxruntime`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator, save_tensors_data

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "nanodet-g-416.onnx"
RANGES = FOLDER / "nanodet-g-fast.ranges.json"
SAMPLE_VIDEO = FOLDER.parent / "notebooks" / "data" / "walking.mp4"
"""Apache-2.0, so what was measured on it may be shipped."""

MULTIPLE = 32
"""Height and width of an input are multiples of this: the stride of the coarsest level."""
STRIDES = (8, 16, 32)
"""Pixels per grid cell of the three levels."""
SECOND_SIZE = 5 / 8
"""Height and width of the second run, as a share of the input's: 320x256 for an input of 512x384."""
SECOND = "_second"
"""Ending of the names in the second run."""
BINS = 11
"""A distance to a side of the box is the expected value of a distribution over 0 to 10 cells."""

IMAGE = "image_chw"
"""The image in the source's graph: float32, (batch, 3, height, width), not normalised yet."""
SCORES = ("Identity:0", "Identity_1:0", "Identity_2:0")
"""For each level, in the source's graph: float32, (batch, cells, classes), 0 to 1."""
DISTANCES = ("Identity_3:0", "Identity_4:0", "Identity_5:0")
"""For each level, in the source's graph: float32, (batch, cells, 4 * BINS), logits."""
HEADS = ("Conv__177:0", "Conv__179:0", "Conv__181:0")
"""For each level, in the source's graph: the output of the last layer; its shape is that of the grid."""
SOURCE_CLASSES = 80
PERSON = 0

Ranges = dict[str, tuple[float, float]]
"""The least and the greatest value of layers."""
QUANTISED = ["Conv", "LeakyRelu", "MaxPool", "Concat", "Add", "Resize"]
"""Kinds of layers that compute in int8."""
CALIBRATION_WH = (384, 288)
CALIBRATION_FRAMES = 32


MODELS = {"nanodet-g-two-sizes": False, "nanodet-g-fast": True}
"""Whether a model computes in int8, by its name."""


class Graph:
    """The nodes and the constants of a graph that is being built; a node is called like its output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node and return its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """Add a constant, once however often it is asked for, and return its name."""
        self.constants[name] = numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def integers(self, name: str, values: ArrayLike) -> str:
        """Add a constant of int64."""
        return self.constant(name, values, np.int64)


def build(name: str) -> ModelProto:
    """Build one model.

    Returns:
        A model with the input `image`, uint8 (batch, height, width, 3), blue first, height and width multiples of 32;
        and the outputs `boxes`, float32 (batch, n, 4), x1 y1 x2 y2 in pixels of the input, and `scores`, float32
        (batch, n, 1), 0 to 1. There is no non-maximum suppression inside.
    """
    model = people_detector(onnx.load(SOURCE))
    return quantise(model, committed_ranges()) if MODELS[name] else model


def people_detector(source: ModelProto) -> ModelProto:
    """Change NanoDet-g to open input sizes and the class `person`, and let it run at two sizes."""
    graph = Graph()
    graph.constants = {tensor.name: tensor for tensor in source.graph.initializer}
    keep_person_only(graph.constants)
    needed = ancestors(source.graph.node, SCORES + DISTANCES)
    network = descendants(needed, IMAGE)
    graph.nodes = [node for node in needed if node not in network]
    network = pad_inside_pool(network, graph.constants)

    boxes = [decode(graph, level) for level in append_network(graph, network, "")]
    factors = shrink(graph)
    smaller = [decode(graph, level) for level in append_network(graph, network, SECOND)]
    joined = graph.node("Concat", smaller, "boxes_in_second", axis=1)
    boxes.append(graph.node("Mul", [joined, factors], "boxes_second"))
    graph.node("Concat", boxes, "boxes", axis=1)
    graph.node("Concat", [*SCORES, *(name + SECOND for name in SCORES)], "scores", axis=1)
    return finished(graph, source)


def keep_person_only(constants: dict[str, TensorProto]) -> None:
    """Cut the other classes out of the last layers, which give the class scores and the distances together."""
    distances = 4 * BINS
    for name, tensor in constants.items():
        array = numpy_helper.to_array(tensor)
        if array.shape[:1] == (SOURCE_CLASSES + distances,):  # weights and biases of the last layers
            kept = np.concatenate((array[PERSON : PERSON + 1], array[SOURCE_CLASSES:]))
        elif array.shape == (2,) and array.tolist() == [SOURCE_CLASSES, distances]:  # where their output is split
            kept = np.array([1, distances], array.dtype)
        elif array.shape == (3,) and array.tolist() == [0, SOURCE_CLASSES, -1]:  # the shape of the scores
            kept = np.array([0, 1, -1], array.dtype)
        else:
            continue
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(kept), name)


def ancestors(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def descendants(nodes: Sequence[NodeProto], value: str) -> list[NodeProto]:
    """The nodes that depend on a value, in their order."""
    reached, found = {value}, []
    for node in nodes:
        if reached.intersection(node.input):
            reached.update(node.output)
            found.append(node)
    return found


def pad_inside_pool(network: Sequence[NodeProto], constants: dict[str, TensorProto]) -> list[NodeProto]:
    """Let the pooling layer pad its input itself. The result is the same, and a copy of the largest layer is saved."""
    pads = {node.output[0]: node for node in network if node.op_type == "Pad"}
    changed = []
    for node in network:
        if node.op_type == "MaxPool":
            pad = pads[node.input[0]]
            widths, value = (numpy_helper.to_array(constants[name]) for name in pad.input[1:])
            if widths.tolist() != [0, 0, 1, 1, 0, 0, 1, 1] or value != -np.inf:
                raise ValueError(f"{SOURCE.name}: the pooling layer pads {widths} with {value}, not one cell with -inf")
            pool = NodeProto()
            pool.CopyFrom(node)
            pool.input[0] = pad.input[0]
            pool.attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
            changed.append(pool)
        elif node.op_type != "Pad":
            changed.append(node)
    return changed


@dataclass(frozen=True)
class Level:
    """One level of the network's output: a grid of cells, `stride` pixels wide and high."""

    stride: int
    distances: str
    """Name of the distances' logits."""
    head: str
    """Name of the last layer's output."""
    suffix: str


def append_network(graph: Graph, network: Sequence[NodeProto], suffix: str) -> list[Level]:
    """Append a copy of the network, with a suffix to all names in it; all copies share their weights."""
    own = {IMAGE, *(name for node in network for name in node.output)}
    for node in network:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name += suffix
        copy.input[:] = [name + suffix if name in own else name for name in node.input]
        copy.output[:] = [name + suffix for name in node.output]
        graph.nodes.append(copy)
    return [
        Level(stride, distances + suffix, head + suffix, suffix)
        for stride, distances, head in zip(STRIDES, DISTANCES, HEADS, strict=True)
    ]


def shrink(graph: Graph) -> str:
    """Make the image smaller: to the multiples of 32 nearest to 5/8 of its height and width.

    Returns:
        The name of the four factors from pixels of the smaller image to pixels of the image.
    """
    size = graph.node("Shape", [IMAGE], "size")
    start, middle, end = (graph.integers(f"axis_{index}", [index]) for index in (0, 2, 4))
    batch = graph.node("Slice", [size, start, middle], "size_batch")
    height_width = graph.node("Slice", [size, middle, end], "size_hw")
    pixels = graph.node("Cast", [height_width], "pixels", to=TensorProto.FLOAT)
    steps = graph.node(
        "Mul", [pixels, graph.constant("second_steps_per_pixel", SECOND_SIZE / MULTIPLE)], "second_steps"
    )
    # not Round, which takes a half to the even number: 7.5 steps are 8, and so are 2.5 steps 3
    raised = graph.node("Add", [steps, graph.constant("half", 0.5)], "second_steps_raised")
    whole = graph.node("Floor", [raised], "second_steps_whole")
    smaller = graph.node("Mul", [whole, graph.constant("multiple", MULTIPLE)], "second_pixels")
    second_size = graph.node(
        "Concat", [batch, graph.node("Cast", [smaller], "second_hw", to=TensorProto.INT64)], "second_size", axis=0
    )
    graph.node(
        "Resize",
        [IMAGE, "", "", second_size],
        IMAGE + SECOND,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    growth = graph.node("Div", [pixels, smaller], "growth_hw")
    return graph.node("Gather", [growth, graph.integers("xyxy_of_hw", [1, 0, 1, 0])], "growth", axis=0)


def decode(graph: Graph, level: Level) -> str:
    """Turn the distances of one level into boxes, x1 y1 x2 y2 in pixels of that run's input.

    NanoDet (https://github.com/RangiLyu/nanodet) after Generalized Focal Loss (Li et al., 2020,
    https://arxiv.org/abs/2006.04388): each distance from the cell's centre to a side is the expected value of a
    distribution. The centre of cell i is at pixel i * stride + (stride - 1) / 2.
    """
    stride, name = level.stride, f"stride{level.stride}{level.suffix}_"
    logits = graph.node(
        "Reshape", [level.distances, graph.integers("shape_of_distances", [0, -1, 4, BINS])], name + "logits"
    )
    shares = graph.node("Softmax", [logits], name + "shares", axis=-1)
    expected = graph.node("MatMul", [shares, graph.constant("bins", np.arange(BINS)[:, np.newaxis])], name + "expected")
    cells = graph.node("Squeeze", [expected, graph.integers("last_axis", [-1])], name + "cells")
    signed = graph.constant(f"sides_of_stride{stride}", [-stride, -stride, stride, stride])
    offsets = graph.node("Mul", [cells, signed], name + "offsets")
    return graph.node("Add", [offsets, centres(graph, level, name)], name + "boxes")


def centres(graph: Graph, level: Level, name: str) -> str:
    """The cells' centres as x y x y: (1, cells, 4)."""
    stride = level.stride
    shape = graph.node("Shape", [level.head], name + "shape")

    def positions(axis: str, index: int, axes: Sequence[int], steps: Sequence[int]) -> str:
        count = graph.node("Gather", [shape, graph.integers(f"index_{index}", index)], f"{name}{axis}_count", axis=0)
        numbers = [graph.integers("index_0", 0), count, graph.integers("index_1", 1)]
        cells = graph.node("Range", numbers, f"{name}{axis}_range")
        floats = graph.node("Cast", [cells], f"{name}{axis}_cells", to=TensorProto.FLOAT)
        column = graph.node("Unsqueeze", [floats, graph.integers(f"axes_of_{axis}", axes)], f"{name}{axis}_column")
        return graph.node("Mul", [column, graph.constant(f"{axis}_of_stride{stride}", steps)], f"{name}{axis}")

    x = positions("x", 3, [1], [stride, 0, stride, 0])
    y = positions("y", 2, [1, 2], [0, stride, 0, stride])
    centred = graph.node("Add", [y, graph.constant(f"centre_of_stride{stride}", (stride - 1) / 2)], name + "y_centred")
    grid = graph.node("Add", [x, centred], name + "grid")
    return graph.node("Reshape", [grid, graph.integers("shape_of_centres", [1, -1, 4])], name + "centres")


def finished(graph: Graph, source: ModelProto) -> ModelProto:
    """The checked model, with the source's opset and with what describes it."""
    used = {name for node in graph.nodes for name in node.input}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "people_detector",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "height", "width", 3])],
            [
                helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", "n", 4]),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", "n", 1]),
            ],
            [tensor for name, tensor in graph.constants.items() if name in used],
        ),
        opset_imports=source.opset_import,
        ir_version=source.ir_version,
        producer_name=source.producer_name,
    )
    described = {entry.key: entry.value for entry in source.metadata_props}
    helper.set_model_props(model, described | {"classes": "person", "input_multiple": str(MULTIPLE)})
    onnx.checker.check_model(model, full_check=True)
    return model


def quantise(model: ModelProto, ranges: Ranges) -> ModelProto:
    """Let the network compute in int8: QDQ format, uint8 values, int8 weights with a scale for each channel.

    The weights have 7 bits. So the sum of two products fits into 16 bits, and the result is right on processors without
    VNNI, too: with 8 bits the instruction that is used there saturates without notice. Accuracy is the same.
    What follows the last layers stays in float32.
    """
    plain = with_float32_weights(model)
    values = {name: tuple(np.array([value], np.float32) for value in pair) for name, pair in ranges.items()}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends to fold constants first, and that has been done
    try:
        with tempfile.TemporaryDirectory() as folder:
            cache, target = Path(folder) / "ranges.json", Path(folder) / "int8.onnx"
            save_tensors_data(TensorsData(CalibrationMethod.MinMax, values), cache)
            quantize_static(
                plain,
                target,
                calibration_cache_path=cache,
                op_types_to_quantize=QUANTISED,
                nodes_to_quantize=[node.name for node in network_of(plain) if node.op_type in QUANTISED],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            result = onnx.load(target)
    finally:
        logging.disable(before)
    result.producer_name, result.producer_version = model.producer_name, ""
    onnx.checker.check_model(result)
    return result


def network_of(model: ModelProto) -> list[NodeProto]:
    """The nodes of both runs, from the image to the last layers."""
    nodes = model.graph.node
    before = ancestors(nodes, (IMAGE, IMAGE + SECOND))
    return [node for node in ancestors(nodes, (*HEADS, *(name + SECOND for name in HEADS))) if node not in before]


def committed_ranges() -> Ranges:
    """The ranges that were measured once."""
    return {name: (least, greatest) for name, (least, greatest) in json.loads(RANGES.read_text()).items()}


def measured_ranges(model: ModelProto) -> Ranges:
    """The least and the greatest value of each layer of a float model, on frames of the sample video."""
    plain = with_float32_weights(model)
    layers = {name for node in network_of(plain) for name in (*node.input, *node.output)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        onnx.save(plain, path)
        calibrator = create_calibrator(path, QUANTISED, str(path.with_name("with_outputs.onnx")))
        calibrator.collect_data(Frames(calibration_images()))
        found = calibrator.compute_data().items()
    return {
        name: (float(f"{data.lowest.item():.4g}"), float(f"{data.highest.item():.4g}"))
        for name, data in sorted(found)
        if name in layers
    }


def with_float32_weights(model: ModelProto) -> ModelProto:
    """A copy whose weights are stored as float32 instead of float16 and a cast: only those can be quantised."""
    copy = ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    for node in list(copy.graph.node):
        if node.op_type == "Cast" and node.input[0] in constants:
            tensor = constants[node.input[0]]
            weights = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(weights, node.output[0]))
            copy.graph.node.remove(node)
    return copy


class Frames:
    """Images in the form in which the quantiser asks for them."""

    def __init__(self, images: Iterator[NDArray[np.uint8]]) -> None:
        self._images = images

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next input of the model, or None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[np.newaxis]}


def calibration_images() -> Iterator[NDArray[np.uint8]]:
    """Frames of the sample video, evenly spaced, at the size of the model's input."""
    video = cv2.VideoCapture(str(SAMPLE_VIDEO))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(0, count - 1, CALIBRATION_FRAMES).astype(int).tolist())
    for index in range(count):
        read, frame = video.read()
        if not read:
            raise ValueError(f"{SAMPLE_VIDEO}: frame {index} of {count} cannot be read")
        if index in wanted:
            yield np.asarray(cv2.resize(frame, CALIBRATION_WH, interpolation=cv2.INTER_LINEAR), np.uint8)


def main() -> None:
    """Write the models that the command line asks for."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(MODELS)}; without: all")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to (default: beside this script)")
    parser.add_argument("--calibrate", action="store_true", help="measure the value ranges for int8 again")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    if arguments.calibrate:
        measured = measured_ranges(people_detector(onnx.load(SOURCE)))
        RANGES.write_text("{\n" + ",\n".join(f'"{name}": {list(pair)}' for name, pair in measured.items()) + "\n}\n")
    for name in arguments.models or MODELS:
        blob = build(name).SerializeToString(deterministic=True)
        path = arguments.output / f"{name}.onnx"
        path.write_bytes(blob)
        print(f"{hashlib.sha256(blob).hexdigest()}  {path}  {len(blob) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
