"""The panel of events in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.events import event_commands
from rededge_nb.reading.events import active_alarms
from rededge_nb.widgets.event_panel import EventPanel
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

T0 = 1_700_000_000_000


def raise_alarm(client: redis.Redis, camera: str = "0", **more: Any) -> str:
    event = {"kind": "alarm_raised", "severity": "alarm", "ts": T0, "alarm": "a", "rule": "queue", **more}
    for command in event_commands(f"camera:{camera}", [event], "", T0):
        client.execute_command(*command)
    return f"{camera}/{T0}-0"


@pytest.fixture
def panel(bare_client: redis.Redis, tmp_path: Path) -> Iterator[EventPanel]:
    bare_client.sadd(schema.CAMERAS_KEY, "0", "yard")
    made = EventPanel(bare_client, None, tmp_path)
    yield made
    made.close()


def test_events_appear_and_the_table_stays(panel: EventPanel, bare_client: redis.Redis) -> None:
    assert panel.view.events == []
    raise_alarm(bare_client, "yard", condition="occupancy", zone="desk", value=4)
    wait_for(lambda: panel.view.alarms, timeout=30, what="the alarm")
    assert panel.view.several
    assert "queue: 4 people in the zone desk" in repr(panel.table())
    panel.camera = "0"
    wait_for(lambda: panel.view.events == [], timeout=30, what="the events of camera 0")
    panel.camera = None
    wait_for(lambda: panel.view.events, timeout=30, what="the events of all cameras")
    panel.close()
    assert "active" in panel.snapshot()["text/markdown"]


def test_clicks_are_answered(
    panel: EventPanel, bare_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = raise_alarm(bare_client, clip="0-a.mp4")
    wait_for(lambda: panel.view.alarms, timeout=30, what="the alarm")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "0-a.mp4").write_bytes(b"a film")
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(panel.view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    panel.view._handle_custom_msg({"kind": "open", "id": raised}, [])
    wait_for(lambda: sent, timeout=30, what="the clip")
    assert sent.pop() == ({"kind": "opened", "id": raised, "show": "clip"}, [b"a film"])
    panel.view._handle_custom_msg({"kind": "acknowledge", "id": raised}, [])
    wait_for(lambda: sent, timeout=30, what="the answer")
    assert sent.pop()[0] == {"kind": "acknowledged", "id": raised}
    assert active_alarms(bare_client, "0")[0].acknowledged_ms is not None


def test_a_page_gets_only_events_that_it_does_not_have(
    panel: EventPanel, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[dict[str, Any]] = []
    states: list[list[str]] = []
    monkeypatch.setattr(panel.view, "send", lambda content, buffers=None: changes.append(content))
    monkeypatch.setattr(panel.view, "_send", lambda message, buffers=None: states.append(sorted(message["state"])))
    first = raise_alarm(bare_client)
    wait_for(lambda: states, timeout=30, what="the first event")
    second = raise_alarm(bare_client, "yard")
    wait_for(lambda: len(states) > 1, timeout=30, what="the second event")
    sent = [({event["id"] for event in each["events"]}, set(each["ids"])) for each in changes]
    assert sent == [({first}, {first}), ({second}, {first, second})]
    assert "events" not in {name for state in states for name in state}
    panel.view._handle_custom_msg({"kind": "missing"}, [])
    assert states[-1] == ["events"]
