"""Imports damaged and unrelated ONNX files: each must give a specific error, or a model that passes all checks.

    python -m benchmarks.import_fuzz [--files 2000] [--seed 0]

Each file is imported in a process of its own, as `rededge models import` does it; these processes are forked from one
that has imported the packages already, which is faster. Exits with 1 if a file caused a crash, an error that is not
specific, a timeout, another file than its own to be opened, or a file to be written although it was refused.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto, helper

from rededge_nb.control.model_import import isolated
from rededge_nb.control.model_import.options import ImportOptions
from rededge_nb.errors import ModelImportError
from tests.control.model_import import toys

SECONDS = 60
SIDE = 64
"""Small inputs: what is tested is not the speed."""
OPENED, CANARY = "opened.json", "canary"
_PRELOAD = ["rededge_nb.control.model_import.importing"]
_UNSPECIFIC = ("Traceback", "AttributeError", "KeyError", "IndexError", "TypeError", "UnboundLocalError")


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes:
        refused: Whether it was refused.
        message: The error, without what differs from file to file.
        problem: What went wrong; empty if nothing did.
        mib: The largest memory of the process.
    """

    refused: bool
    message: str
    problem: str
    mib: float


def outcome(blob: bytes, folder: Path) -> Outcome:
    """Import one file.

    Args:
        blob: Its content; the text CANARY in it is replaced by the path of a file that must not be opened.
        folder: Where to work.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        own, work = Path(temporary) / "model", Path(temporary) / "work"
        own.mkdir()
        work.mkdir()
        os.mkfifo(Path(temporary) / CANARY)  # whoever opens it waits for ever
        path = own / "file.onnx"
        path.write_bytes(blob)
        isolated.write_job(path, ImportOptions(classes=("person",)), {}, work)
        process = _context().Process(target=_work, args=(work,))
        process.start()
        process.join(SECONDS)
        problem = ""
        if process.is_alive():
            process.kill()
            process.join()
            problem = f"not done after {SECONDS} s"
        refused, message = False, ""
        try:
            isolated.read_result(path, work, process.exitcode or 0)
        except ModelImportError as error:
            refused, message = True, str(error)
        noted = json.loads((work / OPENED).read_text()) if (work / OPENED).exists() else {"opened": [], "mib": 0.0}
        if noted["opened"]:
            problem = f"opened {noted['opened']}"
        if refused and any(word in message for word in _UNSPECIFIC):
            problem = f"an error that is not specific: {message}"
        if refused and ((work / isolated.MODEL).exists() or list(own.iterdir()) != [path]):
            problem = "it was refused, and a file was written"
        return Outcome(refused, message, problem, noted["mib"])


def _context() -> ForkServerContext:
    main = sys.modules["__main__"]
    if not hasattr(main, "__spec__"):  # that of a worker of pytest-xdist has none, and multiprocessing looks at it
        main.__spec__ = None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def _work(work: Path) -> None:
    """Import in this process; note which files of the folder above are opened, other than its own two folders'."""
    top, opened = str(work.parent), []
    allowed = (str(work), str(work.parent / "model"))

    def note(event: str, values: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(values[0], str) and values[0].startswith((top, "/etc")):
            name = os.path.realpath(values[0])
            if not name.startswith(allowed) and not name.startswith("/etc/ld"):
                opened.append(name)

    sys.addaudithook(note)
    try:
        isolated.work(work)
    finally:
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        (work / OPENED).write_text(json.dumps({"opened": opened, "mib": mib}))


def damaged_files(count: int, seed: int) -> Iterator[bytes]:
    """Files that are no usable detectors, or that are detectors with a small damage."""
    chance = random.Random(seed)
    heads = (toys.yolov8, toys.yolov5, toys.nms_free, toys.four_outputs, toys.rows_of_seven, toys.yolox, toys.rf_detr)
    models = [toys.toy_model(head, side=SIDE, opset=opset) for head in heads for opset in (11, 17)]
    for number in range(count):
        model = ModelProto()
        model.CopyFrom(chance.choice(models))
        yield _KINDS[number % len(_KINDS)](model, chance)


def _flipped(model: ModelProto, chance: random.Random) -> bytes:
    blob = bytearray(model.SerializeToString())
    for _ in range(chance.choice((1, 3, 30))):
        blob[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
    return bytes(blob)


def _cut(model: ModelProto, chance: random.Random) -> bytes:
    blob: bytes = model.SerializeToString()
    return blob[: chance.randrange(len(blob))]


def _spliced(model: ModelProto, chance: random.Random) -> bytes:
    blob: bytes = model.SerializeToString()
    start, length = chance.randrange(len(blob)), chance.randrange(1, 200)
    return blob[:start] + chance.randbytes(chance.randrange(50)) + blob[start + length :]


def _noise(_: ModelProto, chance: random.Random) -> bytes:
    start = chance.choice(
        (b"", b"\x08\x08\x12\x07pytorch", b"PK\x03\x04", b"\x89HDF", b"<html>", b"\x00\x00\x00\x00TFL3")
    )
    return start + chance.randbytes(chance.randrange(3000))


def _node_changed(model: ModelProto, chance: random.Random) -> bytes:
    nodes = model.graph.node
    node = chance.choice(nodes)
    change = chance.randrange(6)
    if change == 0:
        node.op_type = chance.choice(("Relu", "Conv", "NoSuchOperator", "Loop", "If", "Softmax", "Gather"))
    elif change == 1 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(
            ("", "nothing", "images", chance.choice(nodes).output[0])
        )
    elif change == 2:
        nodes.remove(node)
    elif change == 3:
        node.domain = chance.choice(("com.microsoft", "my.own"))
    elif change == 4:
        node.attribute.append(helper.make_attribute("axis", chance.choice((-9, 7, 2**40))))
    else:
        node.output[0] = chance.choice(("images", "boxes", "scores", "image", "rededge_0_Cast"))
    return _bytes(model)


def _constant_changed(model: ModelProto, chance: random.Random) -> bytes:
    tensor = chance.choice(model.graph.initializer)
    change = chance.randrange(5)
    if change == 0:
        tensor.dims[:] = chance.choice(([2**40], [-1], [1, 1, 1, 1, 1, 1, 1, 1], [3, 2**31, 2**31]))
    elif change == 1:
        tensor.data_type = chance.choice((0, 8, 14, 77, TensorProto.INT4, TensorProto.DOUBLE))
    elif change == 2:
        tensor.raw_data = chance.randbytes(len(tensor.raw_data))
    elif change == 3:
        tensor.raw_data = tensor.raw_data[:-1]
    else:
        tensor.name = "images"
    return _bytes(model)


def _weights_elsewhere(model: ModelProto, chance: random.Random) -> bytes:
    tensor = chance.choice(model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    places = (f"../{CANARY}", "/etc/hostname", "/etc/passwd", "file.onnx", "gone.bin", "", ".", "..", "x" * 5000)
    tensor.external_data.add(key="location", value=chance.choice(places))
    tensor.external_data.add(key="offset", value=chance.choice(("0", "-1", "9" * 30, "x")))
    tensor.external_data.add(key="length", value=chance.choice((str(len(tensor.raw_data)), "-1", "9" * 15, "")))
    return _bytes(model)


def _other_input(model: ModelProto, chance: random.Random) -> bytes:
    tensor = model.graph.input[0].type.tensor_type
    change = chance.randrange(4)
    if change == 0:
        tensor.elem_type = chance.choice((2, 7, 8, 9, 10, 11, 99))
    elif change == 1:
        tensor.shape.dim[chance.randrange(4)].dim_value = chance.choice((0, 1, 2, 7, -5, 2**31, 2**62))
    elif change == 2:
        del tensor.shape.dim[chance.randrange(4)]
    else:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 3, 64, 64]))
    return _bytes(model)


