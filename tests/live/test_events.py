"""Events for live views: what is listed, what a click shows, and who may acknowledge."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.events import event_commands
from rededge_nb.edge.server.users import RULES
from rededge_nb.live.events import KEPT, EventReader, acknowledge_from_page, open_event
from rededge_nb.reading.events import active_alarms
from tests.clips.filling import add_boxes, add_frame, colourful

pytest_plugins = ("tests.bare_fixtures",)

T0 = 1_700_000_000_000


def add(client: redis.Redis, now_ms: int, camera: str = "0", **fields: Any) -> str:
    """Write an event as the gear does; returns its id on pages."""
    event = {"severity": "info", "ts": now_ms, **fields}
    for command in event_commands(f"camera:{camera}", [event], "", now_ms):
        client.execute_command(*command)
    return f"{camera}/{now_ms}-0"


def decoded(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_events_are_listed_newest_first_with_an_image_of_their_frame(bare_client: redis.Redis) -> None:
    ref = add_frame(bare_client, T0)
    add_boxes(bare_client, ref, T0, [(20, 20, 100, 110)])
    reader = EventReader(["0"])
    assert reader.read(bare_client) == {"events": [], "alarms": [], "editable": True}
    assert reader.read(bare_client) is None
    first = add(bare_client, T0 + 1, kind="line_crossed", line="door", direction="forward", track=7, ref=ref)
    # a recording has older times, but arrives later
    second = add(bare_client, T0 + 2, ts=T0 - 9_000_000, kind="zone_entered", zone="desk", ref="5-0")
    state = reader.read(bare_client)
    assert state is not None
    assert [event["id"] for event in state["events"]] == [second, first]
    entered, crossed = state["events"]
    assert (crossed["text"], crossed["track"]) == ("somebody crossed the line door (forward)", 7)
    small = decoded(base64.b64decode(crossed["image"]))
    assert small.shape[1] == 120
    assert colourful(small) > 50, "its box"
    assert entered["image"] == "", "its frame is gone"
    assert reader.read(bare_client) is None
    bare_client.delete(schema.frames_key("0"))
    add(bare_client, T0 + 3, kind="gear_paused")
    state = reader.read(bare_client)
    assert state is not None
    assert state["events"][2]["image"] == crossed["image"], "the image outlives the frame"


@pytest.mark.parametrize("later", [0, 100])
def test_events_of_a_recording_have_positions_and_others_do_not(bare_client: redis.Redis, later: int) -> None:
    """However many captures there were later."""
    for name, start_ms, ids in (("live", 0, (10, 19)), ("file", 5_000, (20, 29)), ("again", 7_000, (30, 39))):
        first, last = (f"{T0 + number}-0" for number in ids)
        record = {"capture": name, "start_ms": start_ms, "first_id": first, "last_id": last, "ended_ms": T0 + ids[1]}
        bare_client.xadd("camera:0:captures", record, id=f"{T0 + ids[1]}-0")
    for number in range(later):
        ref = f"{T0 + 41}-{number}"
        record = {"capture": f"later {number}", "first_id": ref, "last_id": ref, "ended_ms": T0 + 41}
        bare_client.xadd("camera:0:captures", record, id=ref)
    for number, more in (
        (10, {}), (25, {"kind": "alarm_raised", "alarm": "a", "rule": "r"}), (29, {}), (30, {}), (39, {}), (40, {}),
        (50, {"ref": "no id"}), (51, {"ref": ""}), (60, {}),
    ):  # fmt: skip
        fields = {"kind": "zone_entered", "zone": "z", "ref": f"{T0 + number}-0", **more}
        add(bare_client, T0 + 100 + number, ts=47_500, **fields)
    running = {"id": "now", "since": T0 + 55, "start_ms": 40_000, "host": "h", "pid": 1}
    bare_client.hset("camera:0:capture", mapping=running)
    bare_client.xadd(schema.SERVER_EVENTS_KEY, {"kind": "worker_lost", "ts": T0}, id=f"{T0 + 999}-0")
    state = EventReader(["0"]).read(bare_client)
    assert state is not None
    positions = [event["position"] for event in reversed(state["events"])]
    assert positions == [None, 42.5, 42.5, 40.5, 40.5, None, None, None, 7.5, None]
    assert [alarm["position"] for alarm in state["alarms"]] == [42.5]


def test_active_alarms_and_events_of_several_cameras_and_of_the_server(bare_client: redis.Redis) -> None:
    add(bare_client, T0, "door", kind="alarm_raised", severity="alarm", alarm="a", rule="a", zone="z", people=3)
    raised = add(bare_client, T0 + 1, "yard", kind="camera_silent", severity="warning", alarm="s", seconds=10)
    bare_client.xadd(
        schema.SERVER_EVENTS_KEY, {"kind": "worker_lost", "severity": "warning", "ts": T0}, id=f"{T0 + 2}-0"
    )
    add(bare_client, T0 + 3, "other", kind="gear_paused")
    reader = EventReader(["door", "yard"])
    state = reader.read(bare_client)
    assert state is not None
    assert [event["camera"] for event in state["events"]] == ["", "yard", "door"]
    assert [(alarm["camera"], alarm["acknowledged"]) for alarm in state["alarms"]] == [("yard", None), ("door", None)]
    assert acknowledge_from_page(bare_client, raised) == {"kind": "acknowledged", "id": raised}
    state = reader.read(bare_client)
    assert state is not None
    assert isinstance(state["alarms"][0]["acknowledged"], int)
    add(bare_client, T0 + 9, "door", kind="alarm_cleared", alarm="a")
    state = reader.read(bare_client)
    assert state is not None
    assert [alarm["camera"] for alarm in state["alarms"]] == ["yard"]
    assert "cleared meanwhile" in acknowledge_from_page(bare_client, f"door/{T0}-0")["reason"]
    reader.show(["other"])
    state = reader.read(bare_client)
    assert state is not None
    assert [event["camera"] for event in state["events"]] == ["other", ""]


def test_only_the_newest_events_are_kept(bare_client: redis.Redis) -> None:
    for number in range(KEPT + 20):
        add(bare_client, T0 + number, kind="zone_entered", zone="z")
    reader = EventReader(["0"])
    state = reader.read(bare_client)
    assert state is not None
    assert len(state["events"]) == KEPT
    newest = add(bare_client, T0 + 100, kind="zone_left", zone="z")
    state = reader.read(bare_client)
    assert state is not None
    assert (len(state["events"]), state["events"][0]["id"]) == (KEPT, newest)


def test_a_click_shows_the_clip_or_else_the_frame(bare_client: redis.Redis, tmp_path: Path) -> None:
    ref = add_frame(bare_client, T0)
    add_boxes(bare_client, ref, T0, [(20, 20, 100, 110)])
    (tmp_path / "clips").mkdir()
    raised = add(bare_client, T0 + 1, kind="alarm_raised", alarm="a", ref=ref, clip="0-a.mp4")
    answer, data = open_event(bare_client, tmp_path / "clips", raised)
    assert answer == {"kind": "opened", "id": raised, "show": "frame"}
    assert colourful(decoded(data)) > 100
    (tmp_path / "clips" / "0-a.mp4").write_bytes(b"a film")
    assert open_event(bare_client, tmp_path / "clips", raised) == ({**answer, "show": "clip"}, b"a film")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ref": "5-0"}, "the frame has left its stream, and it has no clip"),
        ({"ref": "5-0", "clip": "0-a.mp4"}, "the frame has left its stream, and its clip is not (or not yet) in"),
        ({"clip": "../secret.mp4"}, "no frame belongs to this event, and its clip is not"),
        ({}, "no frame belongs to this event, and it has no clip"),
    ],
)
def test_a_click_says_why_there_is_nothing_to_show(bare_client, tmp_path: Path, fields, reason: str) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    raised = add(bare_client, T0, kind="alarm_raised", alarm="a", **fields)
    answer, data = open_event(bare_client, tmp_path / "clips", raised)
    assert (answer["show"], data) == ("nothing", b"")
    assert answer["reason"].startswith(reason)


@pytest.mark.parametrize("event_id", ["", "0/7-0", "/7-0", "0/", "a b/7-0", "0/+", "../0/7-0"])
def test_ids_that_are_no_events_are_answered(bare_client: redis.Redis, tmp_path: Path, event_id: str) -> None:
    answer, data = open_event(bare_client, tmp_path, event_id)
    assert (answer["kind"], answer["show"], data) == ("opened", "nothing", b"")
    assert answer["reason"]


def test_a_user_who_may_only_look_sees_events_and_cannot_acknowledge(bare_client: redis.Redis) -> None:
    raised = add(bare_client, T0, kind="alarm_raised", alarm="a", rule="a")
    bare_client.xadd(schema.SERVER_EVENTS_KEY, {"kind": "worker_lost"})
    bare_client.execute_command("ACL", "SETUSER", "looker", "on", "nopass", *RULES["viewer"].split())
    path = bare_client.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, username="looker", password="x") as viewer:
        state = EventReader(["0"]).read(viewer)
        assert state is not None
        assert [event["id"] for event in state["events"]] == [raised]
        assert not state["editable"]
        assert "not change anything" in acknowledge_from_page(viewer, raised)["reason"]
    bare_client.execute_command("ACL", "DELUSER", "looker")
    assert active_alarms(bare_client, "0")[0].acknowledged_ms is None
