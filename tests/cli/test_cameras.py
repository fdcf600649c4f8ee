"""Cameras from the command line: capture, top."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
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

    printed = rededge("top", "--once", "--json")
    (row,) = json.loads(printed.stdout)["cameras"]
    assert row["camera"] == "desk"
    assert (row["in_fps"], row["out_fps"], row["dropped_fps"]) == (0, 0, 0), "nothing arrives any more"
    assert (row["recording"]["running"], row["recording"]["position_s"]) == (False, 0.9)
    assert row["state"] == "recording ended at 0:00"
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
    assert "--fps is an option of each camera: write it into the file, as `fps:`" in wrong.stderr
    capitals = file.rename(tmp_path / "CAMERAS.YAML")
    assert len(json.loads(rededge("capture", capitals, "--json").stdout)) == 2


def shown_cameras() -> dict[str, Any]:
    return {each["camera"]: each for each in json.loads(rededge("cameras", "--json").stdout)["cameras"]}


def test_the_cameras_and_what_feeds_them_are_listed(edge: Instance, client: redis.Redis) -> None:
    assert "no camera is known yet" in rededge("cameras").stdout
    scene = "synthetic:people=1,size=128x64,fps=20"
    with started("capture", scene, "--camera", "door", "--json", stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: client.xlen("camera:door") > 3, what="some frames", timeout=30)
        wait_for(lambda: shown_cameras()["door"]["out_fps"] > 0, what="a rate", timeout=30)
        wait_for(lambda: shown_cameras()["door"]["capture"]["fps"] > 0, what="the rate of the capture", timeout=30)
        fed = shown_cameras()["door"]["capture"]
        assert (fed["source"], fed["pid"], fed["host"]) == (scene, process.pid, socket.gethostname())
        assert fed["fps"] < 40
        assert datetime.fromisoformat(fed["since"]) <= datetime.now(UTC)
        line = rededge("cameras").stdout.splitlines()[1]
        assert line.startswith("door ")
        assert f"process {process.pid} on {socket.gethostname()}" in line
        assert line.endswith(scene)

        refused = rededge("capture", scene, "--camera", "door")
        assert refused.returncode == 1
        assert f"rededge: camera door is fed by {scene} (process {process.pid} on" in refused.stderr
        assert "since 20" in refused.stderr
        replaced = rededge("capture", scene, "--camera", "door", "--replace", "--frames", 3, "--json")
        assert json.loads(replaced.stdout)["frames"] == 3
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        (problem,) = json.loads(output)["problems"]
        assert problem.startswith(f"ended, because the capture of {scene} by process ")
    assert shown_cameras()["door"]["capture"] is None
    assert rededge("cameras").stdout.splitlines()[1].endswith("(no capture)")


def test_a_capture_is_ended_from_another_process(edge: Instance, client: redis.Redis) -> None:
    scene = "synthetic:people=1,size=128x64,fps=20"
    with started("capture", scene, "--camera", "door", "--json", stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: client.xlen("camera:door") > 3, what="some frames", timeout=30)
        ended = rededge("capture", "--stop", "door")
        assert ended.returncode == 0, ended.stderr
        output, _ = process.communicate(timeout=30)
        report = json.loads(output)
        assert ended.stdout.startswith(f"the capture of {scene} (process {process.pid} on ")
        assert ended.stdout.endswith(f"has ended, after {report['frames']} frames\n")
        assert (process.returncode, report["problems"]) == (0, ["ended by `rededge capture --stop`"])
    again = rededge("capture", "--stop", "door")
    assert (again.returncode, "no capture feeds camera door" in again.stderr) == (1, True)
    assert rededge("capture").returncode == rededge("capture", scene, "--stop", "door").returncode == 2


def test_frames_that_the_gear_refuses_are_reported(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    good = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    lossless = good.replace(b"\xff\xc0", b"\xff\xc3")  # a kind of JPEG that hardly anything decodes
    for number, data in enumerate((good, good, lossless)):  # the last one: with realtime, the gear may drop others
        (tmp_path / f"{number}.jpg").write_bytes(data)
    for pace in ("asap", "realtime"):
        done = rededge("capture", tmp_path, "--pace", pace, "--json")
        assert done.returncode == 4
        report = json.loads(done.stdout)
        assert (report["frames"], report["skipped"], report["refused"]) == (3, 0, 1)
        assert "rededge: camera 0: 1 frame was refused by the gear: ValueError: field 'image' is not an" in done.stderr


def test_images_that_cannot_be_read_are_reported(edge: Instance, client: redis.Redis, tmp_path: Path) -> None:
    good = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    for number, data in enumerate((good, good[:300], b"", good)):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    done = rededge("capture", tmp_path, "--pace", "asap", "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["frames"], report["skipped"]) == (2, 2)
    assert "rededge: camera 0: 2 images were left out: " in done.stderr


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
