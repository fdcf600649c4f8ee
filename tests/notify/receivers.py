"""What the notifier sends to: a web server with bad habits, and an MQTT broker with a subscriber."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import paho.mqtt.client as paho
from amqtt.broker import Broker

from tests.waiting import wait_for


class Receiver:
    """A web server that keeps what it gets.

    Attributes:
        answers: Status codes of the next answers; 200 when it is empty. 0 does not answer until `release` is set.
        got: The messages that it has answered with 200, as JSON.
        tried: Ids of all messages that arrived.
    """

    def __init__(self, port: int = 0) -> None:
        self.answers: list[int] = []
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.tried: list[str] = []
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.tried.append(self.headers.get("X-Rededge-Id", ""))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 0:
                    receiver.release.wait(60)
                    return
                if status == 200:
                    receiver.headers.append(dict(self.headers))
                    receiver.bodies.append(body)
                    receiver.got.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def ids(self) -> list[str]:
        """The ids of all events that it has got, in their order."""
        return [event["id"] for message in self.got for event in message["events"]]

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    server = Receiver(port)
    try:
        yield server
    finally:
        server.close()


class MqttBroker:
    """A broker, and what a subscriber to all of its topics has got: topic and payload."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[tuple[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start())
        self._subscriber = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="subscriber")
        subscribed = threading.Event()
        self._subscriber.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._subscriber.on_subscribe = lambda *_: subscribed.set()
        self._subscriber.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, message.payload.decode())
        )
        self._subscriber.connect("127.0.0.1", port)
        self._subscriber.loop_start()
        assert subscribed.wait(30)

    def retained(self) -> dict[str, str]:
        return {
            topic: message.data.decode()
            for topic, message in self._broker.retained_messages.items()
            if message is not None and message.data
        }

    def wait_until_retained(self, topic: str, payload: str) -> None:
        wait_for(lambda: self.retained().get(topic) == payload, timeout=60, what=f"{topic} = {payload}")

    def close(self) -> None:
        self._subscriber.disconnect()
        self._subscriber.loop_stop()
        self._run(self._broker.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await self._broker.start()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def mqtt_broker(port: int) -> Iterator[MqttBroker]:
    broker = MqttBroker(port)
    try:
        yield broker
    finally:
        broker.close()
