"""Stored gears outlive the package that stored them: format 0, that of commit a592920, and the one written now."""

from __future__ import annotations

import base64
import json
import pickle
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.script import modules
from rededge_nb.edge.gears.state import stored_code, vault
from rededge_nb.edge.server.state import Instance
from rededge_nb.monitoring.status import CANNOT_RUN, server_status
from tests.cli.running import rededge
from tests.gear_scripts import execute, only_registration, registrations
from tests.waiting import wait_for

FORMAT_0 = json.loads((Path(__file__).parent / "format_0.json").read_text())
SCRIPT = "\n".join(FORMAT_0["script"])
"""It uses every name that a gear script has, and every operation that is made of several steps."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NAMES = """
Draft GB GearsBuilder GearsConfigGet GearsError GearsFlatError GearsForceStopped GearsFuture Log ConfigGet PyAtomic
PyExecutionSession PyFlatExecution PyFuture Step StreamRecord Tensor _add_number _add_to_set _add_totals _append
_average _count _count_of_key _fold _fold_groups _fold_of_key _itself _key_of_group _record _sum _sum_of_key atomic
atomicCtx callNext call_next configGet config_get createDAGRunner createFuture createModelRunner createScriptRunner
createTensorFromBlob createTensorFromValues execute executeCommand flatError flat_error gearsConfigGet gearsCtx
gearsFuture gearsFutureCtx getCommand getGearsSession getMyHashTag getTensorFromKey get_command hashtag isAsyncAllow
isInAtomicBlock log mgetTensorsFromKeyspace modelRunnerAddInput modelRunnerAddOutput modelRunnerRun
modelRunnerRunAsync msetTensorsInKeyspace overrideReply override_reply registerGearsThread registerTE
registerTimeEvent runCoroutine scriptRunnerAddInput scriptRunnerAddInputList scriptRunnerAddOutput scriptRunnerRun
scriptRunnerRunAsync setFutureException setFutureResults setGearsSession setTensorInKey tensorGetDataAsBlob
tensorGetDims tensorToFlatList createKeysOnlyReader shardReaderCallback
"""
"""Names in stored gears. More may be added here, and none may ever be removed: somebody has a gear that uses it."""
ADDED_LATER = ("createKeysOnlyReader", "shardReaderCallback")
"""Those that no gear of format 0 has."""


@pytest.fixture(autouse=True)
def stored_names() -> None:
    modules.install()


@dataclass
class Old:
    """The session and the timer of commit a592920, for this Python."""

    session: dict[str, Any]
    code: bytes
    timer: bytes


@pytest.fixture
def old() -> Old:
    if PYTHON not in FORMAT_0:
        pytest.skip(f"commit a592920 did not run on Python {PYTHON}")
    found = FORMAT_0[PYTHON]
    code, timer = (zlib.decompress(base64.b64decode(found[name])) for name in ("code", "timer"))
    return Old(json.loads(found["session"]), code, timer)


def restore(client: redis.Redis, session: dict[str, Any], code: bytes) -> None:
    """Store a session in the copy that survives FLUSHALL, and let the server restore it."""
    pipeline = client.pipeline(transaction=True)
    vault.queue_store(pipeline, session["id"], json.dumps(session).encode(), code)
    pipeline.flushall()
    pipeline.execute()


def trigger(client: redis.Redis, *words: object) -> Any:
    return client.execute_command("RG.TRIGGER", *words)


def runs_as_it_should(client: redis.Redis) -> None:
    """All registrations of SCRIPT do their work."""
    assert trigger(client, "caught") == [[b"caught", 71, 2, [b"1.000000", b"2.000000"], 1]]
    assert trigger(client, "sort", 3, 1, 2) == [1, 2, 3]
    assert trigger(client, "countby", "a", "b", "a") == [b"{'key': 'a', 'value': 2}", b"{'key': 'b', 'value': 1}"]
    assert trigger(client, "avg", 1, 2) == [b"1.5"]
    assert trigger(client, "distinct", "a", "b", "a") == [b"2"]
    assert trigger(client, "count", "a", "b", "a") == [b"3"]
    client.xadd("s", {"n": 7})
    wait_for(lambda: client.lrange("kept", 0, -1) == [b"7"], what="the stream's gear")
    assert client.get("registered") == b"1"


def test_a_session_of_format_0_runs(client: redis.Redis, old: Old) -> None:
    assert "format" not in old.session
    assert b"rededge_nb.edge.gears.registrations" in old.code, "a module that is not there any more"
    restore(client, old.session, old.code)
    runs_as_it_should(client)


def test_a_session_of_format_0_stays_one_when_it_is_changed(client: redis.Redis, old: Old) -> None:
    restore(client, old.session, old.code)
    (stream,) = [one["id"] for one in registrations(client) if one["reader"] == b"StreamReader"]
    client.execute_command("RG.PAUSEREGISTRATIONS", stream)
    client.execute_command("RG.UNREGISTER", old.session["registrations"][1]["id"])
    client.flushall()
    client.execute_command("RG.UNPAUSEREGISTRATIONS", stream)
    client.xadd("s", {"n": 7})
    wait_for(lambda: client.lrange("kept", 0, -1) == [b"7"], what="the stream's gear")
    with pytest.raises(redis.ResponseError, match="subcommand not found"):
        trigger(client, "sort", 1)
    assert trigger(client, "distinct", "a") == [b"1"]


def test_objects_of_format_0_are_those_of_the_api(old: Old) -> None:
    caught = stored_code.loads(old.code)[0].steps[0].callback
    found = {id(value) for value in caught.__globals__["names"]}
    missing = {name for name, value in stored_code.STORED_NAMES.items() if id(value) not in found}
    assert missing == {
        "Draft",
        "Step",
        "StreamRecord",
        "Tensor",
        *ADDED_LATER,
        *(name for name in NAMES.split() if name.startswith("_")),
    }
    assert caught.__globals__["GearsError"] is stored_code.STORED_NAMES["GearsError"], "or no script could catch it"


def test_a_script_that_uses_every_name_runs_and_is_stored_without_our_modules(client: redis.Redis) -> None:
    execute(client, SCRIPT, "ID", "mine")
    session = json.loads(state_client(client).hget(key_names.sessions(client), "mine") or b"")
    code = state_client(client).get(key_names.session_code(client, "mine")) or b""
    assert session["format"] == stored_code.FORMAT > 0
    assert json.loads(vault.load_all(client)[0][0]) == session
    for text in (json.dumps(session).encode(), code, *vault.load_all(client)[0]):
        assert not re.search(rb"rededge_nb\b", text)
    with pytest.raises(pickle.UnpicklingError, match="persistent"):
        pickle.loads(code)
    runs_as_it_should(client)


@pytest.mark.parametrize("name", sorted({*NAMES.split(), *modules.STORED_NAMES}))
def test_a_stored_name_stays_and_means_the_same_object(name: str) -> None:
    assert name in NAMES.split(), "add it to the list of this test: from now on gears are stored with it"
    value = stored_code.STORED_NAMES[name]
    stored = stored_code.dumps(value)
    assert b"rededge_nb" not in stored
    assert stored_code.loads(stored) is value


def test_a_name_that_this_version_does_not_have_is_an_error() -> None:
    stored = stored_code.dumps(stored_code.STORED_NAMES["execute"]).replace(b"execute", b"exorcise"[:7])
    with pytest.raises(pickle.UnpicklingError, match="this version has nothing that is called exorcis"):
        stored_code.loads(stored)


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("from rededge_nb.images import encode_jpeg", "encode_jpeg"),
        ("from rededge_nb import images", "images"),
        ("from rededge_nb.edge.server.state import StateFolder", "[StateFolder]"),
        ("from rededge_nb.errors import RedEdgeError", "{1: RedEdgeError('an instance')}"),
    ],
)
def test_a_script_cannot_store_what_may_move(client: redis.Redis, statement: str, value: str) -> None:
    register = "GB('CommandReader').map(work).register(trigger='t', convertToStr=False)"
    with pytest.raises(redis.ResponseError, match=r"callback=work .*may move within rededge_nb.*import it inside"):
        execute(client, f"{statement}\nused = {value}\ndef work(r):\n    return used\n{register}")
    execute(client, f"def work(r):\n    {statement}\n    return {value} is not None\n{register}")
    assert trigger(client, "t") == [1]


def test_a_script_may_store_what_it_imports_of_analytics(client: redis.Redis) -> None:
    script = """
