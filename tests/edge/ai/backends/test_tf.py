"""TF graphs, where TensorFlow is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rededge_nb.edge.switchboard.calls import OK

tf = pytest.importorskip("tensorflow", reason="pip install 'rededge_nb[tf]'", exc_type=ImportError)
pytestmark = [pytest.mark.backends, pytest.mark.filterwarnings("ignore")]

NAMES: tuple[str | int, ...] = ("INPUTS", 2, "a", "b", "OUTPUTS", 1, "mul")


def graph(build: Callable[[], object]) -> bytes:
    made = tf.Graph()
    with made.as_default():
        build()
    return made.as_graph_def().SerializeToString()


def product() -> None:
    a, b = (tf.compat.v1.placeholder(tf.float32, [None, 2], name=name) for name in "ab")
    tf.multiply(a, b, name="mul")


@pytest.fixture
def tensors(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "x", "FLOAT", 1, 2, "VALUES", 2, 3)


@pytest.mark.usefixtures("tensors")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("AI.MODELSTORE", (*NAMES, "BLOB")),
        ("AI.MODELSET", ("INPUTS", "a", "b", "OUTPUTS", "mul", "BLOB")),
        ("AI.MODELSET", ("INPUTS", "a", "b", "OUTPUTS", "mul")),
    ],
)
def test_a_graph_runs(call: Callable[..., object], name: str, words: tuple[str | int, ...]) -> None:
    assert call(name, "m", "TF", "CPU", *words, graph(product)) is OK
    assert call("AI.MODELGET", "m", "META")[10:14] == ["inputs", ["a", "b"], "outputs", ["mul"]]
    assert call("AI.MODELEXECUTE", "m", "INPUTS", 2, "x", "x", "OUTPUTS", 1, "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"4", b"9"]


def test_the_names_select_the_tensors(call: Callable[..., object]) -> None:
    def build() -> None:
        a = tf.compat.v1.placeholder(tf.float32, [None], name="a")
        tf.add(a, 1.0, name="more")
        tf.add(a, -1.0, name="less")

    call("AI.TENSORSET", "v", "FLOAT", 1, "VALUES", 5)
    for name, expected in (("more", b"6"), ("less", b"4")):
        call("AI.MODELSTORE", name, "TF", "CPU", "INPUTS", 1, "a", "OUTPUTS", 1, name, "BLOB", graph(build))
        call("AI.MODELEXECUTE", name, "INPUTS", 1, "v", "OUTPUTS", 1, "c")
        assert call("AI.TENSORGET", "c", "VALUES") == [expected]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("CPU", *NAMES, "BLOB", "garbage"), "Invalid GraphDef"),
        (("CPU", "INPUTS", 1, "x", "OUTPUTS", 1, "mul"), 'ERR Input node named "x" not found in TF graph.'),
        (("CPU", "INPUTS", 1, "mul", "OUTPUTS", 1, "mul"), 'ERR Input node named "mul" not found in TF graph.'),
        (("CPU", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "y"), 'ERR Output node named "y" not found in TF graph'),
        (("GPU:7", *NAMES), "ERR GPU requested but TF couldn't find CUDA"),
    ],
)
def test_errors(error_of: Callable[..., str], words: tuple[str | int, ...], error: str) -> None:
    blob = () if "BLOB" in words else ("BLOB", graph(product))
    assert error_of("AI.MODELSTORE", "m", "TF", *words, *blob) == error


def test_a_graph_that_reads_files_is_refused(error_of: Callable[..., str]) -> None:
    def build() -> None:
        tf.io.read_file(tf.compat.v1.placeholder(tf.string, [], name="a"), name="r")

    error = error_of("AI.MODELSTORE", "m", "TF", "CPU", "INPUTS", 1, "a", "OUTPUTS", 1, "r", "BLOB", graph(build))
    assert error.startswith("ERR the graph has the operation ReadFile (r)")


@pytest.mark.usefixtures("tensors")
def test_errors_of_runs(call: Callable[..., object], error_of: Callable[..., str]) -> None:
    call("AI.MODELSTORE", "m", "TF", "CPU", *NAMES, "BLOB", graph(product))
    call("AI.TENSORSET", "bad", "FLOAT", 1, 3)
    assert "shape" in error_of("AI.MODELEXECUTE", "m", "INPUTS", 2, "x", "bad", "OUTPUTS", 1, "c")
