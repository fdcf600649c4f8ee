"""Clips of alarms that are written automatically."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
import redis

from rededge_nb import schema, settings
from rededge_nb.clips.folder import find_clip, is_clip_name, keep_small
from rededge_nb.clips.recorder import GROUP
from rededge_nb.edge.server.state import Instance
from rededge_nb.edge.server.users import CONTAINER_RULES
from tests.bare import BareServer
from tests.clips.filling import add_event, add_frame
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)


@contextmanager
def recorder(server: BareServer, state: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `rededge clips`, as the user that it has in docker-compose.yml."""
    with redis.Redis(unix_socket_path=str(server.socket)) as owner:
        owner.execute_command("ACL", "SETUSER", "clips", "on", ">secret", "-@all", *CONTAINER_RULES["clips"].split())
    variables |= {settings.REDIS_URL: f"unix://clips:secret@{server.socket}", settings.STATE_DIR: str(state)}
    log = (state / "log").open("ab")
    with subprocess.Popen(
        [sys.executable, "-m", "rededge_nb.clips"], env=os.environ | variables, stderr=log
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            log.close()


def seconds(file: Path) -> float:
    """The duration of a video; fails if it is not complete."""
    with av.open(str(file)) as container:
        assert len(list(container.decode(video=0))) == container.streams.video[0].frames
        assert container.duration is not None
        return container.duration / 1e6


def pending(client: redis.Redis) -> int:
    return client.xpending(schema.events_key("0"), GROUP)["pending"]  # type: ignore[index]


def test_a_kill_while_a_clip_is_written_costs_neither_the_clip_nor_its_frames(
    shared_bare_server: BareServer, bare_client: redis.Redis, feeding, tmp_path: Path
) -> None:
    bare_client.sadd(schema.CAMERAS_KEY, "0")
    clips = tmp_path / "clips"
    with feeding(bare_client, every_ms=50) as newest_ts:
        first = newest_ts()
        wait_for(lambda: newest_ts() - first > 1000, timeout=30, what="frames before the event")
        ts = newest_ts()
        common = {"kind": "alarm_raised", "rule": "queue", "ts": ts, "ref": f"{ts}-0"}
        add_event(bare_client, **common, alarm="queue-1", clip="0-queue-1.mp4")
        add_event(bare_client, **common, alarm="queue-2", clip="../0-queue-2.mp4")
        add_event(bare_client, kind="line_crossed", ts=ts, line="door")
        with recorder(shared_bare_server, tmp_path) as process:
            part = wait_for(lambda: list(clips.glob(".*.part")), timeout=60, what="the beginning of the clip")
            process.kill()
            process.wait()
        assert find_clip(clips, "0-queue-1.mp4") is None
        assert part[0].exists()
        with recorder(shared_bare_server, tmp_path):
            file = wait_for(lambda: find_clip(clips, "0-queue-1.mp4"), timeout=60, what="the clip")
            wait_for(lambda: pending(bare_client) == 0, timeout=30, what="the events to be acknowledged")
    assert seconds(file) > 4
    assert [each.name for each in clips.iterdir()] == ["0-queue-1.mp4"]
    assert not list(tmp_path.glob("*.mp4"))
    assert "names no file" in (tmp_path / "log").read_text()


def test_an_alarm_whose_frames_are_gone_does_not_stop_the_others(
    shared_bare_server: BareServer, bare_client: redis.Redis, tmp_path: Path
) -> None:
    bare_client.sadd(schema.CAMERAS_KEY, "0")
    now_ms = time.time_ns() // 1_000_000
    shared = tmp_path / "shared"
    with recorder(shared_bare_server, tmp_path, REDEDGE_CLIPS_DIR=str(shared)):
        # it has found no camera with events yet
        add_event(bare_client, kind="alarm_raised", ts=now_ms - 90_000, ref="5-0", alarm="a", clip="0-a.mp4")
        wait_for(
            lambda: "no clip of alarm a: camera 0 has no frames" in (tmp_path / "log").read_text(),
            timeout=60,
            what="the reason in the log",
        )
        bare_client.flushall()
        bare_client.sadd(schema.CAMERAS_KEY, "0")
        ref = add_frame(bare_client, now_ms)
        add_event(bare_client, kind="alarm_raised", ts=now_ms, ref=ref, alarm="b", clip="0-b.mp4")
        wait_for(lambda: find_clip(shared, "0-b.mp4"), timeout=60, what="a clip after FLUSHALL")


def test_the_embedded_server_writes_clips_when_a_rule_asks_for_them(edge: Instance, client: redis.Redis) -> None:
    rule = {"kind": "occupancy", "name": "queue", "zone": "desk", "at_least": 3, "clip": True}
    client.set(schema.scene_key("0"), json.dumps({"version": 1, "rules": [rule]}))
    client.sadd(schema.CAMERAS_KEY, "0")
    now_ms = time.time_ns() // 1_000_000
    ref = add_frame(client, now_ms)
    add_event(client, kind="alarm_raised", ts=now_ms, ref=ref, alarm="queue-5", clip="0-queue-5.mp4")
    wait_for(lambda: find_clip(edge.dir / "clips", "0-queue-5.mp4"), timeout=60, what="the clip")
    assert (edge.dir / "clips").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name", ["../0-a.mp4", "/tmp/a.mp4", "a/b.mp4", ".mp4", ".a.mp4", "a.exe", "a.mp4\n", "", "..", "x" * 300 + ".mp4"]
)
def test_names_that_are_no_clips(name: str) -> None:
    assert not is_clip_name(name)


def test_the_folder_is_bounded_by_size_and_age(tmp_path: Path) -> None:
    for number in range(6):
        file = tmp_path / f"{number}.mp4"
        file.write_bytes(bytes(1000))
        age = 100 * (6 - number)
        os.utime(file, (time.time() - age, time.time() - age))
    (tmp_path / ".x.mp4.part").write_bytes(bytes(5000))
    (tmp_path / "notes.txt").write_bytes(bytes(5000))
    deleted = keep_small(tmp_path, max_bytes=10_000, max_age=350)
    assert [file.name for file in deleted] == ["0.mp4", "1.mp4", "2.mp4"]
    deleted = keep_small(tmp_path, max_bytes=2500, max_age=350)
    assert [file.name for file in deleted] == ["3.mp4"]
    left = {"4.mp4", "5.mp4", ".x.mp4.part", "notes.txt"}
    assert {file.name for file in tmp_path.iterdir()} == left
    os.utime(tmp_path / ".x.mp4.part", (0, 0))
    keep_small(tmp_path, max_bytes=2500, max_age=350)
    assert {file.name for file in tmp_path.iterdir()} == left - {".x.mp4.part"}


@pytest.mark.parametrize(("name", "value"), [("CLIPS_SIZE", "many"), ("CLIPS_DAYS", "-1"), ("CLIPS_DAYS", "nan")])
def test_limits_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(getattr(settings, name), value)
    with pytest.raises(ValueError, match=rf"REDEDGE_{name} is '{value}', but it must be"):
        getattr(settings, name.lower())()
