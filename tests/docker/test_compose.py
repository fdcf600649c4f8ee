"""docker-compose.yml: valid, pinned, and nothing open that need not be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rededge_nb.edge.server.users import CONTAINER_RULES
from tests.paths import TOP

COMPOSE = yaml.safe_load((TOP / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUN_ONCE = {"init"}
WITHOUT_PAGE = {"clips", "notifier", "scheduler"}
"""Services that have nothing to ask for: their engine sees when they end."""

each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What docker compose reads, with passwords of its own."""
    (tmp_path / "docker").mkdir()
    shutil.copy(TOP / "docker-compose.yml", tmp_path)
    shutil.copy(TOP / "docker/webcam.yml", tmp_path / "docker")
    make_env(tmp_path / ".env")
    return tmp_path


def make_env(path: Path) -> str:
    command = [sys.executable, str(TOP / "docker/env.py"), str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed (Debian: apt install docker-compose)")


@pytest.mark.parametrize(
    "files", [[], ["-f", "docker-compose.yml", "-f", "docker/webcam.yml"]], ids=["video", "webcam"]
)
def test_compose_accepts_it(project: Path, files: list[str]) -> None:
    done = subprocess.run(
        [*compose_command(), *files, "config", "--quiet"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_error_without_passwords_says_what_to_do(project: Path) -> None:
    (project / ".env").unlink()
    command = [*compose_command(), "config", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name not in secrets_used()}
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert "make env" in done.stderr


def secrets_used() -> set[str]:
    return set(re.findall(r"\$\{(\w+):\?", (TOP / "docker-compose.yml").read_text()))


def test_make_env_creates_every_password(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if not line.startswith("#"))
    assert set(made) == secrets_used()
    assert all(len(value) >= 32 for value in made.values())
    assert len(set(made.values())) == len(made)


def test_make_env_keeps_passwords_private_and_never_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert "wrote" in make_env(path)
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_text()
    assert "is not changed" in make_env(path)
    assert path.read_text() == first


def test_make_env_adds_the_passwords_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("REDIS_PASSWORD=mine\nSCHEDULE=daily")
    said = make_env(path)
    assert "REDIS_WORKER_PASSWORD" in said
    assert "REDIS_PASSWORD" not in said
    made = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert made[:2] == ["REDIS_PASSWORD=mine", "SCHEDULE=daily"]
    assert {line.split("=")[0] for line in made[2:]} == secrets_used() - {"REDIS_PASSWORD"}
    assert "is not changed" in make_env(path)


@each_service
def test_each_service_has_its_own_user_of_redis(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    if name == "redisedge":
        assert {f"REDIS_{user.upper()}_PASSWORD" for user in CONTAINER_RULES} < set(environment)
        return
    assert "REDIS_PASSWORD" not in " ".join(environment.values())
    user = {"web": "viewer", "scheduler": "lab"}.get(name, name)
    assert f"REDIS_{user.upper()}_PASSWORD" in " ".join([*environment, *environment.values()])
    if name != "grafana":
        assert environment["REDIS_URL"].startswith(f"redis://{user}:")


def test_grafana_connects_as_its_user() -> None:
    (source,) = yaml.safe_load((TOP / "grafana/provisioning/datasources/redis.yaml").read_text())["datasources"]
    assert (source["jsonData"]["acl"], source["jsonData"]["user"]) == (True, "grafana")
    assert source["secureJsonData"]["password"] == "${REDIS_GRAFANA_PASSWORD}"


@each_service
def test_memory_and_processes_are_limited(name: str) -> None:
    assert re.fullmatch(r"\d+g|\$\{\w+:-\d+g\}", SERVICES[name]["mem_limit"])
    assert 100 <= SERVICES[name]["pids_limit"] <= 1000


@each_service
def test_images_are_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"rededge/(redisedge|edge|lab):local|[\w/.-]+:\d+\.\d+\.\d+", image), image
    assert ("build" in SERVICES[name]) == image.startswith("rededge/")


def test_base_images_are_pinned() -> None:
    dockerfile = (TOP / "docker/Dockerfile").read_text()
    bases = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    assert all(re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?-\w+", image) for image in bases.values()), bases
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    names = {stage for _, stage in stages}
    assert {base for base, _ in stages} <= names | {f"${{{name}}}" for name in bases}
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= names


@each_service
def test_no_service_runs_as_root_or_can_become_root(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only") or name == "grafana"


@each_service
def test_ports_are_published_on_the_loopback_interface_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@each_service
def test_health_and_order(name: str) -> None:
    service = SERVICES[name]
    if name in RUN_ONCE:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service.get("healthcheck", {}).get("test") or name in WITHOUT_PAGE
    for needed, how in service.get("depends_on", {}).items():
        finished = "service_completed_successfully" if needed in RUN_ONCE else "service_healthy"
        assert how == {"condition": finished}
    assert service.get("depends_on") or name == "redisedge"


@each_service
def test_volumes_are_named_or_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, *_, last = volume.split(":")
        assert source in COMPOSE["volumes"] or last == "ro", volume


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]
    assert "hostname" not in SERVICES["worker"]
