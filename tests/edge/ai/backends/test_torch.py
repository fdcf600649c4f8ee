"""TORCH models and scripts, where torch is installed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import rededge_nb
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.switchboard.calls import OK

torch = pytest.importorskip("torch", reason="pip install 'rededge_nb[torch]'")
pytestmark = [pytest.mark.backends, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]

PACKAGE = Path(rededge_nb.__file__).parent

SCRIPT = """
def bar(a, b):
    return a + b

def bar_variadic(a, args: List[Tensor]):
    return args[0] + args[1]

def number(a):
    return 3

def two(a, b):
    return a + b, a - b

def listed(tensors: List[Tensor], keys: List[str], args: List[str]):
    return [tensors[0] + float(args[0]), tensors[0]]

def commands(tensors: List[Tensor], keys: List[str], args: List[str]):
    redis.execute("SET", keys[0], args[0])
    redis.execute("RPUSH", keys[1], "1", "2", "3")
    numbers = redis.asList(redis.execute("LRANGE", keys[1], "0", "-1"))
    value = redis.execute("GET", keys[0])
    nothing = redis.execute("GET", "missing")
    return torch.tensor(int(str(value)) + len(numbers) + (0 if isinstance(nothing, str) else 100))

def wrong_command(a):
    redis.execute("GET")
    return a

def deadlock(a):
    redis.execute("ai.modelexecute", "m", "INPUTS", "2", "a", "b", "OUTPUTS", "1", "c")
    return a

def model(tensors: List[Tensor], keys: List[str], args: List[str]):
    return redisAI.model_execute(keys[0], tensors, 1)

def raises(a):
    if bool(a.sum() > -1):
        raise Exception("so it is")
    return a

def two_inputs(tensors: List[Tensor], keys: List[str]):
    return tensors[0]

def other_inputs(tensors: List[Tensor], keys: List[str], args: List[int]):
    return tensors[0]

def text(a, b: str):
    return a