from rededge_nb.analytics import tracking
from rededge_nb.analytics.tracking import Tracker
def work(r):
    return Tracker is tracking.Tracker
GB('CommandReader').map(work).register(trigger='t')
"""
    execute(client, script)
    assert trigger(client, "t") == [b"True"]


# ---- What cannot run ----


def gears_list(edge: Instance) -> str:
    done = rededge("gears", "list", "--dir", edge.dir)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"python": "3.99"}, f"it was stored under Python 3.99, and here is Python {PYTHON}"),
        ({"format": 99}, "a newer version of rededge_nb stored it (format 99, this version reads 0 to 1)"),
    ],
)
def test_a_session_that_cannot_run_says_why_and_what_to_do(
    client: redis.Redis, edge: Instance, changed: dict[str, Any], reason: str
) -> None:
    script = "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')"
    execute(client, script, "ID", "mine")
    ((description, code),) = vault.load_all(client)
    client.execute_command("RG.UNREGISTER", only_registration(client)["id"])  # else it runs already
    restore(client, json.loads(description) | changed | {"field_of_a_later_version": 1}, code)

    def last_error() -> str:
        return (only_registration(client)["data"]["lastError"] or b"").decode()

    wait_for(last_error, what="the reason")
    for text in (last_error(), gears_list(edge), (edge.dir / "logs" / "worker.log").read_text()):
        assert reason in text
    for text in (last_error(), gears_list(edge)):
        assert "cannot run on worker" in text
        assert "`rededge gears register FILE --id mine`" in text
    facts = server_status(edge.url, edge)
    assert "cannot run: mine" in facts["state"]
    assert [gear["status"] for gear in facts["gears"]] == [CANNOT_RUN]
    execute(client, script, "ID", "mine", "UPGRADE")
    client.xadd("s", {"n": 1})
    wait_for(lambda: client.get("n") == b"1", what="the gear")
    assert (last_error(), server_status(edge.url, edge)["state"]) == ("", "ok")


def test_an_error_of_loading_is_forgotten_once_the_code_can_be_loaded(client: redis.Redis) -> None:
    script = """
