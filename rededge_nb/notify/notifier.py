"""Runs the deliveries to all targets, or sends one message to each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import redis

from rededge_nb.edge.client import blocking_client
from rededge_nb.notify import delivery
from rededge_nb.notify.chat import Chat
from rededge_nb.notify.configuration import NotifyConfig, TargetConfig
from rededge_nb.notify.delivery import Delivery
from rededge_nb.notify.message import Message, message_of
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
    targets = [_TYPES[one.type](one) for one in config.targets]
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
    now_ms = int(time.time() * 1000)
    fields = {"kind": "test", "severity": "info", "ts": str(now_ms), "reason": "a test of the notifications"}
    event = Event("", f"{now_ms}-0", "test", "info", now_ms, reason=fields["reason"], fields=fields)
    return send_once(config, event)


def check_targets(config: NotifyConfig) -> None:
    """Make sure that the targets can be used, without sending anything.

    Raises:
        ConfigurationError: One cannot.
    """
    for one in config.targets:
        _target(one).close()


def send_once(config: NotifyConfig, event: Event, *, more: str = "", tries: int = 1) -> dict[str, str]:
    """Send an event to each target, whether or not the target wants such events.

    Args:
        config: The targets.
        event: The event.
        more: What follows after the text.
        tries: How often a target is tried that is away, or answers with an error that may go away.

    Returns:
        By target why it has not got the message, without secrets; "" if it has.

    Raises:
        ConfigurationError: A target cannot be used.
    """
    found: dict[str, str] = {}
    for one, target in [(one, _target(one)) for one in config.targets]:
        message = message_of([event], one)
        if more:
            message = replace(message, text=f"{message.text}\n{more}")
        try:
            found[one.name] = config.without_secrets(_send(target, message, tries))
        finally:
            target.close()
    return found


def _send(target: Target, message: Message, tries: int) -> str:
    """Returns why the target has not got the message, "" if it has."""
    for tried in range(1, tries + 1):
        try:
            target.send(message)
        except RefusedError as error:
            return str(error)
        except (UnavailableError, FailedError) as error:
            problem = str(error)
        else:
            return ""
        if tried < tries:
            time.sleep(delivery.FIRST_DELAY * 2 ** (tried - 1))
    return problem if tries == 1 else f"{problem}; it was tried {tries} times"


def _target(config: TargetConfig) -> Target:
    """A target that sends single messages."""
    return Mqtt(config, single_messages=True) if config.type == "mqtt" else _TYPES[config.type](config)
