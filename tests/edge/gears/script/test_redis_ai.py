"""`import redisAI` inside gears."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator

import pytest
import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.edge.ai import onnx_files

GEAR = """
import asyncio, json
import redisAI as ai

def answer():
{body}

def result():
    try:
        return answer()
    except Exception as error:
        return "error: " + str(error)

GB("StreamReader").map(lambda record: json.dumps(result())).run("one")
"""
AWAITED = "async def awaited(something):\n    return await something\n"


@pytest.fixture
def client(edge: Instance) -> Iterator[redis.Redis]:
    shared = client_from_url(edge.url)
    shared.flushall()
    shared.xadd("one", {"n": 1})
    shared.set("text", "x")
    shared.execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.binary("Add"))
    shared.execute_command("AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)
    yield shared
    shared.flushall()
    shared.close()


def run(client: redis.Redis, body: str) -> object:
    """The value that `body` returns inside a gear, or its error."""
    lines = [f"    {line}" for line in (AWAITED + body).splitlines()]
    results, errors = client.execute_command("RG.PYEXECUTE", GEAR.format(body="\n".join(lines)))
    assert errors == []
    return ast.literal_eval(results[0].decode().replace("null", "None").replace("true", "True"))


def test_tensors(client: redis.Redis) -> None:
    body = """
values = ai.createTensorFromValues('FLOAT', (2, 2), iter([1.0, 2.0, 3.0, 4.5]))
blob = ai.createTensorFromBlob('INT16', [2], bytearray(b'\\x01\\x00\\x02\\x00'))
ai.setTensorInKey('v', values)
ai.msetTensorsInKeyspace({'v2': values, 'b': [blob]})
back = ai.mgetTensorsFromKeyspace(iter(['v', 'b']))
dims = [list(ai.tensorGetDims(each)) for each in back]
return [ai.tensorToFlatList(back[0]), list(ai.tensorGetDataAsBlob([back[1]])), dims]
"""
    assert run(client, body) == [[1.0, 2.0, 3.0, 4.5], [1, 0, 2, 0], [[2, 2], [2]]]
    assert client.execute_command("AI.TENSORGET", "v2", "META") == [b"dtype", b"FLOAT", b"shape", [2, 2]]


RUNNER = """
t = ai.getTensorFromKey('a')
runner = ai.createModelRunner('m')
counts = [ai.modelRunnerAddInput(runner, 'whatever', t), ai.modelRunnerAddInput(runner, 'name', t)]
counts.append(ai.modelRunnerAddOutput(runner, 'c'))
"""


@pytest.mark.parametrize("how", ["ai.modelRunnerRun(runner)", "asyncio.run(awaited(ai.modelRunnerRunAsync(runner)))"])
def test_a_model_runner_works_once(client: redis.Redis, how: str) -> None:
    body = RUNNER + f"outputs = {how}\n"
    assert run(client, body + "return [counts, [ai.tensorToFlatList(each) for each in outputs]]") == [
        [1, 1, 1],
        [[2.0, 4.0]],
    ]
    assert run(client, body + how) == "error: PyGraphRunner is invalid"


def test_a_model_is_shared_with_the_commands_and_follows_its_key(client: redis.Redis) -> None:
    body = RUNNER + "return ai.tensorToFlatList(ai.modelRunnerRun(runner)[0])"
    assert run(client, body) == [2.0, 4.0]
    client.execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.binary("Mul"))
    assert run(client, body) == [1.0, 4.0]
    assert client.execute_command("AI.INFO", "m")[14:16] == [b"calls", 1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("ai.createTensorFromBlob('FLOAT', [2], b'1234')", "ERR data length does not match tensor shape and type"),
        ("ai.getTensorFromKey('no')", "ERR tensor key is empty"),
        ("ai.getTensorFromKey('text')", "ERR key is not a tensor"),
        ("ai.setTensorInKey('text', ai.getTensorFromKey('a'))", "ERR Key is already set with non tensor values."),
        ("ai.createModelRunner('no')", "given key do not contain RedisAI model"),
        ("ai.createModelRunner('a')", "given key do not contain RedisAI model"),
        ("ai.modelRunnerRun(ai.createModelRunner('m'))", "Expected 2 inputs but got 0"),
        (
            "runner = ai.createModelRunner('m')\n"
            "for name in 'xy':\n"
            "    ai.modelRunnerAddInput(runner, name, ai.getTensorFromKey('a'))\n"
            "return ai.modelRunnerRun(runner)",
            "Expected 1 outputs but got 0",
        ),
        ("ai.createScriptRunner('no', 'f')", "given key do not contain RedisAI script"),
        ("ai.createDAGRunner().ModelRun(name='no', inputs=[], outputs=[])", "given key do not contain RedisAI model"),
        (
            "ai.createDAGRunner().ScriptRun(name='no', func='f', inputs=[], outputs=[])",
            "given key do not contain RedisAI script",
        ),
        (
            "ai.createDAGRunner().ModelRun(name='m', inputs=['x'], outputs=['z'])",
            "Number of keys given as INPUTS here does not match model definition",
        ),
        (
            "ai.createDAGRunner().ModelRun(name='m', inputs=['x', 'x'], outputs=['y', 'z'])",
            "Number of keys given as OUTPUTS here does not match model definition",
        ),
        ("ai.createDAGRunner().Run()", "ERR DAG is empty"),
        ("ai.createDAGRunner().TensorGet('x').Run()", "ERR INPUT key cannot be found in DAG"),
    ],
)
def test_errors(client: redis.Redis, body: str, error: str) -> None:
    assert run(client, body) == f"error: {error}"


DAG = """
t = ai.getTensorFromKey('a')
dag = ai.createDAGRunner().Input('x', t).TensorSet('y', t)
dag.ModelRun(name='m', inputs=['x', 'y'], outputs=['z']).TensorGet('z').TensorGet('x')
"""


def test_a_dag(client: redis.Redis) -> None:
    body = DAG + "found = asyncio.run(awaited(dag.Run()))\n"
    assert run(client, body + "return [ai.tensorToFlatList(each) for each in found]") == [[2.0, 4.0], [1.0, 2.0]]
    assert run(client, body + "dag.Run()") == "error: PyDAGRunner is invalid"


def test_a_dag_from_text(client: redis.Redis) -> None:
    body = """