class Loads:
    def __reduce__(self):
        return (eval, ("__import__('redisgears').executeCommand('GET', 'there') or 1 / 0",))
loads = Loads()
GB('CommandReader').map(lambda r: str(loads)).register(trigger='t')
"""
    execute(client, script, "ID", "mine")
    wait_for(lambda: b"ZeroDivisionError" in (only_registration(client)["data"]["lastError"] or b""), what="the reason")
    with pytest.raises(redis.ResponseError, match=r"lastError in RG.DUMPREGISTRATIONS has the reason"):
        trigger(client, "t")
    client.set("there", "loaded")
    execute(client, script, "ID", "mine", "UPGRADE")
    assert trigger(client, "t") == [b"loaded"]
    assert only_registration(client)["data"]["lastError"] is None


# ---- Timers ----


def start_stored_timer(client: redis.Redis, key: str, content: bytes) -> None:
    client.set(key, content)
    state_client(client).sadd(key_names.timers(client), key)


def ticks(client: redis.Redis) -> bool:
    return int(client.get("ticks") or 0) > 1


def waits_for_python(client: redis.Redis, edge: Instance, key: str, python: str) -> None:
    """The worker has looked at the timer, and neither runs nor forgets it."""
    message = f"the timer {key} does not run in this worker: it was stored under Python {python}"
    wait_for(lambda: message in (edge.dir / "logs" / "worker.log").read_text(), what="a line in the log")
    assert state_client(client).smembers(key_names.timers(client)) == {key.encode()}
    assert client.exists(key, "ticks") == 1


def test_a_timer_is_stored_without_our_modules(client: redis.Redis) -> None:
    execute(client, "def tick():\n    execute('INCR', 'ticks')\n    log('tick')\nregisterTE(0.05, tick, 'timer')")
    content = json.loads(client.get("timer") or b"")
    assert (content["format"], content["python"]) == (stored_code.FORMAT, PYTHON)
    assert b"rededge_nb" not in base64.b64decode(content["function"])
    wait_for(lambda: ticks(client), what="calls")


def test_a_timer_of_format_0_runs_under_the_python_that_it_was_stored_by(
    client: redis.Redis, edge: Instance, old: Old
) -> None:
    start_stored_timer(client, "former", old.timer)
    if PYTHON == "3.11":
        wait_for(lambda: ticks(client), what="calls")
    else:
        waits_for_python(client, edge, "former", "3.11")


def test_a_timer_of_another_python_waits_for_a_worker_that_has_it(client: redis.Redis, edge: Instance) -> None:
    execute(client, "registerTE(0.05, lambda: execute('INCR', 'ticks'), 'first')")
    content = json.loads(client.getdel("first") or b"")
    wait_for(lambda: not state_client(client).scard(key_names.timers(client)), what="the end of the first timer")
    client.delete("ticks")
    start_stored_timer(client, "future", json.dumps(content | {"python": "3.99"}).encode())
    waits_for_python(client, edge, "future", "3.99")
    client.set("future", json.dumps(content))
    wait_for(lambda: ticks(client), what="calls")
