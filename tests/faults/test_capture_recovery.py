"""A capture whose server goes away and comes back: killed, with all it knew, or only stopped for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb.capture.producer import Producer
from rededge_nb.capture.run import Capture, start_capture
from rededge_nb.capture.sources import Captured
from rededge_nb.errors import ServerUnavailableError
from tests.bare import BareServer, bare_server
from tests.capture.test_run import ERRORS, FOUND, FRAMES, StandInGear
from tests.waiting import wait_for

SCENE = "synthetic:people=0,size=128x64"


@pytest.fixture
def server() -> Iterator[BareServer]:
    with bare_server() as bare:
        yield bare


def counts(client: redis.Redis) -> list[int]:
    return [int(fields[b"count"]) for _, fields in client.xrange(FRAMES)]


def answer_all(client: redis.Redis) -> None:
    for entry_id, _ in client.xrange(FRAMES):
        client.xadd(FOUND, {"ref": entry_id, "boxes": "[]", "people": 0})


def wait_until_away(running: Capture) -> None:
    wait_for(lambda: running.problem and "Redis is away" in running.problem, what="the problem", timeout=30)


def test_asap_sends_again_what_a_killed_server_has_lost(server: BareServer) -> None:
    client = server.client()
    running = start_capture(client, f"{SCENE},frames=7", pace="asap")
    wait_for(lambda: running.report.frames == 4, what="frames under way")
    answer_all(client)
    wait_for(lambda: running.report.frames == 7, what="the last frame")
    assert counts(client)[-3:] == [5, 6, 7]
    server.kill()
    wait_until_away(running)
    server.start_again()  # without persistence: it knows of nothing
    wait_for(lambda: client.xlen(FRAMES) == 3, what="the three that had no answer", timeout=30)
    assert running.problem is None
    assert counts(client) == [8, 9, 10]
    answer_all(client)
    assert running.wait(30).frames == 7
    client.close()


def test_realtime_skips_the_frames_while_the_server_is_down(server: BareServer) -> None:
    client = server.client()
    running = start_capture(client, f"{SCENE},fps=50")
    wait_for(lambda: running.report.frames > 3, what="frames")
    server.kill()
    wait_until_away(running)
    frames = running.report.frames
    server.start_again()
    wait_for(lambda: running.report.frames > frames + 3, what="frames of the new server", timeout=30)
    report = running.stop()
    assert report.skipped > 0
    numbers = counts(client)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "numbered on, each once"
    assert numbers[0] > frames
    client.close()


def test_a_capture_reconnects_to_a_server_that_hung(server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.edge.client.connecting.READ_TIMEOUT", 0.6)
    client = server.client()
    gear = StandInGear(server.client())
    gear.go.set()
    gear.start()
    running = start_capture(client, SCENE, pace="asap")
    wait_for(lambda: gear.answered > 3, what="answers")
    process = psutil.Process(server.process.pid)
    process.suspend()
    wait_until_away(running)
    assert running.running
    process.resume()
    answered = gear.answered
    wait_for(lambda: gear.answered > answered + 5, what="answers after that", timeout=30)
    assert running.problem is None
    running.stop()
    gear.end()
    numbers = counts(client)
    assert set(numbers) == set(range(1, max(numbers) + 1)), "none is missing"
    # the server may have read the current frame after the capture had stopped waiting for it
    assert len(numbers) - len(set(numbers)) <= 1
    client.close()


def test_a_frame_whose_reply_was_lost_is_not_sent_twice(server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = server.client()
    append, lost_replies = Producer._append, iter([True])

    def lose_one_reply(
        producer: Producer, captured: Captured, fields: dict[str, object], not_answered: list[str]
    ) -> tuple[str, int]:
        reply = append(producer, captured, fields, not_answered)
        if fields["count"] == 2 and next(lost_replies, False):
            raise redis.ConnectionError("Connection closed by server.")
        return reply

    monkeypatch.setattr(Producer, "_append", lose_one_reply)
    running = start_capture(client, f"{SCENE},frames=4", pace="asap")
    wait_for(lambda: running.report.frames == 4, what="four frames under way")
    assert next(lost_replies, None) is None
    assert counts(client) == [1, 2, 3, 4]
    answer_all(client)
    assert running.wait(30).frames == 4
    client.close()


def test_a_capture_ends_if_the_server_stays_down(server: BareServer) -> None:
    running = start_capture(server.client(), SCENE, pace="asap", away_timeout=0.4)
    wait_for(lambda: running.report.frames > 0, what="a frame")
    server.kill()
    with pytest.raises(ServerUnavailableError, match=r"does not answer .*rededge up"):
        running.wait(30)


def test_a_changed_password_ends_the_capture_at_once(server: BareServer) -> None:
    client = server.client()
    running = start_capture(client, SCENE, pace="asap")
    wait_for(lambda: running.report.frames > 0, what="a frame")
    client.config_set("requirepass", "another")
    for each in client.client_list():
        client.client_kill_filter(_id=each["id"], skipme=True)
    with pytest.raises(ServerUnavailableError, match="refuses the password"):
        running.wait(30)


def test_a_stop_ends_the_waiting(server: BareServer, tmp_path: Path) -> None:
    running = start_capture(server.client(), SCENE)
    wait_for(lambda: running.report.frames > 0, what="a frame")
    os.kill(server.process.pid, signal.SIGKILL)
    wait_until_away(running)
    assert running.stop().frames > 0
    assert not running.running


def test_errors_that_are_not_transient_are_raised_at_once(server: BareServer) -> None:
    client = server.client()
    running = start_capture(client, SCENE, pace="asap")
    wait_for(lambda: running.report.frames > 0, what="a frame")
    client.rename(FRAMES, "elsewhere")
    client.set(FRAMES, "no stream")
    answer = {"boxes": "[]", "people": 0}
    for entry_id, _ in client.xrange("elsewhere"):
        client.xadd(ERRORS, {"ref": entry_id, **answer})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        running.wait(30)
    client.close()
