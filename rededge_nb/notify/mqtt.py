"""Publishes messages to an MQTT broker, and what is so now in topics that the broker retains.

    rededge/<camera>/events            each message, as JSON (or the target's `topic`)
    rededge/<camera>/online            ON, or OFF while the camera is silent; retained
    rededge/<camera>/alarm/<rule>      ON while the rule's alarm is active, otherwise OFF; retained
    rededge/notifier                   online, or offline when the notifier has gone; retained

With `home_assistant`, Home Assistant finds a binary sensor for each of them by itself
(https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import Any, Final

import paho.mqtt.client as paho
import redis
from paho.mqtt.enums import CallbackAPIVersion

from rededge_nb.notify.configuration import TargetConfig, fill
from rededge_nb.notify.message import Message
from rededge_nb.notify.states import broker_topics
from rededge_nb.notify.targets import RefusedError, UnavailableError

REFRESH_INTERVAL: Final = 2.0
"""Seconds between two looks at what the retained topics must say."""
_QOS: Final = 1


class Mqtt:
    """A connection to a broker, which is made again when it is lost.

    Args:
        config: The target.
        single_messages: Send messages beside a notifier that runs: neither end its connection, which has the id of the
            target, nor say that it has gone.
    """

    def __init__(self, config: TargetConfig, *, single_messages: bool = False) -> None:
        options = config.options
        self._timeout = config.timeout
        self._prefix: str = options["prefix"]
        self._topic: str = options["topic"]
        self._discovery: str = options["home_assistant"]
        self._address = (options["host"], options["port"])
        self._refused = ""
        self._connected = threading.Event()
        self._started = False
        self._retained: dict[str, str] = {}
        """What the broker retains, as far as it is known."""
        self._next_refresh = 0.0
        self._announces_itself = not single_messages
        client_id = f"rededge-{config.name}" if self._announces_itself else f"rededge-{secrets.token_hex(6)}"
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if options["user"]:
            self._client.username_pw_set(options["user"], options["password"] or None)
        if options["tls"]:
            self._client.tls_set()
        if self._announces_itself:
            self._client.will_set(f"{self._prefix}/notifier", "offline", _QOS, retain=True)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect

    def send(self, message: Message) -> None:
        """Publish a message; see `Target`."""
        self._connect()
        body = json.dumps(message.as_dict())
        for event in message.events:
            values = {**message.values, "camera": event.camera, "rule": event.rule}
            topic = fill(self._topic, values) if self._topic else f"{self._prefix}/{event.camera or 'server'}/events"
            self._publish(topic, body)
        self._next_refresh = 0.0

    def refresh(self, client: redis.Redis) -> None:
        """Publish what has changed in the retained topics."""
        if time.monotonic() < self._next_refresh:
            return
        self._next_refresh = time.monotonic() + REFRESH_INTERVAL
        self._connect()
        wanted = broker_topics(client, self._prefix, self._discovery)
        for topic in [*wanted, *(set(self._retained) - set(wanted))]:
            payload = wanted.get(topic, "")  # an empty one deletes what the broker retains
            if self._retained.get(topic) != payload:
                self._publish(topic, payload, retain=True)
                self._retained[topic] = payload
        self._retained = {topic: payload for topic, payload in self._retained.items() if topic in wanted}

    def close(self) -> None:
        """Disconnect, and say so."""
        if self._announces_itself and self._connected.is_set():
            self._client.publish(f"{self._prefix}/notifier", "offline", _QOS, retain=True).wait_for_publish(1)
        self._client.disconnect()
        if self._started:
            self._client.loop_stop()

    def _connect(self) -> None:
        if not self._started:
            try:
                self._client.connect(*self._address, keepalive=30)
            except (OSError, ValueError) as error:
                raise UnavailableError(f"the broker does not answer: {error}") from error
            self._client.loop_start()
            self._started = True
        if not self._connected.wait(self._timeout):
            raise UnavailableError(self._refused or "there is no connection to the broker")

    def _publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        try:
            info = self._client.publish(topic, payload, _QOS, retain=retain)
            info.wait_for_publish(self._timeout)
        except ValueError as error:
            raise RefusedError(f"the topic cannot be used: {error}") from error
        except RuntimeError as error:
            raise UnavailableError(f"the broker has not got the message: {error}") from error
        if not info.is_published():
            raise UnavailableError(f"the broker did not confirm the message within {self._timeout:g} s")

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"the broker refuses the connection: {reason}"
            return
        self._refused = ""
        self._retained = {}  # another broker may have taken its place, or it has lost them
        self._next_refresh = 0.0
        if self._announces_itself:
            client.publish(f"{self._prefix}/notifier", "online", _QOS, retain=True)
        self._connected.set()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self._connected.clear()
