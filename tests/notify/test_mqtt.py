"""MQTT with a real broker: events, retained states, what Home Assistant reads, and a broker that is away."""

from __future__ import annotations

import json

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.rules import OccupancyRule, SilenceRule
from rededge_nb.analytics.scene import Scene
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.notify import delivery, event_queue, mqtt
from tests.notify.receivers import MqttBroker, mqtt_broker
from tests.notify.running import add_event, has_begun, notifier
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)
SCENE = (
    Scene()
    .with_zone("desk", [(0, 0), (1, 0), (1, 1)])
    .with_rule(OccupancyRule(name="queue", zone="desk", at_least=3))
    .with_rule(SilenceRule(name="silence"))
)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(event_queue, "BLOCK_MS", 100)
    monkeypatch.setattr(mqtt, "REFRESH_INTERVAL", 0.1)


def target(port: int, **more: object) -> dict[str, object]:
    return {"name": "home", "type": "mqtt", "host": "127.0.0.1", "port": port, "timeout": 5, **more}


def events_of(broker: MqttBroker, topic: str) -> list[dict[str, str]]:
    return [json.loads(payload)["event"] for where, payload in list(broker.got) if where == topic]


def test_events_states_and_discovery(bare_client: redis.Redis) -> None:
    client, port = bare_client, free_port()
    client.sadd(schema.CAMERAS_KEY, "door")
    client.set(schema.scene_key("door"), SCENE.to_json())
    with mqtt_broker(port) as broker:
        with notifier(client, target(port, home_assistant=True)):
            broker.wait_until_retained("rededge/door/online", "ON")
            broker.wait_until_retained("rededge/door/alarm/queue", "OFF")
            broker.wait_until_retained("rededge/notifier", "online")
            expected = {
                "homeassistant/binary_sensor/rededge_rededge_door/online_connectivity/config",
                "homeassistant/binary_sensor/rededge_rededge_door/queue_problem/config",
            }
            wait_for(lambda: expected <= set(broker.retained()), timeout=30, what="the sensors")
            configs = {
                topic: json.loads(text) for topic, text in broker.retained().items() if topic.endswith("/config")
            }
            assert set(configs) == expected
            queue = configs["homeassistant/binary_sensor/rededge_rededge_door/queue_problem/config"]
            assert queue["state_topic"] == "rededge/door/alarm/queue"
            assert (queue["device_class"], queue["availability_topic"]) == ("problem", "rededge/notifier")

            raised = add_event(client, "door", "alarm_raised", alarm="queue-1", rule="queue", value=4)
            broker.wait_until_retained("rededge/door/alarm/queue", "ON")
            add_event(client, "door", "camera_silent", alarm="silence-1", rule="silence")
            broker.wait_until_retained("rededge/door/online", "OFF")
            add_event(client, "door", "alarm_cleared", alarm="queue-1", rule="queue")
            broker.wait_until_retained("rededge/door/alarm/queue", "OFF")
            wait_for(lambda: len(events_of(broker, "rededge/door/events")) == 3, timeout=30, what="three messages")
            assert events_of(broker, "rededge/door/events")[0]["id"] == raised

            client.set(schema.scene_key("door"), SCENE.without_rule("queue").to_json())
            gone = "homeassistant/binary_sensor/rededge_rededge_door/queue_problem/config"
            wait_for(lambda: gone not in broker.retained(), timeout=30, what="the sensor of the removed rule to go")
        broker.wait_until_retained("rededge/notifier", "offline")


def test_a_broker_that_is_away_gets_everything_later_with_a_topic_of_ones_own(bare_client: redis.Redis) -> None:
    client, port = bare_client, free_port()
    client.sadd(schema.CAMERAS_KEY, "0")
    with notifier(client, target(port, topic="house/{camera}/{kind}")):
        wait_for(lambda: has_begun(client, "home"), timeout=30, what="the consumer group")
        first = add_event(client, "0")
        wait_for(lambda: client.xpending(schema.events_key("0"), "notify:home")["pending"], timeout=30, what="a read")
        with mqtt_broker(port) as broker:
            wait_for(lambda: events_of(broker, "house/0/frames_refused"), timeout=60, what="the message")
            assert events_of(broker, "house/0/frames_refused")[0]["id"] == first
        second = add_event(client, "0")
        with mqtt_broker(port) as broker:
            wait_for(
                lambda: second in [event["id"] for event in events_of(broker, "house/0/frames_refused")],
                timeout=90,
                what="the message after the broker was started again",
            )
