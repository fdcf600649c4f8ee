"""Cameras from the command line: capture, top."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis

from rededge_nb import assets
from rededge_nb.edge.server.state import Instance
from tests.cli.running import rededge, started
from tests.waiting import wait_for


def test_capture(edge: Instance, client: redis.Redis, video: Path) -> None:
    done = rededge("capture", video, "--pace", "asap", "--seconds", "1", "--camera", "desk", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["camera"]) == (10, "desk")
    assert "registered gear people_counter for camera:desk" in done.stderr
    assert client.xlen("camera:desk:yolo") == 10

    def figures() -> dict[str, Any]:
        printed = rededge("top", "--once", "--json", "--window", 600)
        (row,) = json.loads(printed.stdout)["cameras"]
        return dict(row)

    # rates cover complete seconds, and the last second may not be complete yet
    row = wait_for(lambda: (found := figures())["out_fps"] == 10 / 600 and found, what="the last frame's second")
    assert row["camera"] == "desk"
    assert (row["in_fps"], row["out_fps"], row["dropped_fps"]) == (10 / 600, 10 / 600, 0)
    assert 1 <= row["people"] <= 15
    assert 0 < row["ms"]["model"] < row["ms"]["total"]
    assert row["latency_ms"] > 0


def test_a_capture_leaves_the_users_model_and_gear(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    shutil.copy(assets.model_card_file().with_suffix(".onnx"), tmp_path)
    card = tmp_path / "mine.yaml"
    card.write_text(assets.model_card_file().read_text().replace("nanodet-g-two-sizes\n", "mine\n"))
    gear = tmp_path / "mine.py"
    gear.write_text(assets.gear_file().read_text() + "\n# mine\n")
    assert rededge("init", "--gear", gear).returncode == 0
    assert rededge("models", "load", card, "--use").returncode == 0
    settings, registered = client.hgetall("people_counter:settings"), client.execute_command("RG.DUMPREGISTRATIONS")
    assert (settings[b"model"], len(registered)) == (b"model:mine", 1)
    captured = rededge("capture", "synthetic:people=1", "--frames", 1, "--pace", "asap")
    assert captured.returncode == 0, captured.stderr
    assert client.hgetall("people_counter:settings") == settings
    assert [each[1] for each in client.execute_command("RG.DUMPREGISTRATIONS")] == [each[1] for each in registered]
    assert rededge("init").stdout == "everything is there already\n"


def test_a_capture_ends_with_a_signal_and_reports(edge: Instance, client: redis.Redis, video: Path) -> None:
    with started("capture", video, "--loop", "--json", stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: client.xlen("camera:0") > 3, what="some frames", timeout=30)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(output)["frames"] > 3


def test_several_cameras_from_a_file(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "cameras:\n"
        "  - {id: door, source: 'synthetic:size=320x240,fps=25', frames: 5, pace: asap, away_timeout: 20}\n"
        "  - {id: yard, source: 'synthetic:people=2,size=160x120,fps=25', frames: 3, pace: asap}\n"
    )
    done = rededge("capture", file, "--json", "--wait")
    assert done.returncode == 0, done.stderr
    assert [(report["camera"], report["frames"]) for report in json.loads(done.stdout)] == [("door", 5), ("yard", 3)]
    assert "camera door: ended\n" in done.stderr
    assert client.smembers("cameras") == {b"door", b"yard"}
    wrong = rededge("capture", file, "--fps", 5)
    assert wrong.returncode == 2
    assert "--fps is each camera's own: write it into the file, as `fps:`" in wrong.stderr


def test_top_ends_when_the_reader_of_its_pipe_closes_it(edge: Instance, client: redis.Redis) -> None:
    with started("top", "--interval", 0.1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().split()[:3] == ["camera", "in/s", "out/s"]
        assert "no camera has series or a gear yet" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == ""


def test_top_restores_the_terminal(edge: Instance, client: redis.Redis) -> None:
    ours, its = pty.openpty()
    with started("top", "--interval", 0.1, stdout=its) as process:
        os.close(its)
        shown = b""
        while b"no camera has series" not in shown:
            assert process.poll() is None
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # Linux reports the end of a terminal as an error
        assert process.wait(30) == 0
    os.close(ours)
    assert shown.startswith(b"\x1b[?1049h\x1b[?25l")
    assert shown.endswith(b"\x1b[?25h\x1b[?1049l")