"""
BAD = "expected def but found 'return' here:   File \"<string>\", line 1 return 1 ~~~~~~ <--- HERE "


class Sum(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


class Pair(torch.nn.Module):
    def forward(self, a: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        return a + 1, (a * 2, a.sum())


class Writes(torch.nn.Module):
    def forward(self, a: torch.Tensor) -> torch.Tensor:
        torch.save(a, "written")
        return a


def archive(module: torch.nn.Module) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


@pytest.fixture
def tensors(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "a", "FLOAT", 2, "VALUES", 2, 3)
    call("AI.TENSORSET", "b", "FLOAT", 2, "VALUES", 10, 20)


@pytest.fixture
def script(call: Callable[..., object]) -> None:
    entry_points = ("listed", "commands", "model")
    call("AI.SCRIPTSTORE", "s", "cpu", "TAG", "v1", "ENTRY_POINTS", 3, *entry_points, "SOURCE", SCRIPT)


@pytest.mark.usefixtures("tensors")
def test_a_model_is_stored_and_run(call: Callable[..., object]) -> None:
    blob = archive(Sum())
    assert call("AI.MODELSTORE", "m", "TORCH", "CPU", "TAG", "t", "BLOB", blob) is OK
    assert call("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"12", b"23"]
    meta = call("AI.MODELGET", "m", "META")
    assert meta[10:14] == ["inputs", ["a", "b"], "outputs", [""]]
    assert call("AI.MODELGET", "m", "BLOB") == blob


@pytest.mark.usefixtures("tensors")
def test_tensors_within_tuples_are_outputs(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", archive(Pair()))
    call("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 3, "x", "y", "z")
    values = [call("AI.TENSORGET", key, "META", "VALUES") for key in ("x", "y", "z")]
    assert [(reply[3], reply[5]) for reply in values] == [([2], [b"3", b"4"]), ([2], [b"4", b"6"]), ([], [b"5"])]


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return Path.touch, (Path("written"),)  # type: ignore[return-value]


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save(Evil(), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "make", [pickled, lambda: archive(Sum())[:-50], lambda: b"\x80\x04junk", lambda: archive(Writes())]
)
def test_other_files_than_torchscript_and_forbidden_operators_are_refused(
    error_of: Callable[..., str], make: Callable[[], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = make()
    monkeypatch.chdir(tmp_path)
    assert error_of("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", blob).startswith("ERR the ")
    assert list(tmp_path.iterdir()) == []


def test_without_that_gpu(error_of: Callable[..., str]) -> None:
    blob = archive(Sum())
    error = error_of("AI.MODELSTORE", "m", "TORCH", "GPU:99", "BLOB", blob)
    assert error == "GPU requested but Torch couldn't find CUDA"
    error = error_of("AI.SCRIPTSET", "s", "GPU:99", "SOURCE", SCRIPT)
    assert error == "GPU requested but Torch couldn't find CUDA"


@pytest.mark.usefixtures("script")
def test_a_script_is_read_and_deleted(call: Callable[..., object], client: redis.Redis) -> None:
    meta = ["device", "cpu", "tag", b"v1", "Entry Points", ["listed", "commands", "model"]]
    assert call("AI.SCRIPTGET", "s", "META") == meta
    assert call("AI.SCRIPTGET", "s", "source") == SCRIPT.encode()
    both = [*meta, "source", SCRIPT.encode()]
    assert call("AI.SCRIPTGET", "s") == call("AI.SCRIPTGET", "s", "META", "SOURCE") == both
    assert call("AI._SCRIPTSCAN") == [[b"s", b"v1"]]
    assert call("AI._MODELSCAN") == []
    assert call("AI.SCRIPTDEL", "s") is OK
    assert client.keys() == []


@pytest.mark.usefixtures("tensors")
@pytest.mark.parametrize("words", [("SOURCE", SCRIPT), (SCRIPT,), ("TAG", "t", "SOURCE", SCRIPT), ("TAG", "t", SCRIPT)])
def test_the_older_commands(call: Callable[..., object], words: tuple[str, ...]) -> None:
    assert call("AI.SCRIPTSET", "s", "CPU", *words) is OK
    assert call("AI.SCRIPTRUN", "s", "bar", "INPUTS", "a", "b", "OUTPUTS", "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"12", b"23"]
    assert call("AI.SCRIPTRUN", "s", "bar_variadic", "INPUTS", "a", "$", "b", "b", "OUTPUTS", "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"20", b"40"]


@pytest.mark.usefixtures("tensors", "script")
def test_scripts_run(call: Callable[..., object], client: redis.Redis) -> None:
    execute = ("AI.SCRIPTEXECUTE", "s")
    assert call(*execute, "listed", "INPUTS", 1, "a", "ARGS", 1, "0.5", "OUTPUTS", 2, "x", "y") is OK
    assert [call("AI.TENSORGET", key, "VALUES") for key in "xy"] == [[b"2.5", b"3.5"], [b"2", b"3"]]
    assert call(*execute, "two", "INPUTS", 2, "a", "b", "OUTPUTS", 2, "x", "y") is OK
    assert call("AI.TENSORGET", "y", "VALUES") == [b"-8", b"-17"]
    assert call(*execute, "commands", "KEYS", 2, "k", "l", "ARGS", 1, "7", "OUTPUTS", 1, "z") is OK
    assert client.get("k") == b"7"
    assert call("AI.TENSORGET", "z", "META", "VALUES") == ["dtype", "INT64", "shape", [], "values", [110]]
    assert call(*execute, "number", "INPUTS", 1, "a") is OK


@pytest.mark.usefixtures("tensors", "script")
def test_a_script_runs_a_model(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", archive(Sum()))
    call("AI.SCRIPTEXECUTE", "s", "model", "KEYS", 1, "m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c")
    assert call("AI.TENSORGET", "c", "VALUES") == [b"12", b"23"]
    assert call("AI.INFO", "m")[14:16] == ["calls", 1]


@pytest.mark.usefixtures("tensors", "script")
def test_info_of_a_script(call: Callable[..., object], error_of: Callable[..., str]) -> None:
    call("AI.SCRIPTEXECUTE", "s", "bar", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c")
    error_of("AI.SCRIPTEXECUTE", "s", "raises", "INPUTS", 1, "a", "OUTPUTS", 1, "c")
    head = ["key", b"s", "type", "SCRIPT", "backend", "TORCH", "device", "cpu", "tag", b"v1"]
    info = call("AI.INFO", "s")
    assert info[:10] == head
    assert info[11] > 0
    assert info[12:] == ["samples", -1, "calls", 2, "errors", 1]
    assert call("AI.INFO", "s", "RESETSTAT") is OK
    assert call("AI.INFO", "s") == [*head, "duration", 0, "samples", -1, "calls", 0, "errors", 0]


@pytest.mark.usefixtures("tensors", "script")
def test_a_dag_with_a_script(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "m", "TORCH", "CPU:1", "BLOB", archive(Sum()))
    words = ("|>", "AI.SCRIPTEXECUTE", "s", "listed", "ARGS", 1, "1", "INPUTS", 1, "a", "OUTPUTS", 2, "x", "y")
    words += (
        "|>",
        "AI.MODELEXECUTE",
        "m",
        "INPUTS",
        2,
        "x",
        "y",
        "OUTPUTS",
        1,
        "z",
        "|>",
        "AI.TENSORGET",
        "z",
        "VALUES",
    )
    assert call("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "z", *words) == [OK, OK, [b"5", b"7"]]
    words = ("|>", "AI.SCRIPTRUN", "s", "bar", "INPUTS", "a", "a", "OUTPUTS", "x", "|>", "AI.TENSORGET", "x", "VALUES")
    assert call("AI.DAGRUN", "LOAD", 1, "a", *words) == [OK, [b"4", b"6"]]


@pytest.mark.usefixtures("tensors", "script")
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("nothing", "INPUTS", 1, "a"), "Function does not exist: nothing"),
        (("bar", "INPUTS", 1, "a"), "Wrong number of inputs provided to function: bar"),
        (("bar", "INPUTS", 3, "a", "a", "a"), "Wrong number of inputs provided to function: bar"),
        (("text", "INPUTS", 2, "a", "a"), "Unsupported input type in function definition: text"),
        (
            ("two", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c"),
            "Function returned unexpected number of outputs - two",
        ),
        (("number", "INPUTS", 1, "a", "OUTPUTS", 1, "c"), "Function returned non-tensor valuesnumber"),
        (("bar", "INPUTS", 2, "a", "no"), "ERR tensor key is empty or in a different shard"),
        (("bar", "INPUTS", 2, "a", "s"), "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (("bar", "INPUTS", 2, "a", "words"), "ERR the TORCH backend takes no STRING tensors"),
    ],
)
def test_errors_of_runs(
    call: Callable[..., object], error_of: Callable[..., str], words: tuple[str | int, ...], error: str
) -> None:
    call("AI.TENSORSET", "words", "STRING", 1, "VALUES", "x")
    assert error_of("AI.SCRIPTEXECUTE", "s", *words) == error


@pytest.mark.usefixtures("tensors", "script")
@pytest.mark.parametrize(
    ("function", "part"),
    [
        ("raises", "so it is"),
        ("wrong_command", "Redis command returned an error: wrong number of arguments for 'get' command"),
        ("deadlock", "Cannot run RedisAI command within a transaction or a LUA script"),
    ],
)
def test_the_error_of_a_script_is_passed_on(error_of: Callable[..., str], function: str, part: str) -> None:
    error = error_of("AI.SCRIPTEXECUTE", "s", function, "INPUTS", 1, "a", "OUTPUTS", 1, "c")
    assert part in error
    assert str(PACKAGE) not in error


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nothing", "Function nothing does not exist in the given script."),
        ("two_inputs", "Wrong number of inputs in function two_inputs. Expected 3 but was 2"),
        (
            "other_inputs",
            "Wrong inputs type in function other_inputs. Expected signature similar to: "
            "def other_inputs(tensors: List[Tensor], keys: List[str], args: List[str])",
        ),
    ],
)
def test_errors_of_entry_points(error_of: Callable[..., str], client: redis.Redis, name: str, error: str) -> None:
    assert error_of("AI.SCRIPTSTORE", "s", "CPU", "ENTRY_POINTS", 1, name, "SOURCE", SCRIPT) == error
    assert client.keys() == []


def test_errors_of_the_source(error_of: Callable[..., str], client: redis.Redis) -> None:
    assert (
        error_of("AI.SCRIPTSTORE", "s", "CPU", "ENTRY_POINTS", 1, "f", "SOURCE", "return 1").replace("\n", " ") == BAD
    )
    files = "def f(a):\n    torch.save(a, 'written')\n    return a\n"
    assert "aten::save" in error_of("AI.SCRIPTSET", "s", "CPU", "SOURCE", files)
    assert client.keys() == []


@pytest.mark.usefixtures("script")
def test_a_script_is_compiled_once_and_freed(
    call: Callable[..., object], client: redis.Redis, models: LoadedModels
) -> None:
    session = models.find_script(client, "s")
    call("AI.SCRIPTSET", "other", "CPU:1", "SOURCE", SCRIPT)
    assert models.find_script(client, "other").compiled is session.compiled
    call("AI.SCRIPTDEL", "s")
    assert models.find_script(client, "other").compiled is session.compiled
    call("AI.SCRIPTDEL", "other")
    call("AI.SCRIPTSET", "s", "CPU", "SOURCE", SCRIPT)
    assert models.find_script(client, "s").compiled is not session.compiled