def _unrelated(_: ModelProto, chance: random.Random) -> bytes:
    """A model of another kind: classes of images, sounds, tables, segmentation."""
    toy = toys.Toy()
    shape = chance.choice(([1, 3, 64, 64], [1, 3, 224, 224], [1, 1, 28, 28], [1, 16000], ["n", 12]))
    value = "images"
    for _step in range(chance.randrange(1, 6)):
        kind = chance.choice(("Relu", "Sigmoid", "Softmax", "Neg", "Abs", "Flatten", "GlobalAveragePool", "Identity"))
        value = toy.node(kind, [value])
    if chance.random() < 0.5:
        new = chance.choice(((1, -1), (1, -1, 6), (1, 4, -1), (-1, 7), (1, 84, -1), (1, -1, 85)))
        value = toy.reshape(value, new)
    toy.output(chance.choice(("output", "logits", "boxes", "scores", "dets")), value, [])
    graph = helper.make_graph(
        toy.nodes,
        "other",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, dtype, None) for name, _, dtype in toy.outputs],
        toy.constants,
    )
    return _bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", chance.choice((11, 13, 17, 22)))]))


def _large(model: ModelProto, chance: random.Random) -> bytes:
    """A result that does not fit into memory."""
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [2], [chance.choice((10**4, 10**6, 2**40)), 10**6])
    model.graph.initializer.append(sizes)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sizes"], ["large"]))
    model.graph.output.append(helper.make_tensor_value_info("large", TensorProto.FLOAT, None))
    return _bytes(model)


def _bytes(model: ModelProto) -> bytes:
    blob: bytes = model.SerializeToString()
    return blob


_KINDS: tuple[Callable[[ModelProto, random.Random], bytes], ...] = (
    _flipped, _cut, _spliced, _noise, _node_changed, _constant_changed, _weights_elsewhere, _other_input, _unrelated,
    _large,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [outcome(blob, Path(folder)) for blob in damaged_files(given.files, given.seed)]
    problems = Counter(each.problem for each in outcomes if each.problem)
    starts = Counter(each.message[:60] for each in outcomes if each.refused)
    with contextlib.suppress(BrokenPipeError):
        for text, count in starts.most_common():
            sys.stdout.write(f"{count:5} {text}\n")
        sys.stdout.write(
            f"{len(outcomes)} files, {sum(each.refused for each in outcomes)} refused; at most "
            f"{max(each.mib for each in outcomes):.0f} MiB\n"
        )
        for text, count in problems.most_common():
            sys.stdout.write(f"problem, {count} times: {text}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
