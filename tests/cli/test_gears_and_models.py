"""Gears and models from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import redis

from rededge_nb.edge.server.state import Instance
from tests.cli.running import rededge
from tests.control.model_import import toys
from tests.waiting import wait_for

ECHO = "GearsBuilder('StreamReader').foreach(lambda r: execute('RPUSH', 'seen', r['id'])).register('numbers')\n"
BROKEN = "GearsBuilder('StreamReader').map(lambda r: 1 / 0).register('numbers', onFailedPolicy='continue')\n"


def test_a_gear_from_registration_to_removal(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    none = rededge("gears", "list")
    assert (none.returncode, none.stdout) == (0, "")
    script = tmp_path / "echo.py"
    script.write_text(ECHO)
    done = rededge("gears", "register", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("registered echo on numbers: ")
    (listed,) = json.loads(rededge("gears", "list", "--json").stdout)
    assert (listed["session"], listed["stream"], listed["status"]) == ("echo", "numbers", "OK")
    table = rededge("gears", "list").stdout
    assert listed["id"] in table

    assert rededge("gears", "pause", "echo").stdout == f"paused echo on numbers: {listed['id']}\n"
    assert json.loads(rededge("gears", "list", "--json").stdout)[0]["status"] == "PAUSED"
    assert rededge("gears", "unpause", listed["id"]).stdout.startswith("unpaused echo")
    client.xadd("numbers", {"n": 1})
    wait_for(lambda: client.llen("seen") == 1, what="the unpaused gear")
    assert rededge("gears", "unregister", "echo").stdout.startswith("unregistered echo on numbers")
    assert client.execute_command("RG.DUMPREGISTRATIONS") == []


@pytest.mark.parametrize("stream", ["numbers", "num*", "nothing*"])
def test_two_gears_on_one_stream_cause_a_warning(
    edge: Instance, client: redis.Redis, tmp_path: Path, stream: str
) -> None:
    for name, wanted in (("one", "numbers"), ("two", stream)):
        (tmp_path / f"{name}.py").write_text(ECHO.replace("numbers", wanted))
        done = rededge("gears", "register", tmp_path / f"{name}.py")
        assert done.stdout.startswith(f"registered {name} on {wanted}: ")
    listed = rededge("gears", "list")
    warning = "only one of two gears gets an entry of a stream"
    assert (warning in done.stderr, warning in listed.stderr) == ((stream != "nothing*",) * 2)
    assert ("one on numbers" in done.stderr) == (f"two on {stream}" in done.stderr) == (stream != "nothing*")


def test_a_gear_that_deletes_what_a_camera_writes_causes_a_warning(
    edge: Instance, client: redis.Redis, tmp_path: Path
) -> None:
    script = tmp_path / "crowd.py"
    script.write_text(ECHO.replace("numbers", "camera:7:yolo"))
    done = rededge("gears", "register", script)
    assert (done.returncode, "deletes the entries of camera:7:yolo" in done.stderr) == (0, True)
    script.write_text(ECHO.replace("'numbers'", "'camera:7:yolo', trimStream=False"))
    assert rededge("gears", "register", script).stderr == ""


def test_a_run_that_does_not_end_is_listed_and_aborted(edge: Instance, client: redis.Redis) -> None:
    none = rededge("gears", "executions")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "no gear runs now\n")
    endless = "GB('PythonReader').run(lambda: iter(lambda: 1, 2))"
    execution = client.execute_command("RG.PYEXECUTE", endless, "UNBLOCKING").decode()
    assert f"{execution}  running  RG.PYEXECUTE" in rededge("gears", "executions").stdout
    done = rededge("gears", "abort", execution)
    assert (done.returncode, done.stdout) == (0, f"aborted {execution}\n")
    assert rededge("gears", "executions").stdout == ""
    (remembered,) = json.loads(rededge("gears", "executions", "--all", "--json").stdout)
    assert (remembered["id"], remembered["status"]) == (execution, "done")
    missing = rededge("gears", "abort", "1-1")
    assert (missing.returncode, missing.stderr) == (1, "rededge: RG.ABORTEXECUTION 1-1: execution does not exist\n")


def test_errors_of_gears_and_of_frames(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    clean = rededge("gears", "errors")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "no errors\n")
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    assert rededge("gears", "register", script, "--id", "divides").returncode == 0
    client.xadd("numbers", {"n": 1})
    client.sadd("cameras", "0")
    for number in range(3):
        client.xadd("camera:0:errors", {"ref": f"{number}-0", "reason": "no picture"})
    found = wait_for(
        lambda: (errors := json.loads(rededge("gears", "errors", "--json", "--count", 2).stdout))["gears"] and errors,
        what="the gear's error",
        timeout=30,
    )
    assert (found["gears"][0]["session"], [frame["ref"] for frame in found["frames"]]) == ("divides", ["1-0", "2-0"])
    text = rededge("gears", "errors").stdout
    assert "divides on numbers, failed 1 times; last error:\n" in text
    assert "ZeroDivisionError" in text
    assert "camera 0, frame 2-0: no picture\n" in text


def test_errors_of_gears_commands(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("GearsBuilder('NoSuchReader')\n")
    refused = rededge("gears", "register", script)
    assert refused.returncode == 1
    assert refused.stderr.startswith("rededge: the gear 'wrong' was not registered:\n")
    script.write_text("x = 1\n")
    empty = rededge("gears", "register", script)
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "ran without registering anything" in empty.stderr
    for verb in ("pause", "unpause", "unregister"):
        missing = rededge("gears", verb, "nobody")
        assert missing.returncode == 1
        assert missing.stderr == (
            "rededge: no gear 'nobody' is registered, as registration or session; registered are: none\n"
        )


def test_a_model_from_storing_to_removal(edge: Instance, client: redis.Redis) -> None:
    none = rededge("models", "list")
    assert (none.returncode, none.stdout) == (0, "")
    assert rededge("models", "load").stdout == "stored model nanodet-g-two-sizes as model:nanodet-g-two-sizes\n"
    assert rededge("models", "load", "nanodet-g-two-sizes").stdout == "model:nanodet-g-two-sizes is stored already\n"
    (listed,) = json.loads(rededge("models", "list", "--json").stdout)
    assert (listed["key"], listed["backend"], listed["used"]) == ("model:nanodet-g-two-sizes", "ONNX", False)
    assert rededge("models", "load", "--use").stdout.startswith("set for the gear: model=model:nanodet-g-two-sizes, ")
    assert json.loads(rededge("models", "list", "--json").stdout)[0]["used"]
    assert rededge("models", "list").stdout.splitlines()[2].split()[0] == "model:nanodet-g-two-sizes"
    assert rededge("models", "remove", "model:nanodet-g-two-sizes").stdout == "removed model:nanodet-g-two-sizes\n"
    gone = rededge("models", "remove", "model:nanodet-g-two-sizes")
    assert gone.returncode == 1
    assert gone.stderr.startswith("rededge: AI.MODELDEL model:nanodet-g-two-sizes: ")


def test_a_model_is_imported(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    model = tmp_path / "mine.onnx"
    onnx.save(toys.toy_model(toys.yolov8), model)
    done = rededge("models", "import", model, "--use", "--licence", "MIT", "--origin", "a test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("layout yolov8 (YOLOv8, ")
    assert f"wrote {tmp_path / 'mine.yaml'}\n" in done.stdout
    assert "warning" not in done.stdout
    (listed,) = json.loads(rededge("models", "list", "--json").stdout)
    assert (listed["key"].startswith("model:mine:"), listed["used"]) == (True, True)
    again = json.loads(rededge("models", "import", model, "--name", "other", "--json").stdout)
    assert (again["key"][:12], again["found_in_sample"], again["warnings"][0][:11]) == (
        "model:other:",
        1,
        "the licence",
    )
    refused = rededge("models", "import", model, "--layout", "yolox")
    assert refused.returncode == 1
    assert refused.stderr.startswith("rededge: the model does not have the layout yolox. inputs: images float32 ")
