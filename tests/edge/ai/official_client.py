"""What RedisAI's own Python client does with a server; run with that client's packages, which want an old redis-py.

    python official_client.py '{"server": {…}, "models": {"onnx": "file", …}}'

`server` is what its Client takes. Each model adds its two inputs (`tflite`: doubles what is positive of its one).
Prints `ok`, or ends with the assertion that failed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from redis.exceptions import ResponseError
from redisai import Client

SCRIPT = """
def bar(tensors: List[Tensor], keys: List[str], args: List[str]):
    redis.execute("SET", keys[0], args[0])
    return tensors[0] + tensors[1] + int(str(redis.execute("GET", keys[0])))
"""
OLD_SCRIPT = "def bar(a, b):\n    return a + b\n"
NAMES: dict[str, Any] = {"tf": {"inputs": ["a", "b"], "outputs": ["c"]}}


def tensors(client: Client) -> None:
    for dtype in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"):
        array = np.array([[1, 0], [1, 1]], dtype)
        assert client.tensorset("t", array) == "OK"
        got = client.tensorget("t")
        assert got.dtype == array.dtype
        assert np.array_equal(got, array), dtype
    client.tensorset("t", (2, 3, 4, 5), dtype="float", shape=(2, 2))
    told = client.tensorget("t", as_numpy=False)
    assert told == {"dtype": "FLOAT", "shape": [2, 2], "values": [2.0, 3.0, 4.0, 5.0]}
    assert client.tensorget("t", meta_only=True) == {"dtype": "FLOAT", "shape": [2, 2]}
    pipeline = client.pipeline(transaction=False)
    replies = pipeline.tensorset("p", np.ones(2, np.float32)).set("native", 1).tensorget("p").execute()
    assert replies[:2] == [b"OK", True]
    assert replies[2].tolist() == [1, 1]


def model(client: Client, backend: str, blob: bytes) -> None:
    key = f"model-{backend}"
    names = NAMES.get(backend, {})
    assert client.modelstore(key, backend, "cpu", blob, tag="v1", **names) == "OK"
    meta = client.modelget(key, meta_only=True)
    assert (meta["backend"], meta["device"], meta["tag"]) == (backend.upper(), "cpu", "v1")
    assert client.modelget(key)["blob"] == blob
    client.tensorset("a", np.array([[2, -3, 4, 5]], np.float32))
    inputs = ["a"] if backend == "tflite" else ["a", "a"]
    expected = [4, 0, 8, 10] if backend == "tflite" else [4, -6, 8, 10]
    assert client.modelexecute(key, inputs, ["c"]) == "OK"
    assert client.tensorget("c").ravel().tolist() == expected
    assert client.modelrun(key, inputs, ["d"]) == "OK"
    assert client.tensorget("d").ravel().tolist() == expected
    info = client.infoget(key)
    assert sorted(info) == sorted(("key", "type", "backend", "device", "tag", "duration", "samples", "calls", "errors"))
    assert (info["calls"], info["errors"], info["samples"], info["type"]) == (2, 0, 2, "MODEL")
    client.inforeset(key)
    assert client.infoget(key)["calls"] == 0
    assert [key, "v1"] in client.modelscan()
    dags(client, key, inputs, expected)
    client.modeldel(key)
    for gone in (client.modelget, client.modeldel):
        assert error_of(gone, key) == "model key is empty"
    assert client.modelset(key, backend, "cpu", blob, **names) == "OK"
    client.modeldel(key)


def dags(client: Client, key: str, inputs: list[str], expected: list[float]) -> None:
    dag = client.dag(load=["a"], persist=["kept"])
    dag.tensorset("x", np.zeros((1, 4), np.float32)).modelexecute(key, inputs, ["kept"]).tensorget("kept")
    ok, also_ok, got = dag.execute()
    assert (ok, also_ok, got.ravel().tolist()) == ("OK", "OK", expected)
    assert client.tensorget("kept").ravel().tolist() == expected
    got = client.dag(load=["a"], readonly=True).modelexecute(key, inputs, ["out"]).tensorget("out").execute()[-1]
    assert got.ravel().tolist() == expected
    # an older name for the same
    got = client.dag(load=["a"], persist="kept").modelrun(key, inputs, ["kept"]).tensorget("kept").run()[-1]
    assert got.ravel().tolist() == expected
    missing = client.dag(load="missing").tensorget("missing")
    assert error_of(missing.execute) == "tensor key is empty or in a different shard"


def scripts(client: Client) -> None:
    assert client.scriptstore("s", "cpu", SCRIPT, "bar", tag="v2") == "OK"
    client.tensorset("a", np.array([1, 2], np.float32))
    client.scriptexecute("s", "bar", keys=["k"], inputs=["a", "a"], args=["10"], outputs=["c"])
    assert client.tensorget("c").tolist() == [12, 14]
    told = client.scriptget("s")
    assert (told["device"], told["tag"], told["source"]) == ("cpu", "v2", SCRIPT)
    words = {"keys": ["k"], "inputs": ["a", "a"], "args": ["20"], "outputs": ["c"]}
    assert client.dag(load="a", persist="c").scriptexecute("s", "bar", **words).execute() == ["OK"]
    assert client.tensorget("c").tolist() == [22, 24]
    assert client.scriptset("old", "cpu", OLD_SCRIPT) == "OK"
    client.scriptrun("old", "bar", inputs=["a", "a"], outputs=["c"])
    assert client.tensorget("c").tolist() == [2, 4]
    assert sorted(client.scriptscan()) == [["old", ""], ["s", "v2"]]
    client.scriptdel("old")
    client.scriptdel("s")
    assert client.scriptscan() == []
    expected = "expected def but found 'return' here:   File \"<string>\", line 1 return 1 ~~~~~~ <--- HERE "
    assert error_of(client.scriptstore, "s", "cpu", "return 1", "f") == expected


def error_of(function: Callable[..., object], *args: Any) -> str:
    try:
        reply = function(*args)
    except ResponseError as error:
        return str(error)
    raise AssertionError(f"an error was expected, and this came: {reply}")


def main() -> None:
    told = json.loads(sys.argv[1])
    client = Client(**told["server"])
    client.flushall()
    tensors(client)
    assert client.execute_command("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == 535_822_336
    for backend, file in told["models"].items():
        model(client, backend, Path(file).read_bytes())
        assert client.loadbackend(backend, "path") == "OK"
    if "torch" in told["models"]:
        scripts(client)
    client.flushall()
    print("ok")


if __name__ == "__main__":
    main()
