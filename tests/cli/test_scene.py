"""`rededge scene`: what each command stores and prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.edge.server.state import Instance


@pytest.fixture
def run(edge: Instance, client: redis.Redis):
    def call(*words: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rededge_nb.cli", "scene", *words]
        variables = os.environ | {"REDIS_URL": edge.url} | environment
        return subprocess.run(command, capture_output=True, text=True, input=text, env=variables, check=False)

    return call


def test_a_scene_is_drawn_shown_exported_and_imported(run, client: redis.Redis, tmp_path: Path) -> None:
    assert "nothing is drawn" in run("show").stderr
    run("set", "line", "door", "0.1,0.5", "0.9,0.5", "--forward", "in", "--backward", "out")
    done = run("set", "zone", "desk", "0.2,0.2", "0.6,0.2", "0.6,0.7")
    assert done.stdout == "<Scene of camera 0, version 2: lines door; zones desk>\n"
    assert "nothing is counted at camera 0 before `rededge init --camera 0` or a capture" in done.stderr
    shown = run("show").stdout
    assert "0 in, 0 out" in shown
    assert "0.2,0.2 0.6,0.2 0.6,0.7" in shown
    assert json.loads(run("show", "--json").stdout)["lines"][0]["forward"] == "in"
    run("export", str(tmp_path / "scene.json"))
    done = run("import", str(tmp_path / "scene.json"), "--camera", "yard")
    assert done.stdout == "stored version 3 of the scene of camera yard: 1 lines, 1 zones, 0 masks\n"
    assert CameraScene(client, "yard").load().zones == CameraScene(client, "0").load().zones
    now_ms = client.time()[0] * 1000
    labels = ("LABELS", "camera", "0", "__name__", schema.TOO_FEW_FRAMES)
    client.execute_command("TS.ADD", schema.series_key("0", schema.TOO_FEW_FRAMES), now_ms, 1.5, *labels)
    done = run("set", "line", "door", "0.5,0.1", "0.5,0.9")
    assert (
        "note: the model saw 1.5 frames a second while people moved, and 3.5 are needed to follow them" in done.stderr
    )
    assert "1.5 frames" not in run("set", "zone", "desk", "0.2,0.2", "0.6,0.2", "0.6,0.7", "--camera", "yard").stderr
    lease = {"id": "c1", "pace": "realtime", "fps": "1.04", "since": str(now_ms - 60_000)}
    client.hset(schema.capture_key("yard"), mapping=lease)
    done = run("set", "line", "gate", "0.5,0.1", "0.5,0.9", "--camera", "yard")
    assert (
        "note: the capture of camera yard adds 1.0 frames a second, and 3.5 are needed to follow people" in done.stderr
    )
    run("remove", "door")
    assert not CameraScene(client, "0").load().lines


def test_no_image_is_stored_and_a_still_image_takes_its_place(run, client: redis.Redis, tmp_path: Path) -> None:
    assert "boxes only" in run("boxes-only", "on").stdout
    assert CameraScene(client, "0").load().boxes_only
    assert "no image of this camera is stored" in run("show").stdout
    still = tmp_path / "empty.png"
    cv2.imwrite(str(still), np.zeros((48, 64, 3), np.uint8))
    assert run("still", str(still)).returncode == 0
    assert client.exists(schema.still_key("0"))
    assert "either a file or --remove" in run("still").stderr
    assert run("still", "--remove").returncode == 0
    assert not client.exists(schema.still_key("0"))
    assert "boxes only" not in run("boxes-only", "off").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "line", "door", "0.1", "0.9,0.5"), "'0.1' is not a point: write X,Y"),
        (("set", "line", "door", "0.1,2", "0.9,0.5"), "y is 2.0, must be from 0 to 1"),
        (("remove", "door"), 'there is no line, zone or mask "door"'),
    ],
)
def test_mistakes_are_named_in_one_line(run, words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_text_editor_changes_the_scene_and_a_mistake_can_be_corrected(
    run,
    client: redis.Redis,
    tmp_path: Path,
) -> None:
    CameraScene(client, "0").save(Scene().with_line("door", (0, 0.5), (1, 0.5)))
    # the first time it makes a mistake, the second time it corrects it
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i -e \'s/broken/"gate"/;t\' -e \'s/"door"/broken/\' "$1"\n')
    editor.chmod(0o755)
    done = run("edit", text="y\n", EDITOR=str(editor))
    assert "not JSON" in done.stderr
    assert "stored version 2" in done.stdout
    assert [line.name for line in CameraScene(client, "0").load().lines] == ["gate"]
    assert "nothing was changed" in run("edit", EDITOR="true").stderr


def test_a_rule_is_added_shown_and_removed(run, client: redis.Redis) -> None:
    CameraScene(client, "0").line("5", (0, 0.5), (1, 0.5), forward="in")
    schedule = '{"time_zone": "Europe/Berlin", "windows": [{"start": "22:00", "end": "06:00"}]}'
    words = ("line=5", "direction=in", "at_least=2", "severity=alarm", "clip=true", f"schedule={schedule}")
    assert "rules night" in run("set", "rule", "night", "crossings", *words).stdout
    (rule,) = CameraScene(client, "0").load().rules
    assert (rule.line, rule.direction, rule.at_least, rule.clip) == ("5", "forward", 2, True)
    assert rule.schedule.time_zone == "Europe/Berlin"
    assert "crossings severity=alarm" in run("show").stdout
    run("remove", "night", "--rule")
    assert not CameraScene(client, "0").load().rules


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("queue", "occupancy", "zone=desk", "at_least=6"), 'rules[0].zone: there is no zone "desk"'),
        (("queue", "occupancy", "zone=desk", "atleast=6"), "atleast"),
        (("silence", "silence", "after=0"), 'rule "silence".after: is 0, must be from 1'),
        (("queue", "crowd"), 'rule "queue".kind: "crowd" is unknown'),
        (("queue", "occupancy", "name=door"), "is written before its fields"),
        (("queue", "occupancy", "at_least"), "'at_least' is not FIELD=VALUE"),
    ],
)
def test_a_mistake_in_a_rule_names_the_field(run, words: tuple[str, ...], message: str) -> None:
    done = run("set", "rule", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
