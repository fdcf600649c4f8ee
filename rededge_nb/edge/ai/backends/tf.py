"""TF models: frozen graphs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it would tell every caller's mistake on stderr
import tensorflow as tf

FORBIDDEN = (
    *("File", "Save", "Restore", "Checkpoint", "Summary", "TFRecord", "Lmdb", "Reader", "Dataset"),
    *("PyFunc", "LoadLibrary", "Rpc", "Socket"),
)
"""Operations with one of these in their names reach beyond the graph: files, Python, the network."""


class TfModel:
    """A graph in a session of its own."""

    def __init__(
        self, graph: tf.Graph, config: tf.compat.v1.ConfigProto, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        self._run = self._session.make_callable(
            [graph.get_tensor_by_name(f"{name}:0") for name in outputs],
            feed_list=[graph.get_tensor_by_name(f"{name}:0") for name in inputs],
        )

    def run(self, inputs: Sequence[Array]) -> list[Array | None]:
        """One array for each output.

        Raises:
            CommandError: with TensorFlow's message.
        """
        try:
            return [np.asarray(output) for output in self._run(*inputs)]
        except tf.errors.OpError as error:
            raise CommandError(error.message) from error
        except Exception as error:  # whatever TensorFlow raises is the caller's to know
            raise CommandError(str(error) or type(error).__name__) from error


def load(blob: bytes, *, device: str, threads: int, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> TfModel:
    """Make a frozen graph ready, with `threads` for each run.

    Raises:
        CommandError: with TensorFlow's message; or the names are not in the graph; or the graph reaches beyond itself.
    """
    kind, _, number = device.partition(":")
    if kind == "GPU" and len(tf.config.list_physical_devices("GPU")) <= int(number or 0):
        raise CommandError("ERR GPU requested but TF couldn't find CUDA")
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(blob)
    except Exception as error:
        raise CommandError("Invalid GraphDef") from error
    _check_operations(definition)
    operations = {node.name: node.op for node in definition.node}
    for name in inputs:
        if operations.get(name) not in ("Placeholder", "PlaceholderWithDefault"):
            raise CommandError(f'ERR Input node named "{name}" not found in TF graph.')
    for name in outputs:
        if name not in operations:
            raise CommandError(f'ERR Output node named "{name}" not found in TF graph')
    graph = tf.Graph()
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=1,
        device_count={"GPU": 0} if kind == "CPU" else {},
    )
    if kind == "GPU":
        config.gpu_options.visible_device_list = number or "0"
    try:
        with graph.as_default():
            tf.import_graph_def(definition, name="")
        return TfModel(graph, config, inputs, outputs)
    except Exception as error:  # whatever TensorFlow raises is the caller's to know
        raise CommandError(str(error) or type(error).__name__) from error


def _check_operations(definition: tf.compat.v1.GraphDef) -> None:
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for node in nodes:
        if any(word in node.op for word in FORBIDDEN):
            raise CommandError(
                f"ERR the graph has the operation {node.op} ({node.name}), which reaches beyond the graph: "
                "a model may compute, and nothing else"
            )
