"""Webhooks with a real web server: signed, in order, at least once, whatever the receiver does."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.notify import delivery, event_queue
from rededge_nb.notify.event_queue import EventQueue
from tests.notify.receivers import Receiver, receiver
from tests.notify.running import add_event, has_begun, notifier, pending
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(delivery, "MAX_DELAY", 0.5)
    monkeypatch.setattr(event_queue, "BLOCK_MS", 100)
    monkeypatch.setattr(delivery, "CAMERAS_INTERVAL", 0.1)


@pytest.fixture
def client(bare_client: redis.Redis) -> redis.Redis:
    bare_client.sadd(schema.CAMERAS_KEY, "0", "1")
    return bare_client


def target(server: Receiver, name: str = "office", **more: Any) -> dict[str, Any]:
    return {"name": name, "url": server.url, "timeout": 30, **more}


def wait_until_begun(client: redis.Redis, *names: str) -> None:
    wait_for(lambda: has_begun(client, *names), timeout=30, what="the consumer groups")


def test_an_event_is_posted_with_a_signature_and_those_for_others_are_not(client: redis.Redis) -> None:
    add_event(client, "0", reason="before the target was there")
    with receiver() as server, notifier(client, target(server, secret="key of the test", title="{kind}!")):
        wait_until_begun(client, "office")
        add_event(client, "0", "line_crossed", "info", line="door", direction="forward")
        event_id = add_event(client, "0", reason="it is on fire")
        wait_for(lambda: server.got, timeout=30, what="the message")
        wait_for(lambda: not pending(client, "0", "office"), timeout=30, what="the acknowledgement")
    (message,) = server.got
    assert (message["id"], message["camera"], message["title"]) == (event_id, "0", "frames_refused!")
    assert message["event"]["reason"] == "it is on fire"
    expected = hmac.new(b"key of the test", server.bodies[0], hashlib.sha256).hexdigest()
    assert server.headers[0]["X-Rededge-Signature"] == f"sha256={expected}"
    assert server.headers[0]["X-Rededge-Id"] == event_id


def test_a_new_camera_is_read_from_its_first_event_and_a_restart_continues(client: redis.Redis) -> None:
    with receiver() as server:
        with notifier(client, target(server)):
            wait_until_begun(client, "office")
            ids = [add_event(client, "new")]
            client.sadd(schema.CAMERAS_KEY, "new")
            wait_for(lambda: server.ids() == ids, timeout=30, what="the first event of the new camera")
        client.sadd(schema.CAMERAS_KEY, "newer")
        ids += [add_event(client, "new"), add_event(client, "newer")]
        with notifier(client, target(server)):
            wait_for(lambda: set(server.ids()) == set(ids), timeout=30, what="what happened meanwhile")


def test_errors_and_silence_of_a_receiver_lose_nothing_and_do_not_delay_others(client: redis.Redis) -> None:
    with receiver() as bad, receiver() as good:
        bad.answers = [500, 0, 503, 429]
        with notifier(client, target(bad, "bad", timeout=0.3), target(good, "good")):
            wait_until_begun(client, "bad", "good")
            ids = [add_event(client, str(number % 2)) for number in range(6)]
            wait_for(lambda: len(good.ids()) == 6, timeout=30, what="all events at the good receiver")
            wait_for(lambda: len(bad.ids()) >= 6, timeout=60, what="all events at the bad receiver")
        for camera in "01":
            of_camera = [event_id for event_id in ids if event_id.startswith(camera)]
            for server in (good, bad):
                found = dict.fromkeys(event_id for event_id in server.ids() if event_id.startswith(camera))
                assert list(found) == of_camera
        assert len(set(bad.tried[:5])) == 1, "one event is tried until the receiver has it"


def test_a_receiver_that_hangs_does_not_delay_others(client: redis.Redis) -> None:
    with receiver() as hanging, receiver() as good:
        hanging.answers = [0]
        with notifier(client, target(hanging, "hanging"), target(good, "good")):
            wait_until_begun(client, "hanging", "good")
            event_id = add_event(client, "0")
            wait_for(lambda: hanging.tried, timeout=30, what="the attempt")
            wait_for(lambda: good.ids() == [event_id], timeout=30, what="the event at the good receiver")
            assert not hanging.got
            hanging.release.set()
            wait_for(lambda: hanging.ids() == [event_id], timeout=60, what="the second attempt")


def test_a_receiver_that_is_down_gets_everything_later(client: redis.Redis) -> None:
    port = free_port()
    with notifier(client, {"name": "office", "url": f"http://127.0.0.1:{port}/", "timeout": 5, "give_up_after": 0}):
        wait_until_begun(client, "office")
        ids = [add_event(client, "0") for _ in range(30)]
        wait_for(lambda: client.xpending(schema.events_key("0"), "notify:office")["pending"], timeout=30, what="a read")
        with receiver(port) as server:
            wait_for(lambda: server.ids() == ids, timeout=60, what="all events in their order")


def test_an_event_that_is_refused_is_put_aside_and_the_next_is_sent(client: redis.Redis) -> None:
    with receiver() as server, notifier(client, target(server)):
        wait_until_begun(client, "office")
        server.answers = [400, 403, 410]
        refused, sent = add_event(client, "0"), add_event(client, "0")
        wait_for(lambda: server.ids() == [sent], timeout=30, what="the next event")
    assert server.tried == [refused] * 3 + [sent]
    ((_, letter),) = client.xrange(schema.dead_letters_key("office"))
    assert (letter[b"id"].decode(), letter[b"reason"]) == (refused, b"the receiver answers 410")
    assert not pending(client, "0", "office")


def test_an_event_with_which_the_receiver_fails_for_long_is_put_aside(client: redis.Redis) -> None:
    with receiver() as server, notifier(client, target(server, give_up_after=0)):
        wait_until_begun(client, "office")
        server.answers = [500] * 3
        add_event(client, "0")
        wait_for(lambda: client.xlen(schema.dead_letters_key("office")), timeout=30, what="the dead letter")
        server.answers = []
        event_id = add_event(client, "0")
        wait_for(lambda: event_id in server.ids(), timeout=30, what="the next event")


def test_events_that_left_the_stream_are_reported(client: redis.Redis) -> None:
    with receiver() as server:
        with notifier(client, target(server)):
            wait_until_begun(client, "office")
            first = add_event(client, "0")
            wait_for(lambda: server.ids() == [first], timeout=30, what="the first event")
            wait_for(lambda: not pending(client, "0", "office"), timeout=30, what="the acknowledgement")
        ids = [add_event(client, "0") for _ in range(10)]
        client.xtrim(schema.events_key("0"), maxlen=3, approximate=False)
        with notifier(client, target(server)):
            wait_for(lambda: ids[-1] in server.ids(), timeout=30, what="the last event")
            wait_for(lambda: server.got[-1]["kind"] == "notifications_dropped", timeout=30, what="the report")
    report = next(message["event"] for message in server.got if message["kind"] == "notifications_dropped")
    assert report["value"] == "7"
    assert "7 events of camera 0 left their stream before the target office" in report["reason"]


def test_cameras_that_fall_silent_together_are_one_message(client: redis.Redis) -> None:
    cameras = [f"c{number}" for number in range(50)]
    client.sadd(schema.CAMERAS_KEY, *cameras)
    with receiver() as server, notifier(client, target(server)):
        wait_until_begun(client, "office")
        ids = [add_event(client, camera, "camera_silent", alarm="silence-1") for camera in cameras]
        wait_for(lambda: len(server.ids()) == 50, timeout=30, what="all events")
    assert set(server.ids()) == set(ids)
    assert len(server.got) <= 3  # one, if this machine adds them within a second
    assert "cameras: camera silent" in server.got[0]["title"]


def test_the_frame_with_its_boxes_is_attached(client: redis.Redis) -> None:
    image = np.full((120, 160, 3), 40, np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    ref = client.xadd(schema.frames_key("0"), {"count": 1, "image": jpeg, "ts": 5}).decode()
    found = {"ref": ref, "ts": 5, "boxes": "[20,20,80,110]", "people": 1, "confidence": "[0.9]", "ms": 1}
    client.xadd(schema.detections_key("0"), found)
    with receiver() as server, notifier(client, target(server), target(server, "plain", snapshot=False)):
        wait_until_begun(client, "office", "plain")
        add_event(client, "0", "alarm_raised", ref=ref, alarm="queue-1")
        wait_for(lambda: len(server.got) == 2, timeout=30, what="both messages")
    (sent,) = [message["snapshot"] for message in server.got if "snapshot" in message]
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(sent), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == image.shape
    assert np.abs(drawn[60, 15:25].astype(int) - 40).max() > 60, "the left side of the box"


def test_deleted_data_does_not_stop_the_notifier(client: redis.Redis) -> None:
    with receiver() as server, notifier(client, target(server)):
        wait_until_begun(client, "office")
        client.flushall()
        client.sadd(schema.CAMERAS_KEY, "0")
        event_id = add_event(client, "0")
        wait_for(lambda: event_id in server.ids(), timeout=30, what="an event after everything was deleted")


def test_data_that_is_deleted_while_a_new_notifier_reads_what_the_last_one_left(client: redis.Redis) -> None:
    last = EventQueue(client, "office")
    last.follow_new_cameras()
    last.read()
    add_event(client, "0")
    last.read()
    queue = EventQueue(client, "office")
    queue.follow_new_cameras()
    assert [event.camera for event in queue.read()] == ["0"]
    client.flushall()
    client.sadd(schema.CAMERAS_KEY, "1")  # camera 0 does not come back
    event_id = add_event(client, "1")
    found = wait_for(queue.read, what="an event after everything was deleted")
    assert [f"{event.camera}/{event.id}" for event in found] == [event_id]
