"""What the retained topics of a broker say: which cameras are silent, which alarms are active.

For Home Assistant, other topics say what these topics are.
"""

from __future__ import annotations

import json
import re
from typing import Any

import redis

from rededge_nb._version import __version__
from rededge_nb.analytics.rules import SilenceRule
from rededge_nb.control.provision import known_cameras
from rededge_nb.errors import SceneError
from rededge_nb.reading.events import active_alarms
from rededge_nb.reading.scenes import read_scene


def broker_topics(client: redis.Redis, prefix: str, discovery: str) -> dict[str, str]:
    """By topic the payload that the broker must retain.

    Args:
        client: Connected to the server.
        prefix: How the topics begin.
        discovery: How the topics begin in which Home Assistant looks for devices; "" leaves them out.
    """
    found: dict[str, str] = {}
    for camera in known_cameras(client):
        alarms = active_alarms(client, camera)
        silent = any(alarm.kind == "camera_silent" for alarm in alarms)
        active = {alarm.rule for alarm in alarms if alarm.kind == "alarm_raised"}
        online = f"{prefix}/{camera}/online"
        found[online] = "OFF" if silent else "ON"
        if discovery:
            found |= _sensor(discovery, prefix, camera, "online", online, "connectivity")
        for rule in sorted(active | _rules(client, camera)):
            topic = f"{prefix}/{camera}/alarm/{rule}"
            found[topic] = "ON" if rule in active else "OFF"
            if discovery:
                found |= _sensor(discovery, prefix, camera, rule, topic, "problem")
    return found


def _rules(client: redis.Redis, camera: str) -> set[str]:
    try:
        scene = read_scene(client, camera)
    except SceneError:  # a scene that cannot be read raises no alarms
        return set()
    return {rule.name for rule in scene.rules if not isinstance(rule, SilenceRule)}


def _sensor(discovery: str, prefix: str, camera: str, name: str, topic: str, device_class: str) -> dict[str, str]:
    """The discovery message of a binary sensor."""
    device = f"rededge_{_plain(prefix)}_{_plain(camera)}"
    content: dict[str, Any] = {
        "name": name,
        "unique_id": f"{device}_{_plain(name)}_{device_class}",
        "state_topic": topic,
        "device_class": device_class,
        "availability_topic": f"{prefix}/notifier",
        "device": {"identifiers": [device], "name": f"Camera {camera}", "manufacturer": "rededge_nb"},
        "origin": {"name": "rededge_nb", "sw_version": __version__},
    }
    return {f"{discovery}/binary_sensor/{device}/{_plain(name)}_{device_class}/config": json.dumps(content)}


def _plain(text: str) -> str:
    """A text with the characters that Home Assistant allows in ids; texts that differ stay different."""
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", text)
