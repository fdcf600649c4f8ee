"""How long the import of a model of 50 MB takes, and what the nodes that it adds cost in each run.

    python -m benchmarks.import_cost [--runs 15]

The model is a network of convolutions at 640x640 with random weights and the outputs of YOLOv8. Its own run and that of
the imported model take turns; the cost is the median of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from benchmarks.rows import Row, as_text
from rededge_nb.control.model_import import import_model
from rededge_nb.control.model_import.running import Runner
from tests.control.model_import import toys
from tests.control.model_import.toys import Toy

SIDE = 640
CHANNELS = (3, 32, 64, 128, 256, 512, 512, 512, 512, 512, 512)
"""Of each convolution; the first five halve the width and height."""
MOST_SECONDS, MOST_COST = 15.0, 1.05


def measure(runs: int = 15) -> list[Row]:
    """The time of the import, and the cost of the nodes."""
    model = network()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(model, path)
        megabytes = path.stat().st_size / 1e6
        began = time.perf_counter()
        imported = import_model(path)
        seconds = time.perf_counter() - began
        finished = Runner(imported.card.read(), "the imported model")
    alone = Runner(model, "the network")
    chance = np.random.default_rng(0)
    inputs = (
        (alone, {"images": chance.random((1, 3, SIDE, SIDE), np.float32)}),
        (finished, {"image": chance.integers(0, 255, (1, SIDE * 9 // 16, SIDE, 3), np.uint8)}),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for place in (0, 1) if number % 2 else (1, 0):
            runner, values = inputs[place]
            began = time.perf_counter()
            runner.outputs(values)
            times[place].append(time.perf_counter() - began)
    ratios = [after / before for before, after in zip(times[0][1:], times[1][1:], strict=True)]
    return [
        Row(f"import of a model of {megabytes:.0f} MB", seconds, "s", MOST_SECONDS),
        Row("a run with the nodes that an import adds, against one without", statistics.median(ratios), "x", MOST_COST),
        Row("a run of that network at 640x640", statistics.median(times[0][1:]) * 1000, "ms"),
    ]


def network() -> ModelProto:
    """A network of about 50 MB; its outputs are those of a toy, to which its own result adds nothing."""
    chance = np.random.default_rng(0)

    def head(toy: Toy, box: list[str]) -> None:
        value = "images"
        for number, (before, after) in enumerate(pairwise(CHANNELS)):
            weights = chance.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3))
            stride = 2 if number < 5 else 1
            value = toy.node("Conv", [value, toy.constant(weights)], strides=[stride, stride], pads=[1, 1, 1, 1])
            value = toy.node("Relu", [value])
        mean = toy.node("ReduceMean", [value], axes=[1, 2, 3], keepdims=0)
        nothing = toy.calculate("Mul", toy.reshape(mean, (-1, 1, 1)), 1e-30)
        toys.yolov8(toy, [toy.calculate("Add", each, nothing) for each in box])

    return toys.toy_model(head, side=SIDE)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    result = measure(parser.parse_args().runs)
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


if __name__ == "__main__":
    sys.exit(main())
