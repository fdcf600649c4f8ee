"""Who may do what on a real server, and that no secret shows where others look."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.run import capture
from rededge_nb.connection import connect
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server import users
from rededge_nb.edge.server.state import OTHER_USERS, OWNER, Instance, StateFolder
from rededge_nb.errors import ServerUnavailableError
from rededge_nb.reading.detections import read_detections
from rededge_nb.web import WebServer
from rededge_nb.workbench import Workbench
from tests.cli.running import rededge
from tests.paths import TOP
from tests.waiting import wait_for
from tests.web.site import TOKEN, ask, watching

READING = [
    *(("XRANGE", "camera:0", "-", "+"), ("XREVRANGE", "camera:0:yolo", "+", "-"), ("XLEN", "camera:0:errors")),
    *(("XREAD", "COUNT", "1", "STREAMS", "camera:0", "camera:1", "0", "0"), ("XINFO", "GROUPS", "camera:0")),
    *(("TS.GET", "camera:0:people"), ("TS.RANGE", "camera:0:people", "-", "+"), ("TS.MGET", "FILTER", "camera=0")),
    *(("TS.MRANGE", "-", "+", "FILTER", "__name__=people"), ("SMEMBERS", "cameras"), ("SUBSCRIBE", "camera:0")),
    *(("HGETALL", "people_counter:settings"), ("SCAN", "0"), ("PING",), ("INFO",), ("TIME",), ("COMMAND", "LIST")),
]
WRITING = [
    *(("XADD", "camera:0", "*", "image", "x"), ("XTRIM", "camera:0", "MAXLEN", "1"), ("DEL", "camera:0")),
    *(("TS.ADD", "camera:0:people", "1", "1"), ("HSET", "people_counter:settings", "iou", "1"), ("FLUSHALL",)),
    *(("SADD", "cameras", "1"), ("XGROUP", "DESTROY", "camera:0", "g"), ("XACK", "camera:0", "g", "1-1")),
    *(("EXPIRE", "camera:0", "1"), ("RENAME", "camera:0", "camera:1"), ("PUBLISH", "camera:0", "x")),
]
MODELS_AND_GEARS = [
    *(("AI.TENSORSET", "t", "FLOAT", "1"), ("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", "x"), ("AI.MODELDEL", "m")),
    *(("AI.MODELEXECUTE", "m", "INPUTS", "1", "a", "OUTPUTS", "1", "b"), ("AI.SCRIPTSTORE", "s", "CPU", "SOURCE", "x")),
    *(("AI.DAGEXECUTE", "ROUTING", "x", "|>"), ("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE")),
    *(("RG.PYEXECUTE", "1"), ("RG.UNREGISTER", "x"), ("RG.TRIGGER", "x"), ("RG.PYIMPORTREQ", "x")),
    *(("RG.ABORTEXECUTION", "x"), ("RG.PAUSEREGISTRATIONS", "x"), ("RG.DUMPREGISTRATIONS",)),
]
OTHER_KEYS = [
    *(("XRANGE", "secret", "-", "+"), ("HGETALL", "model:x"), ("TS.GET", "secret"), ("XLEN", "rededge:gears:live")),
    *(("XREAD", "STREAMS", "camera:0", "secret", "0", "0"), ("PSUBSCRIBE", "*"), ("TYPE", "rededge:gears:sessions")),
    *(("GET", schema.OWN_GEAR_KEY), ("TYPE", schema.OWN_GEAR_KEY)),
]
SCRIPTING = [
    *(("EVAL", "return 1", "0"), ("EVAL_RO", "return 1", "0"), ("EVALSHA", "x", "0"), ("SCRIPT", "LOAD", "return 1")),
    *(("FCALL", "f", "0"), ("FCALL_RO", "f", "0"), ("FUNCTION", "LOAD", "x"), ("FUNCTION", "LIST")),
    *(("PFADD", "a", "b"), ("PFCOUNT", "a"), ("PFMERGE", "a", "b")),
]
RULING = [
    *(("ACL", "SETUSER", "x"), ("ACL", "LIST"), ("DEBUG", "SLEEP", "0"), ("SHUTDOWN",), ("MODULE", "LOAD", "/x.so")),
    *(("REPLICAOF", "no", "one"), ("RESTORE", "a", "0", "x"), ("MIGRATE", "h", "1", "k", "0", "1"), ("MONITOR",)),
    *(("FAILOVER",), ("PSYNC", "?", "-1"), ("SYNC",)),
]
SERVING = [("EDGE.NEXT", "1", "ai"), ("EDGE.REPLY", "1-1", "+x")]
CONFIGURING = [("CONFIG", "SET", "dir", "/"), ("CONFIG", "GET", "requirepass")]


def allowed(owner: redis.Redis, user: str, command: tuple[str, ...]) -> bool:
    try:
        return bool(owner.execute_command("ACL", "DRYRUN", user, *command) == b"OK")
    except redis.ResponseError as error:
        pytest.fail(f"{command}: {error}")


CAPTURING = [
    *(("XADD", "camera:0", "*", "image", "x"), ("XTRIM", "camera:0", "MAXLEN", "1")),
    *(("HSET", "camera:0:capture", "id", "1"), ("PEXPIRE", "camera:0:capture", "1"), ("DEL", "camera:0:capture")),
    *(("TS.MADD", "camera:0:in_fps", "1", "1"), ("CLIENT", "NO-EVICT", "ON")),
]
DASHBOARDS = [
    *(("RG.DUMPREGISTRATIONS",), ("RG.DUMPEXECUTIONS",), ("RG.PYSTATS",), ("AI.INFO", "m"), ("SLOWLOG", "GET")),
    *(
        ("CLIENT", "LIST"),
        ("DBSIZE",),
        ("HVALS", "camera:0:alarms"),
        ("MEMORY", "USAGE", "x"),
        ("TYPE", "x"),
        ("XLEN", "x"),
    ),
]
INTERNAL = [
    *(("TIMESERIES.HELLO",), ("TIMESERIES.FORCESHARDSCONNECTION",), ("TIMESERIES.REFRESHCLUSTER",)),
    *(("TIMESERIES.INFOCLUSTER",), ("TIMESERIES.NETWORKTEST",), ("TIMESERIES.INNERCOMMUNICATION", "a")),
    *(("TIMESERIES.CLUSTERSET", "a"), ("TIMESERIES.CLUSTERSETFROMSHARD", "a")),
]

NOTIFYING = [
    *(("XREADGROUP", "GROUP", "g", "c", "STREAMS", "camera:0:events", "rededge:events", ">", ">"), ("TIME",)),
    *(("XACK", "camera:0:events", "g", "1-1"), ("XGROUP", "CREATE", "camera:0:events", "g", "0", "MKSTREAM")),
    *(("XADD", "rededge:events", "*", "kind", "x"), ("XADD", "rededge:dead_letters:x", "*", "id", "x")),
    *(("HGETALL", "camera:0:alarms"), ("GET", "camera:0:scene"), ("XRANGE", "camera:0", "-", "+")),
    *(("XREVRANGE", "camera:0:yolo", "+", "-"), ("SMEMBERS", "cameras"), ("XINFO", "GROUPS", "camera:0:events")),
]

CLIPPING = [command for command in NOTIFYING if command[0] != "XADD" and "rededge:events" not in command]

ALLOWED = {
    "clips": [*CLIPPING, ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "camera:0:events", ">")],
    "notifier": [*NOTIFYING],
    "capture": [*(command for command in READING if command[0] != "SUBSCRIBE"), *CAPTURING],
    "grafana": [*(command for command in READING if command[0] != "SUBSCRIBE"), *DASHBOARDS],
    "viewer": [*READING],
    "notebook": [*READING, *WRITING, *MODELS_AND_GEARS, *OTHER_KEYS],
    "worker": [*READING, *WRITING, *MODELS_AND_GEARS, *OTHER_KEYS, *SCRIPTING, *SERVING, *CONFIGURING],
}
_CAPTURED = {"XADD", "XTRIM", "DEL", "TS.ADD"}
REFUSED = {
    "clips": [
        *(*INTERNAL, *WRITING, *MODELS_AND_GEARS, *OTHER_KEYS, *SCRIPTING, *RULING, *SERVING, *CONFIGURING),
        *(("XADD", "camera:0:events", "*", "kind", "x"), ("XADD", "rededge:events", "*", "kind", "x")),
    ],
    "notifier": [
        *(*INTERNAL, *WRITING, *MODELS_AND_GEARS, *OTHER_KEYS, *SCRIPTING, *RULING, *SERVING, *CONFIGURING),
        *(("XADD", "camera:0", "*", "image", "x"), ("XADD", "rededge:other", "*", "a", "b")),
    ],
    "capture": [
        *(command for command in WRITING if command[0] not in _CAPTURED),
        *(("XADD", "other", "*", "image", "x"), ("SADD", "other", "1"), ("RG.DUMPREGISTRATIONS",)),
        *(*MODELS_AND_GEARS, *OTHER_KEYS, *SCRIPTING, *RULING, *SERVING, *CONFIGURING, *INTERNAL),
    ],
    "grafana": [
        *(command for command in MODELS_AND_GEARS if command[0] != "RG.DUMPREGISTRATIONS"),
        *(*WRITING, *CAPTURING, *SCRIPTING, *RULING, *SERVING, *CONFIGURING, *INTERNAL),
    ],
    "viewer": [*INTERNAL, *WRITING, *MODELS_AND_GEARS, *OTHER_KEYS, *SCRIPTING, *RULING, *SERVING, *CONFIGURING],
    "notebook": [*INTERNAL, *SCRIPTING, *RULING, *SERVING, *CONFIGURING],
    "worker": [*INTERNAL, *RULING],
}


@pytest.mark.parametrize("user", [*users.RULES, "clips"])
def test_each_user_may_run_its_commands_and_no_others(edge: Instance, client: redis.Redis, user: str) -> None:
    if user not in users.RULES:  # an embedded server does not have it
        client.execute_command("ACL", "SETUSER", user, "resetkeys", "-@all", *users.CONTAINER_RULES[user].split())
    assert [command for command in ALLOWED[user] if not allowed(client, user, command)] == []
    assert [command for command in REFUSED[user] if allowed(client, user, command)] == []
    if user not in users.RULES:
        client.execute_command("ACL", "DELUSER", user)


@pytest.mark.parametrize("user", users.CONTAINER_RULES)
def test_commands_of_modules_are_allowed_by_name(client: redis.Redis, user: str) -> None:
    client.execute_command("ACL", "SETUSER", "tried", "resetkeys", "-@all", *users.CONTAINER_RULES[user].split())
    connection = client.connection_pool.get_connection()
    try:
        known = set()
        for module in ("timeseries", "rededge"):
            connection.send_command("COMMAND", "LIST", "FILTERBY", "MODULE", module)
            known |= {name.decode() for name in connection.read_response()}
    finally:
        client.connection_pool.release(connection)
    assert len(known) > 60
    may = {name for name in known if any(_may_be_called(client, name, count) for count in range(6))}
    named = {word[1:] for word in users.CONTAINER_RULES[user].split() if "." in word and word[0] == "+"}
    assert {name.lower() for name in may} == named
    client.execute_command("ACL", "DELUSER", "tried")


def _may_be_called(client: redis.Redis, name: str, count: int) -> bool:
    try:
        return bool(client.execute_command("ACL", "DRYRUN", "tried", name, *["x"] * count) == b"OK")
    except redis.ResponseError:
        return False  # the number of arguments is wrong


def test_the_commands_that_create_the_users_are_accepted(client: redis.Redis) -> None:
    lines = rededge("module", "--users").stdout.splitlines()
    assert [line.split()[2] for line in lines] == list(users.RULES)
    for line in lines:
        words = line.split()
        client.execute_command(*words[:2], "tried", *words[3:])
        client.execute_command("ACL", "DELUSER", "tried")


def test_a_capture_works_as_the_user_capture(edge: Instance, client: redis.Redis, video: Path) -> None:
    provision(client)
    client.execute_command("ACL", "LOG", "RESET")
    as_capture = connect(edge.url_of("capture"))
    report = capture(as_capture, video, pace="asap", frames=3)
    as_capture.close()
    assert report.frames == client.xlen("camera:0") == 3
    assert client.execute_command("ACL", "LOG") == []
    words = ("capture", video, "--pace", "asap", "--frames", "2")
    done = rededge(*words, env=os.environ | {"REDIS_URL": edge.url_of("capture")})
    assert done.returncode == 0, done.stderr
    assert client.xlen("camera:0") == 5
    done = rededge(*words, "--camera", "new", env=os.environ | {"REDIS_URL": edge.url_of("capture")})
    assert done.returncode == 1
    assert "there is no camera new yet" in done.stderr
    assert "`rededge init --camera new`" in done.stderr


def test_a_viewer_may_read_every_key_of_a_camera(client: redis.Redis) -> None:
    streams = (schema.frames_key("7"), schema.detections_key("7"), schema.errors_key("7"))
    specs = schema.series_specs("7")
    series = [spec.key for spec in specs] + [rule.key for spec in specs for rule in spec.rules]
    commands = [("XREAD", "STREAMS", key, "0") for key in streams] + [("TS.RANGE", key, "-", "+") for key in series]
    commands += [("SMEMBERS", schema.CAMERAS_KEY), ("HGETALL", schema.GEAR_SETTINGS_KEY)]
    assert [command for command in commands if not allowed(client, "viewer", command)] == []


def test_the_notebook_user_can_do_everything_that_the_workbench_does(
    edge: Instance, client: redis.Redis, video: Path
) -> None:
    client.execute_command("ACL", "LOG", "RESET")
    with Workbench(edge.url_of("notebook")) as workbench:
        workbench.provision("0")
        report = capture(workbench.client, video, pace="asap", frames=3)
        assert report.frames == len(read_detections(workbench.client, "0")) == 3
        assert workbench.gears.list()[0].status == "OK"
    assert client.execute_command("ACL", "LOG") == []


def test_a_viewer_can_look_at_cameras_and_the_video_page(
    edge: Instance, client: redis.Redis, video: Path, environment: dict[str, str]
) -> None:
    provision(client)
    capture(client, video, pace="asap", frames=3)
    client.execute_command("ACL", "LOG", "RESET")
    command = [sys.executable, "-m", "rededge_nb.cli", "top", "--once", "--json"]
    asked = subprocess.run(
        command, env=environment | {"REDIS_URL": edge.url_of("viewer")}, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    with WebServer(edge.url_of("viewer"), port=0, token=TOKEN) as web:
        wait_for(lambda: ask(web.port, "/healthz").status == 200, what="all to be well")
        pages = ("/snapshot.jpg?camera=0", "/api/cameras", "/api/detections?camera=0", "/metrics", "/")
        assert [ask(web.port, page).status for page in pages] == [200] * len(pages)
        with watching(web.port) as stream:
            assert stream.picture().size > 0
    assert client.execute_command("ACL", "LOG") == []
    with pytest.raises(redis.exceptions.NoPermissionError):
        client_from_url(edge.url_of("viewer")).xadd("camera:0", {"image": b"x"})


def test_workers_are_the_user_worker(folder: Path) -> None:
    # a server of its own: other tests run workers in their process, as the owner, on the one that is shared
    owner = client_from_url(server.start(folder).url)
    provision(owner)

    def by_user() -> Counter[str]:
        return Counter(each["user"] for each in owner.client_list() if each["name"].startswith("rededge-worker"))

    wait_for(lambda: by_user()["worker"] >= 5, what="the workers' connections", timeout=30)
    # one that is just being opened has not logged in
    wait_for(lambda: set(by_user()) == {"worker"}, what="all connections to be of the user worker", timeout=30)
    owner.close()


def test_passwords_differ_and_only_the_owner_can_read_them(edge: Instance) -> None:
    folder = StateFolder(edge.dir)
    assert sorted(users.RULES) == list(OTHER_USERS)
    passwords = {folder.password(user) for user in (OWNER, *users.RULES)}
    assert len(passwords) == 7
    assert all(len(password) >= 32 for password in passwords)
    files = [*edge.dir.glob("password*")]
    assert len(files) == 7
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    # the users' are in redis.conf as hashes only
    assert not any(folder.password(user) in folder.config_file.read_text() for user in users.RULES)


def test_the_address_of_a_user_is_printed(edge: Instance, client: redis.Redis, environment: dict[str, str]) -> None:
    def url(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rededge_nb.cli", "url", *words]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False)

    for words in (("--user", "viewer"), ("--user", "viewer", "--tcp")):
        viewer = client_from_url(url(*words).stdout.strip())
        own_id = str(viewer.client_id())
        assert [each["user"] for each in client.client_list() if each["id"] == own_id] == ["viewer"]
        viewer.close()
    assert url("--user", "nobody").returncode == 2
    refused = url("--user", "viewer", REDIS_URL="redis://elsewhere")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--user works only with the embedded server" in refused.stderr


def test_no_password_is_in_what_a_notebook_shows(edge: Instance, client: redis.Redis) -> None:
    passwords = [StateFolder(edge.dir).password(user) for user in (OWNER, *users.RULES)]
    with Workbench(edge.url) as workbench:
        shown = repr(workbench) + repr(workbench.client) + repr(workbench.client.connection_pool)
    for notebook in (TOP / "notebooks").glob("*.ipynb"):
        shown += notebook.read_text()
    assert "redis" in shown
    assert not any(password in shown for password in passwords)
    assert re.findall(r"(?:redis|rediss|unix)://[^@\s]*:[^@\s*…]+@", shown) == []


@pytest.mark.parametrize("credentials", ["", "viewer:", "viewer:wrong", ":wrong", "nobody:x", "worker:"])
def test_without_the_right_password_nothing_is_answered(edge: Instance, credentials: str) -> None:
    url = f"redis://{credentials}@127.0.0.1:{edge.port}" if credentials else f"redis://127.0.0.1:{edge.port}"
    with pytest.raises(ServerUnavailableError) as refused:
        connect(url)
    assert "wrong" not in str(refused.value).replace("wrong number", "").replace("WRONGPASS", "")


def test_strangers_cannot_make_the_server_hold_replies(folder: Path) -> None:
    """CVE-2025-21605: unread answers to clients that gave no password grew without bound."""
    instance = server.start(folder)
    owner = client_from_url(instance.url)
    assert owner.config_get("client-output-buffer-limit")["client-output-buffer-limit"].split()[1] != "0"
    owner.config_set("client-output-buffer-limit", "normal 1000000 0 0")
    with socket.create_connection(("127.0.0.1", instance.port), timeout=20) as stranger:

        def ask_and_not_listen() -> None:
            for _ in range(2_000):
                stranger.sendall(b"PING\r\n" * 10_000)

        with pytest.raises(ConnectionError):
            ask_and_not_listen()
        assert owner.info("memory")["used_memory"] < 50_000_000
    owner.close()


# ---- Keys ----


@pytest.fixture
def limited(client: redis.Redis, edge: Instance) -> Iterator[redis.Redis]:
    """A client of a user who may do everything to keys that begin with `a:`."""
    client.execute_command("ACL", "SETUSER", "limited", "on", ">pass", "~a:*", "+@all", "-@dangerous", "+ai.dagexecute")
    one = client_from_url(f"redis://limited:pass@127.0.0.1:{edge.port}")
    yield one
    one.close()
    client.execute_command("ACL", "DELUSER", "limited")


@pytest.mark.parametrize(
    "command",
    [
        "AI.TENSORGET b:t VALUES",
        "AI.TENSORSET b:new FLOAT 1",
        "AI.MODELGET b:m BLOB",
        "AI.MODELDEL b:m",
        "AI.INFO b:m",
        "AI.MODELEXECUTE a:m INPUTS 1 b:t OUTPUTS 1 a:o",
        "AI.MODELEXECUTE a:m INPUTS 1 a:t OUTPUTS 1 b:o",
        "AI.MODELEXECUTE a:m INPUTS 1 OUTPUTS OUTPUTS 1 b:t",
        "AI.MODELEXECUTE a:m INPUTS 01 b:t OUTPUTS 1 a:o",
        "AI.MODELEXECUTE a:m INPUTS 2 a:t b:t OUTPUTS 1 a:o",
        "AI.MODELEXECUTE a:m INPUTS -1 b:t OUTPUTS 1 a:o",
        "AI.MODELEXECUTE a:m INPUTS 9223372036854775807 b:t OUTPUTS 1 a:o",
        "AI.MODELEXECUTE a:m OUTPUTS 1 b:o INPUTS 1 a:t",
        "AI.MODELEXECUTE a:m inputs 1 a:t outputs 1 b:o",
        "AI.MODELEXECUTE a:m TIMEOUT 100 INPUTS 1 b:t OUTPUTS 1 a:o",
        "AI.MODELRUN a:m INPUTS b:t OUTPUTS a:o",
        "AI.MODELRUN a:m TIMEOUT 100 INPUTS a:t OUTPUTS b:o",
        "AI.DAGEXECUTE LOAD 1 b:t |> AI.TENSORGET b:t VALUES",
        "AI.DAGEXECUTE ROUTING a:x PERSIST 1 b:o |> AI.TENSORSET b:o FLOAT 1",
        "AI.DAGEXECUTE_RO LOAD 1 b:t |> AI.TENSORGET b:t VALUES",
        "AI.DAGRUN_RO LOAD 1 b:t |> AI.TENSORGET b:t VALUES",
        "AI.SCRIPTGET b:s",
        "RG.TRIGGERONKEY x b:t",
        "XREAD STREAMS a:s b:s 0 0",
    ],
)
def test_the_keys_of_a_command_cannot_be_hidden(limited: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.execute_command(*command.split())


def test_wrong_counts_after_the_keys_give_no_access(limited: redis.Redis, client: redis.Redis) -> None:
    client.execute_command("AI.TENSORSET", "b:t", "FLOAT", 1, "VALUES", 42)
    for words in ("a:m INPUTS 1 a:t OUTPUTS 1 a:o OUTPUTS 1 b:t", "a:m INPUTS 1 a:t OUTPUTS 1 a:o b:t"):
        with pytest.raises(redis.ResponseError):
            limited.execute_command("AI.MODELEXECUTE", *words.split())
    assert client.execute_command("AI.TENSORGET", "b:t", "VALUES") == [b"42"]


# ---- Secrets ----


def everything_that_others_can_see() -> str:
    """Command lines and titles of every process of this machine."""
    shown = []
    for process in psutil.process_iter():
        for name in ("cmdline", "comm", "stat", "status"):
            try:
                shown.append(Path(f"/proc/{process.pid}/{name}").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(shown)


def test_no_secret_is_on_a_command_line_or_in_a_log(folder: Path, environment: dict[str, str], video: Path) -> None:
    state = folder / "state"
    up = [sys.executable, "-m", "rededge_nb.cli", "up", "--detach", "--dir", str(state), "--json"]
    started = subprocess.run(up, env=environment, capture_output=True, text=True, check=True)
    instance = server.find(state)
    assert instance
    assert json.loads(started.stdout)["port"] == instance.port
    secrets = [StateFolder(state).password(user) for user in (OWNER, *users.RULES)]
    token = "token-that-nobody-else-may-know"
    client = client_from_url(instance.url)
    provision(client)
    children: list[subprocess.Popen[str]] = []
    environment |= {"REDEDGE_DIR": str(state), "REDEDGE_WEB_TOKEN": token}
    said = started.stdout + started.stderr
    try:
        for words in (["capture", str(video), "--loop"], ["web", "--port", "0"], ["worker"]):
            command = [sys.executable, "-m", "rededge_nb.cli", *words]
            children.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )
        wait_for(lambda: len(read_detections(client, "0")) > 2, what="detections", timeout=60)
        wait_for(
            lambda: len(list(state_client(client).scan_iter("*worker:*"))) == 2, what="the second worker", timeout=60
        )
        shown = everything_that_others_can_see()
        assert f"redis-server 127.0.0.1:{instance.port}" in shown
        assert "rededge_nb.edge.worker" in shown
        status = [sys.executable, "-m", "rededge_nb.cli", "status", "--json"]
        said += subprocess.run(status, env=environment, capture_output=True, text=True, check=True).stdout
    finally:
        for child in children:
            child.terminate()
            said += child.communicate(timeout=30)[0]
    said += "".join(log.read_text(errors="replace") for log in (state / "logs").iterdir())
    said += repr(client) + repr(client.connection_pool)
    client.close()
    assert len(said) > 500
    for secret in secrets:
        assert secret not in shown
        assert secret not in said
    assert token not in shown
    assert os.environ.get("HOME", "/root") not in secrets
