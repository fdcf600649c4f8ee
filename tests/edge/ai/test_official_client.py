"""RedisAI's own Python client, installed apart because it wants a redis-py that this package does not."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rededge_nb.edge.server.state import Instance
from tests.edge.ai import onnx_files

# of setuptools, the last with pkg_resources
REQUIREMENTS = (
    *("redisai==1.3.0", "redis==4.6.0", "Deprecated==1.3.1", "six==1.17.0", "wrapt==2.5.2", "setuptools==80.9.0"),
)
PROGRAM = Path(__file__).with_name("official_client.py")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("redisai")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(folder), *REQUIREMENTS], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        pytest.skip(f"pip cannot install the client here: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def run(packages: Path, edge: Instance, password: str, models: dict[str, Path]) -> None:
    server = {"host": "127.0.0.1", "port": edge.port, "password": password}
    told = json.dumps({"server": server, "models": {name: str(path) for name, path in models.items()}})
    environment = os.environ | {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), told],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


@pytest.fixture
def password(edge: Instance) -> str:
    return (edge.dir / "password").read_text().strip()


def test_it_works_with_onnx(packages: Path, edge: Instance, password: str, tmp_path: Path) -> None:
    file = tmp_path / "add.onnx"
    file.write_bytes(onnx_files.binary("Add", dims=["n", 4]))
    run(packages, edge, password, {"onnx": file})


@pytest.mark.backends
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["torch", "tf", "tflite"])
def test_it_works_with_the_other_backends(
    packages: Path, edge: Instance, password: str, tmp_path: Path, backend: str
) -> None:
    module = {"torch": "torch", "tf": "tensorflow", "tflite": "ai_edge_litert"}[backend]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"pip install 'rededge_nb[{backend}]'")
    file = tmp_path / "model"
    file.write_bytes(made(backend))
    run(packages, edge, password, {backend: file})


def made(backend: str) -> bytes:
    if backend == "tflite":
        from tests.edge.ai.backends.test_tflite import MODEL

        return MODEL
    if backend == "torch":
        from tests.edge.ai.backends.test_torch import Sum, archive

        return archive(Sum())
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        a, b = (tf.compat.v1.placeholder(tf.float32, [None, 4], name=name) for name in "ab")
        tf.add(a, b, name="c")
    return graph.as_graph_def().SerializeToString()
