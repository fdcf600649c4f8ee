"""TF models: frozen graphs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from rededge_nb.edge.ai.backends import ModelSource, command_error
from rededge_nb.edge.ai.tensors import Array
from rededge_nb.edge.switchboard.calls import CommandError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # otherwise errors of callers are written to the worker's log
import tensorflow as tf

FORBIDDEN = (
    *("File", "Save", "Restore", "Checkpoint", "Summary", "TFRecord", "Lmdb", "Reader", "Dataset"),
    *("PyFunc", "LoadLibrary", "Rpc", "Socket"),
)
"""An operation whose name contains one of these uses files, Python or the network, and is refused."""


class TfModel:
    """A graph in a session of TensorFlow."""

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
            CommandError: The run failed; the text is TensorFlow's.
        """
        try:
            return [np.asarray(output) for output in self._run(*inputs)]
        except tf.errors.OpError as error:
            raise CommandError(error.message) from error
        except Exception as error:  # not all errors of TensorFlow are OpError
            raise command_error(error) from error


def load(source: ModelSource, *, device: str, threads: int) -> TfModel:
    """Load a frozen graph, with `threads` for each run.

    Raises:
        CommandError: TensorFlow refuses the graph, a name is not in it, or it has a FORBIDDEN operation.
    """
    kind, _, number = device.partition(":")
    if kind == "GPU" and len(tf.config.list_physical_devices("GPU")) <= int(number or 0):
        raise CommandError("ERR GPU requested but TF couldn't find CUDA")
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(source.blob)
    except Exception as error:
        raise CommandError("Invalid GraphDef") from error
    _check_operations(definition)
    operations = {node.name: node.op for node in definition.node}
    for name in source.inputs:
        if operations.get(name) not in ("Placeholder", "PlaceholderWithDefault"):
            raise CommandError(f'ERR Input node named "{name}" not found in TF graph.')
    for name in source.outputs:
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
        return TfModel(graph, config, source.inputs, source.outputs)
    except Exception as error:  # not all errors of TensorFlow are OpError
        raise command_error(error) from error


def _check_operations(definition: tf.compat.v1.GraphDef) -> None:
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for node in nodes:
        if any(word in node.op for word in FORBIDDEN):
            raise CommandError(
                f"ERR the graph has the operation {node.op} ({node.name}), which reaches beyond the graph: "
                "a model may only compute"
            )
