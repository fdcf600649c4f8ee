"""Events that no frame can show, from real workers: each once, also when workers are killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from rededge_nb import schema
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names, worker_client
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.state.leases import Leases
from rededge_nb.edge.worker.camera_watch import CameraWatch
from rededge_nb.reading.events import Event, active_alarms, read_events, read_server_events
from tests.edge.bare_redis import bare_redis
from tests.waiting import wait_for

KILLS = 4


def of_silence(client: redis.Redis, camera: str) -> list[Event]:
    return list(reversed(read_events(client, camera, kinds=["camera_silent", "camera_back"])))


def watch(client: redis.Redis, *cameras: str, after: float = 1) -> None:
    client.sadd(schema.CAMERAS_KEY, *cameras)
    for camera in cameras:
        CameraScene(client, camera).rule("silence", "silence", after=after)


def add_frame(client: redis.Redis, camera: str, image: bytes = b"no image") -> str:
    return str(client.xadd(schema.frames_key(camera), {"count": 1, "image": image}, maxlen=50).decode())


@contextmanager
def frames_of(client: redis.Redis, camera: str, image: bytes) -> Iterator[None]:
    """Adds frames in a thread until the block ends."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            add_frame(client, camera, image)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_silence_and_return_are_reported_once(client: redis.Redis) -> None:
    watch(client, "0")
    last = int(add_frame(client, "0").split("-")[0])
    (silent,) = wait_for(lambda: of_silence(client, "0"), timeout=30, what="the silence")
    assert (silent.kind, silent.severity, silent.rule) == ("camera_silent", "alarm", "silence")
    assert silent.since_ms >= last  # later if this server is younger
    assert silent.seconds >= 1
    assert "nothing feeds the camera" in silent.reason
    assert active_alarms(client, "0") == [silent]
    add_frame(client, "0")
    _, back = wait_for(lambda: len(of_silence(client, "0")) == 2 and of_silence(client, "0"), timeout=30, what="back")
    assert (back.kind, back.alarm, back.since_ms) == ("camera_back", silent.alarm, silent.since_ms)
    assert back.seconds >= silent.seconds
    # silent again: another alarm
    wait_for(lambda: len(of_silence(client, "0")) == 3, timeout=30, what="the second silence")
    assert [event.kind for event in of_silence(client, "0")] == ["camera_silent", "camera_back", "camera_silent"]
    assert [event.alarm for event in active_alarms(client, "0")] == [of_silence(client, "0")[2].alarm]


def test_what_has_ended_on_purpose_is_not_silent(client: redis.Redis) -> None:
    watch(client, "ended", "failed", "killed", "never")
    for camera, problem in (("ended", ""), ("failed", "the camera refuses the password")):
        last = add_frame(client, camera)
        client.xadd(schema.captures_key(camera), {"capture": "a", "last_id": last, "problem": problem})
    add_frame(client, "killed")
    for camera in ("failed", "killed"):
        wait_for(lambda camera=camera: of_silence(client, camera), timeout=30, what=f"the silence of {camera}")
    # a look after these: one more camera, which is reported in a later look
    watch(client, "later")
    add_frame(client, "later")
    wait_for(lambda: of_silence(client, "later"), timeout=30, what="a later look")
    assert of_silence(client, "ended") == of_silence(client, "never") == []
    assert of_silence(client, "failed")[0].reason == "the capture has ended: the camera refuses the password"


def test_rules_are_in_force_at_once_and_an_alarm_ends_with_its_rule(client: redis.Redis) -> None:
    watch(client, "0", after=3600)
    add_frame(client, "0")
    CameraScene(client, "0").rule("soon", "silence", after=1, severity="info")
    wait_for(lambda: of_silence(client, "0"), timeout=30, what="the silence")
    assert [(event.rule, event.severity) for event in of_silence(client, "0")] == [("soon", "info")]
    CameraScene(client, "0").remove_rule("soon")
    wait_for(lambda: len(of_silence(client, "0")) == 2, timeout=30, what="the end of the alarm")
    assert of_silence(client, "0")[1].reason == "removed"
    assert not active_alarms(client, "0")


