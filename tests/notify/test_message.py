"""What a message says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rededge_nb.notify.configuration import parse_config
from rededge_nb.notify.message import message_of
from rededge_nb.reading.event_text import describe
from rededge_nb.reading.events import Event, parse_event

(TARGET,) = parse_config({"targets": [{"name": "a", "type": "webhook", "url": "http://example.org"}]}).targets


def event(camera: str, kind: str, **fields: Any) -> Event:
    texts = {"kind": kind, "severity": "alarm", "ts": "1500", **{name: str(value) for name, value in fields.items()}}
    return parse_event(camera, "1600-0", texts)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (event("0", "line_crossed", line="door", direction="forward"), "somebody crossed the line door (forward)"),
        (
            event("0", "line_crossed", line="door", direction="forward", direction_name="in"),
            "somebody crossed the line door (in)",
        ),
        (event("0", "zone_left", zone="desk", seconds=12.4), "somebody left the zone desk after 12 s"),
        (
            event("0", "alarm_raised", rule="queue", condition="occupancy", zone="desk", value=6),
            "queue: 6 people in the zone desk",
        ),
        (
            event("0", "alarm_raised", rule="waits", condition="dwell", zone="desk", value=300.4),
            "waits: somebody has been in the zone desk for 300 s",
        ),
        (
            event("0", "alarm_raised", rule="night", condition="crossings", line="door", value=1),
            "night: 1 crossing of the line door",
        ),
        (event("0", "alarm_cleared", rule="queue", reason="over"), "queue: over"),
        (event("0", "alarm_cleared", rule="queue", reason="removed"), "queue: over: removed"),
        (event("0", "camera_silent", seconds=10.2, reason="the network"), "no frames for 10 s: the network"),
        (event("0", "camera_back", seconds=60), "no longer silent after 60 s"),
        (event("", "memory_full", reason="it is"), "memory full: it is"),
    ],
)
def test_an_event_is_one_sentence(found: Event, text: str) -> None:
    assert describe(found) == text


def test_a_message_about_one_event() -> None:
    message = message_of([event("door", "camera_silent", seconds=10, reason="x", alarm="silence-1")], TARGET)
    assert message.title == "camera door: no frames for 10 s: x"
    assert message.text == "no frames for 10 s: x (1970-01-01T00:00:01.500+00:00)"
    found = message.as_dict()
    assert (found["id"], found["camera"], found["kind"]) == ("door/1600-0", "door", "camera_silent")
    assert found["events"] == [found["event"]]
    assert found["event"]["alarm"] == "silence-1"


def test_a_message_about_a_recording_says_where_in_it() -> None:
    crossed = replace(event("door", "line_crossed", line="a", direction="forward"), position_s=3723.5)
    message = message_of([crossed], TARGET)
    assert message.text == "somebody crossed the line a (forward) (1:02:03 in the recording)"
    assert message.as_dict()["position"] == 3723.5
    assert message.as_dict()["time"] == "1970-01-01T00:00:01.500+00:00"


def test_a_message_about_many_cameras() -> None:
    message = message_of([event(str(number), "camera_silent") for number in range(50)], TARGET)
    assert message.title == "50 cameras: camera silent: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 40 more"
    assert len(message.as_dict()["events"]) == 50
    assert message.as_dict()["camera"] == ""
