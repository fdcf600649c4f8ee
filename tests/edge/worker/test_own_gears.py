"""The people counter counts again after an upgrade of Python, without anybody's doing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb import assets, schema
from rededge_nb.control.gears import RegistrationInfo, list_registrations
from rededge_nb.control.provision import provision
from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.commands.pyexecute import PyExecute, execute_request
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.state.registrations import Session, load_sessions
from rededge_nb.edge.worker import own_gears
from rededge_nb.edge.worker.own_gears import OwnGears
from rededge_nb.edge.worker.worker import Worker
from tests.edge.bare_redis import bare_redis
from tests.waiting import wait_for

SESSION = assets.PEOPLE_COUNTER


def upgrade_python(client: redis.Redis) -> str:
    """Let the session look as after that: another Python's code, and an id that no worker runs; returns the id."""
    stored = json.loads(state_client(client).hget(key_names.sessions(client), SESSION) or b"")
    stored["python"] = "3.99"
    stored["registrations"][0]["id"] = old_id = stored["registrations"][0]["id"] + "99"
    state_client(client).hset(key_names.sessions(client), SESSION, json.dumps(stored))
    state_client(client).incr(key_names.sessions_version(client))
    return str(old_id)


def only_gear(client: redis.Redis) -> RegistrationInfo:
    (found,) = list_registrations(client)
    return found


@pytest.mark.parametrize("own", [False, True])
def test_the_people_counter_is_registered_again_and_reads_frames(
    client: redis.Redis, tmp_path: Path, own: bool
) -> None:  # fmt: skip
    script = tmp_path / "mine.py"
    script.write_text(assets.gear_file().read_text() + "\n# mine\n")
    provision(client, gear=str(script) if own else None)
    description = only_gear(client).session_description
    assert description.startswith(assets.OWN_COUNTER if own else assets.BUNDLED_COUNTER)
    old_id = upgrade_python(client)
    wait_for(lambda: only_gear(client).id != old_id, what="a new registration")
    assert only_gear(client).session_description == description
    client.xadd(schema.frames_key("0"), {"image": "none that can be decoded"})
    wait_for(lambda: client.xlen(schema.errors_key("0")), what="the frame's error")
    assert only_gear(client).last_error == ""
    assert provision(client) == []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine of a worker without threads: it does what a test calls, and nothing between."""
    monkeypatch.setattr(own_gears, "DELAY", 0.0)
    with bare_redis() as bare:
        yield Worker(f"unix://{bare.socket_path}").engine


def session_that_cannot_run(engine: Engine, description: str) -> Session:
    engine.raw_client.execute_command("SADD", schema.CAMERAS_KEY, "0")
    request = PyExecute(assets.gear_file().read_text(), session_id=SESSION, description=description)
    execute_request(engine, request, engine.new_execution())
    upgrade_python(engine.state_client)
    engine.runners.synchronize()
    return load_sessions(engine.state_client)[SESSION]


@pytest.mark.parametrize("description", ["", "counts dogs", f"{assets.OWN_COUNTER} whose text is not in Redis"])
def test_a_script_that_is_not_ours_is_left_unchanged(engine: Engine, description: str) -> None:
    session = session_that_cannot_run(engine, description)
    assert engine.runners.unloadable() == [session]
    OwnGears(engine).renew()
    assert load_sessions(engine.state_client) == {SESSION: session}


def test_a_gear_that_another_worker_can_run_is_left_unchanged_until_that_worker_has_ended(engine: Engine) -> None:
    session = session_that_cannot_run(engine, assets.BUNDLED_COUNTER)
    workers = key_names.registration_keys(engine.state_client, session.registrations[0].id)["workers"]
    engine.state_client.execute_command("ZADD", workers, 1, "another worker")
    gears = OwnGears(engine)
    gears.renew()
    assert load_sessions(engine.state_client) == {SESSION: session}
    engine.state_client.execute_command("DEL", workers)
    gears.renew()
    assert load_sessions(engine.state_client)[SESSION].registrations != session.registrations
    assert engine.runners.unloadable() == []


def test_a_script_that_fails_is_tried_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = session_that_cannot_run(engine, assets.BUNDLED_COUNTER)
    broken = tmp_path / "broken.py"
    broken.write_text("execute('INCR', 'tries')\n1 / 0")
    monkeypatch.setattr(assets, "gear_file", lambda: broken)
    gears = OwnGears(engine)
    for _ in range(3):
        gears.renew()
    assert engine.raw_client.execute_command("GET", "tries") == b"1"
    assert "ZeroDivisionError" in caplog.text
    assert load_sessions(engine.state_client) == {SESSION: session}
