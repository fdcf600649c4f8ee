"""REQUIREMENTS, RG.PYDUMPREQS, RG.PYEXPORTREQ and RG.PYIMPORTREQ, with a wheel of our own: nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.state.requirements import environment_of_pip
from rededge_nb.edge.server.state import Instance
from tests.gear_scripts import execute, fields
from tests.waiting import wait_for

NAME, VERSION = "rededge_test_package", "1.5"
WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"
REQUIREMENT = f"{NAME}>=1.4"
SCRIPT = f"import {NAME}\nGB('ShardsIDReader').map(lambda r: {NAME}.WORD).run()"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    information = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr(f"{NAME}.py", "WORD = 'from the wheel'\n")
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    return folder


@pytest.fixture
def instance(folder: Path, wheels: Path) -> Iterator[Instance]:
    only_here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    with mock.patch.dict(os.environ, only_here):
        yield server.start(folder / "one")


@pytest.fixture
def client(instance: Instance) -> Iterator[redis.Redis]:
    own = client_from_url(instance.url)
    yield own
    own.close()


def test_a_requirement_goes_into_the_state_folder(client: redis.Redis, instance: Instance) -> None:
    assert execute(client, SCRIPT, "REQUIREMENTS", REQUIREMENT) == [[b"from the wheel"], []]
    assert importlib.util.find_spec(NAME) is None, "nothing was installed into the user's environment"
    (described,) = [fields(one) for one in client.execute_command("RG.PYDUMPREQS")]
    assert list(described) == [
        "GearReqVersion", "Name", "IsDownloaded", "IsInstalled", "CompiledOs", "Wheels", "Path", "RefCount",
        "IsInReqDictionary",
    ]  # fmt: skip
    assert described["Name"] == REQUIREMENT.encode()
    assert described["Wheels"] == [WHEEL.encode()]
    assert Path(described["Path"].decode()).is_relative_to(instance.dir)
    assert (described["IsDownloaded"], described["IsInstalled"], described["RefCount"]) == (b"yes", b"yes", 0)
    execute(client, "GB('StreamReader').register('s')", "ID", "mine", "REQUIREMENTS", REQUIREMENT)
    ((*_, requirements, _, _),) = client.execute_command("RG.PYDUMPSESSIONS")
    assert requirements == [REQUIREMENT.encode()]
    ((*_, verbose, _, _),) = client.execute_command("RG.PYDUMPSESSIONS", "VERBOSE")
    assert fields(verbose[0])["RefCount"] == 1
    assert execute(client, SCRIPT, "REQUIREMENTS", f"{NAME} >= 1.4", "numpy click") == [[b"from the wheel"], []]
    again = execute(client, SCRIPT, "FORCE_REINSTALL_REQUIREMENTS", "REQUIREMENTS", REQUIREMENT)
    assert again == [[b"from the wheel"], []]


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        (f"{NAME}==9", "No matching distribution found"),
        ("no-such-package-at-all", "No matching distribution found"),
        ("numpy<1", "one process cannot have both"),
        ("numpy@file:///nowhere/numpy.whl", "one process cannot have both"),
        ("redis[ocsp]", "No matching distribution found"),
        ("not a requirement", "is not a requirement that pip understands"),
    ],
)
def test_a_requirement_that_cannot_be_installed_is_reported(client: redis.Redis, requirement: str, reason: str) -> None:
    words = [requirement] if "not a" not in requirement else ["===="]
    with pytest.raises(redis.ResponseError, match=r"^Could not satisfy requirements") as caught:
        execute(client, "GB('ShardsIDReader').run()", "REQUIREMENTS", *words)
    assert reason in str(caught.value)
    assert execute(client, "GB('ShardsIDReader').run()", "REQUIREMENTS") == [[b"1"], []]
    assert execute(client, "GB('ShardsIDReader').run()", "REQUIREMENTS", "numpy click") == [[b"1"], []]


def test_pip_and_the_code_that_it_runs_see_no_password() -> None:
    secrets = {
        settings.REDIS_URL: "redis://:x@host",
        settings.WEB_TOKEN: "x",
        "JUPYTER_TOKEN": "x",
        "REDIS_PASSWORD": "x",
        "REDIS_WORKER_PASSWORD": "x",
        "REDISCLI_AUTH": "x",
    }
    others = {"PIP_INDEX_URL": "https://index", "HTTPS_PROXY": "http://proxy", "REDEDGE_DIR": "/state"}
    with mock.patch.dict(os.environ, secrets | others):
        seen = environment_of_pip()
    assert not secrets.keys() & seen.keys()
    assert others.items() <= seen.items()


def test_a_requirement_is_exported_and_imported_on_another_server(client: redis.Redis, folder: Path) -> None:
    execute(client, SCRIPT, "REQUIREMENTS", REQUIREMENT)
    described, chunks = client.execute_command("RG.PYEXPORTREQ", REQUIREMENT)
    assert fields(described)["Name"] == REQUIREMENT.encode()
    for name in ("nothing", "click", "===="):  # unknown; there, and never asked for; no requirement at all
        with pytest.raises(redis.ResponseError, match=r"^requirement does not exists$"):
            client.execute_command("RG.PYEXPORTREQ", name)
    execute(client, "GB('ShardsIDReader').run()", "REQUIREMENTS", "click")
    assert fields(client.execute_command("RG.PYEXPORTREQ", "click")[0])["Wheels"] == []
    with mock.patch.dict(os.environ, {"PIP_FIND_LINKS": str(folder)}):
        other = client_from_url(server.start(folder / "two").url)
        assert other.execute_command("RG.PYIMPORTREQ", *chunks) == b"OK"
        assert execute(other, SCRIPT, "REQUIREMENTS", REQUIREMENT) == [[b"from the wheel"], []]
        with pytest.raises(redis.ResponseError, match=r"this is not what RG\.PYEXPORTREQ gives"):
            other.execute_command("RG.PYIMPORTREQ", "x")
        other.close()


def test_a_worker_on_another_machine_installs_what_it_needs(
    client: redis.Redis, instance: Instance, folder: Path
) -> None:
    script = (
        f"import os, {NAME}\nGB('CommandReader').map(lambda r: {NAME}.WORD + str(os.getpid())).register(trigger='t')"
    )
    execute(client, script, "REQUIREMENTS", REQUIREMENT)
    environment = os.environ | {settings.REDIS_URL: instance.tcp_url, settings.STATE_DIR: str(folder / "two")}
    other = subprocess.Popen([sys.executable, "-m", "rededge_nb.edge.worker"], env=environment)
    wanted = [b"from the wheel%d" % other.pid]

    def asked() -> bool:
        try:
            return bool(client.execute_command("RG.TRIGGER", "t") == wanted)
        except redis.ResponseError as error:
            if "Could not trigger execution" in str(error):
                return False  # asked while it installs
            raise

    try:
        wait_for(asked, what="its answer", timeout=40)
    finally:
        other.terminate()
        other.wait(20)