dag = ai.createDAGRunner().Input('x', ai.getTensorFromKey('a'))
dag.OpsFromString('|> AI.MODELEXECUTE m INPUTS 2 x x OUTPUTS 1 y |> AI.TENSORGET y')
return ai.tensorToFlatList(asyncio.run(awaited(dag.Run()))[0])
"""
    assert run(client, body) == [2.0, 4.0]
    assert "begin with |>" in str(run(client, "ai.createDAGRunner().OpsFromString('AI.TENSORGET x')"))


def test_a_failed_dag_raises(client: redis.Redis) -> None:
    client.execute_command("AI.TENSORSET", "a", "FLOAT", 3)
    assert "Invalid rank for input" in str(run(client, DAG + "return asyncio.run(awaited(dag.Run()))"))


@pytest.mark.backends
def test_scripts(client: redis.Redis) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("pip install 'rededge_nb[torch]'")
    source = "def f(a, rest: List[Tensor]):\n    return a + rest[0], rest[1]\n"
    client.execute_command("AI.SCRIPTSET", "s", "CPU", source)
    body = """
t = ai.getTensorFromKey('a')
runner = ai.createScriptRunner('s', 'f')
made = [ai.scriptRunnerAddInput(runner, t), ai.scriptRunnerAddInputList(runner, [t, t])]
made += [ai.scriptRunnerAddOutput(runner), ai.scriptRunnerAddOutput(runner)]
"""
    for how in ("ai.scriptRunnerRun(runner)", "asyncio.run(awaited(ai.scriptRunnerRunAsync(runner)))"):
        result = f"return [made, [ai.tensorToFlatList(each) for each in {how}]]"
        assert run(client, body + result) == [[None, None, 1, 1], [[2.0, 4.0], [1.0, 2.0]]]
        assert run(client, f"{body}{how}\n{how}") == "error: PyTorchScriptRunner is invalid"
