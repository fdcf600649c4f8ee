"""Runs the deliveries to all targets, or sends one message to each of them as a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import redis

from rededge_nb.edge.client import blocking_client
from rededge_nb.notify.chat import Chat
from rededge_nb.notify.configuration import NotifyConfig, TargetConfig
from rededge_nb.notify.delivery import Delivery
from rededge_nb.notify.message import message_of
from rededge_nb.notify.mqtt import Mqtt
from rededge_nb.notify.targets import FailedError, RefusedError, Target, UnavailableError
from rededge_nb.notify.webhook import Webhook
from rededge_nb.reading.events import Event

_TYPES: dict[str, Callable[[TargetConfig], Target]] = {"webhook": Webhook, "mqtt": Mqtt, "apprise": Chat}


def run_notifier(client: redis.Redis, config: NotifyConfig, stop: threading.Event) -> None:
    """Send events to all targets until `stop` is set. A server that is away is waited for.

    Raises:
        ConfigurationError: A target cannot be used.
    """
    targets = [_target(one) for one in config.targets]
    with ExitStack() as connections:
        threads = []
        for one, target in zip(config.targets, targets, strict=True):
            own = connections.enter_context(blocking_client(client))
            delivery = Delivery(own, one, target, stop, config.without_secrets)
            threads.append(threading.Thread(target=delivery.run, name=f"notify {one.name}", daemon=True))
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(max(one.timeout for one in config.targets) + 5)


def send_test(config: NotifyConfig) -> dict[str, str]:
    """Send one message to each target; returns by target why that failed, "" where it did not.

    Raises:
        ConfigurationError: A target cannot be used.
    """
    found: dict[str, str] = {}
    now_ms = int(time.time() * 1000)
    fields = {"kind": "test", "severity": "info", "ts": str(now_ms), "reason": "a test of the notifications"}
    event = Event("", f"{now_ms}-0", "test", "info", now_ms, reason=fields["reason"], fields=fields)
    for one, target in [(one, _target(one)) for one in config.targets]:
        try:
            target.send(message_of([event], one))
            found[one.name] = ""
        except (UnavailableError, FailedError, RefusedError) as error:
            found[one.name] = config.without_secrets(str(error))
        finally:
            target.close()
    return found


def _target(config: TargetConfig) -> Target:
    return _TYPES[config.type](config)