def test_killed_workers_report_each_silence_once(folder: Path) -> None:
    instance = server.start(folder, workers=2)
    client = client_from_url(instance.url)
    cameras = [f"c{number}" for number in range(20)]
    watch(client, *cameras)
    for camera in cameras:
        add_frame(client, camera)
    state = state_client(client)
    for _ in range(KILLS):
        heartbeats = wait_for(
            lambda: list(state.scan_iter(key_names.heartbeat(state, "*"))), timeout=60, what="workers"
        )
        for key in heartbeats:
            pid = int(key_names.worker_of(state, key).split("-")[-2])
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda old=heartbeats: set(state.scan_iter(key_names.heartbeat(state, "*"))) - set(old),
            timeout=60,
            what="new workers",
        )
    for camera in cameras:
        wait_for(lambda camera=camera: of_silence(client, camera), timeout=60, what=f"the silence of {camera}")
    watch(client, "later")
    add_frame(client, "later")
    wait_for(lambda: of_silence(client, "later"), timeout=60, what="a later look")
    assert {camera: len(of_silence(client, camera)) for camera in cameras} == dict.fromkeys(cameras, 1)
    lost = read_server_events(client, kinds=["worker_lost"])
    assert {event.severity for event in lost} == {"warning"}
    assert 1 <= len(lost) <= 2 * KILLS
    client.close()


def test_frames_that_cannot_be_decoded_are_silence_and_a_paused_gear_is_reported(client: redis.Redis) -> None:
    provision(client)
    watch(client, "0")
    with frames_of(client, "0", b"not a JPEG"):
        (silent,) = wait_for(lambda: of_silence(client, "0"), timeout=60, what="the silence")
    assert "its frames cannot be decoded: ValueError: field 'image'" in silent.reason
    (registration,) = [one for one in list_registrations(client) if one.stream == schema.frames_key("0")]

    def kinds() -> list[str]:
        return [event.kind for event in reversed(read_events(client, "0")) if event.kind.startswith("gear")]

    client.execute_command("RG.PAUSEREGISTRATIONS", registration.id)
    wait_for(lambda: kinds() == ["gear_paused"], timeout=30, what="the pause")
    client.execute_command("RG.UNPAUSEREGISTRATIONS", registration.id)
    wait_for(lambda: kinds() == ["gear_paused", "gear_unpaused"], timeout=30, what="the end of the pause")


@pytest.fixture
def bare() -> Iterator[tuple[redis.Redis, CameraWatch, Leases]]:
    with bare_redis() as running:
        url = f"unix://{running.socket_path}"
        client = worker_client(url, name="test")
        leases = Leases(state_client(client), "worker of the test")
        raw = worker_client(url, name="test")
        raw.response_callbacks.clear()
        yield client, CameraWatch(url, leases, raw), leases


def test_a_full_memory_is_reported_once_and_its_end(bare: Any) -> None:
    client, camera_watch, _ = bare
    camera_watch.look()
    assert read_server_events(client) == []
    client.set("large", b"x" * 8_000_000)
    client.config_set("maxmemory", 6_000_000)
    camera_watch.look()
    camera_watch.look()
    (full,) = read_server_events(client)
    assert (full.kind, full.severity, full.camera) == ("memory_full", "alarm", "")
    client.config_set("maxmemory", 1_000_000_000)
    camera_watch.look()
    camera_watch.look()
    assert [event.kind for event in read_server_events(client)] == ["memory_free", "memory_full"]


def test_one_worker_watches_and_a_damaged_state_is_replaced(bare: Any) -> None:
    client, camera_watch, leases = bare
    watch(client, "0", after=1)
    other = Leases(state_client(client), "another worker")
    assert other.acquire("watch", "watch of the cameras")
    add_frame(client, "0")
    client.set(schema.watched_key("0"), "not JSON")
    state = state_client(client)
    camera_watch.look()
    assert not state.exists(key_names.watch(state)), "the other worker has the lease"
    other.release("watch", "watch of the cameras")

    def silent() -> bool:
        leases.renew()
        camera_watch.look()
        return bool(of_silence(client, "0"))

    wait_for(silent, timeout=30, what="the silence")
