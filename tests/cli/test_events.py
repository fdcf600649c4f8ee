"""Events from the command line."""

from __future__ import annotations

import json
import signal

import redis

from rededge_nb import schema
from rededge_nb.analytics.events import EventFields, event_commands
from rededge_nb.control.provision import provision
from rededge_nb.edge.server.state import Instance
from tests.cli.running import rededge, started

CROSSED: EventFields = {"kind": "line_crossed", "severity": "info", "ts": 1_000, "line": "gate", "direction": "in"}
RAISED: EventFields = {
    "kind": "alarm_raised", "severity": "alarm", "ts": 2_000, "rule": "queue", "alarm": "1", "condition": "occupancy",
    "zone": "desk", "value": 3,
}  # fmt: skip


def write(client: redis.Redis, camera: str, *events: EventFields) -> None:
    newest = client.xrevrange(schema.events_key(camera), count=1)
    last = newest[0][0].decode() if newest else ""
    for command in event_commands(schema.frames_key(camera), events, last, 1):
        client.execute_command(*command)


def test_events_are_listed_and_followed(edge: Instance, client: redis.Redis) -> None:
    provision(client, cameras=("door", "yard"))
    assert rededge("events").stderr == "there are no such events\n"
    assert rededge("events", "--active").stderr == "no alarm is active\n"
    write(client, "door", CROSSED, RAISED)
    write(client, "yard", {**CROSSED, "ref": "7-0", "ts": 43_500})
    recording = {"capture": "c", "start_ms": 1_000, "first_id": "1-0", "last_id": "9-0", "ended_ms": 9}
    client.xadd(schema.captures_key("yard"), recording)
    crossed, raised = client.xrange(schema.events_key("door"))
    listed = rededge("events", "--camera", "door").stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in listed] == [
        f"info     camera door: somebody crossed the line gate (in)  [door/{crossed[0].decode()}]",
        f"alarm    camera door: queue: 3 people in the zone desk  [door/{raised[0].decode()}]",
    ]
    assert rededge("events", "--active").stdout.splitlines() == listed[1:]
    assert rededge("events", "--severity", "warning").stdout.splitlines() == listed[1:]
    assert rededge("events", "--camera", "yard").stdout.startswith(
        "at 0:42              info     camera yard: somebody"
    )
    printed = rededge("events", "--kind", "line_crossed", "--json").stdout.splitlines()
    assert {json.loads(line)["camera"] for line in printed} == {"door", "yard"}
    assert {json.loads(line)["position_s"] for line in printed} == {None, 42.5}
    assert 'did you mean "line_crossed"?' in rededge("events", "--kind", "line_crosed").stderr
    with started("events", "--follow", "--limit", 1, "--camera", "door") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{listed[1]}\n"
        write(client, "door", CROSSED)
        assert "crossed the line gate" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
