"""The checks of `rededge doctor`: on this machine, and where something is missing."""

from __future__ import annotations

import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.sources.webcam_devices import Webcam, webcams
from rededge_nb.edge.server.state import Instance
from rededge_nb.monitoring.doctor import DISK_FAIL, DISK_WARN, Finding, as_lines, examine

Usage = namedtuple("Usage", "total used free")


def examined(directory: Path | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(directory)}


def test_this_machine_has_everything(edge: Instance, tmp_path: Path) -> None:
    found = examined()
    assert [finding for finding in found.values() if finding.state == "fail"] == []
    assert "rededge 1, timeseries" in found["redis-server"].found
    assert f"answers on port {edge.port}" in found["instance"].found
    assert found["python"].found.startswith(f"CPython {sys.version_info.major}.")
    for finding in found.values():
        assert bool(finding.advice) == (finding.state != "ok"), finding


def test_a_server_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", "/no/such/redis-server")
    missing = examined(tmp_path)["redis-server"]
    assert (missing.state, "/no/such/redis-server" in missing.found) == ("fail", True)
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", shutil.which("false") or "")
    broken = examined(tmp_path)["redis-server"]
    assert broken.state == "fail"
    assert broken.found == "redis-server ended with exit code 1 while starting"


def test_a_server_that_redis_url_names(edge: Instance, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", edge.tcp_url)
    found = examined()
    assert found["REDIS_URL"].state == "ok"
    assert found["REDIS_URL"].found.endswith(" with all modules")
    assert edge.url.split(":")[2].split("@")[0] not in str(found)
    assert "redis-server" not in found
    labels = ("LABELS", "camera", "door", "__name__", schema.TOO_FEW_FRAMES)
    client.execute_command("TS.ADD", schema.series_key("door", schema.TOO_FEW_FRAMES), "*", 1.5, *labels)
    finding = examined()["REDIS_URL"]
    assert finding.state == "warn"
    assert "too few frames in the last hour to follow people" in finding.found
    assert "camera door (1.5 a second); 3.5 a second are needed" in finding.found
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert examined()["REDIS_URL"].state == "fail"


@pytest.mark.parametrize(
    ("free", "state"), [(DISK_WARN, "ok"), (DISK_WARN - 1, "warn"), (DISK_FAIL, "warn"), (DISK_FAIL - 1, "fail")]
)
def test_free_disk_space(free: float, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, free))
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", "/no/such/redis-server")
    disk = examined(tmp_path / "not" / "there")["disk"]
    assert disk.state == state
    assert bool(disk.advice) == (state != "ok")


def test_a_state_folder_that_cannot_be_created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", "/no/such/redis-server")
    (tmp_path / "file").write_text("")
    found = examined(tmp_path / "file" / "state")["state folder"]
    assert found.state == "fail"
    assert "REDEDGE_DIR" in found.advice


def test_webcams_that_do_not_answer(tmp_path: Path) -> None:
    assert webcams(tmp_path) == []
    for name in ("video10", "video2", "videos", "vbi0"):
        (tmp_path / name).write_text("")
    found = webcams(tmp_path)
    assert [webcam.index for webcam in found] == [2, 10]
    assert all(isinstance(webcam, Webcam) and "Inappropriate ioctl" in webcam.problem for webcam in found)


def test_findings_as_lines() -> None:
    assert as_lines(Finding("disk", "ok", "9 GB free")) == ["ok    disk           9 GB free"]
    assert as_lines(Finding("disk", "warn", "1 GB free", "free some")) == [
        "warn  disk           1 GB free",
        "                     -> free some",
    ]
