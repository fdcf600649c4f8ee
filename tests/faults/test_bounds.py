"""Memory is bounded: what a full server does to capture and gear, and what pictures may weigh."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import redis

from rededge_nb import schema, settings
from rededge_nb.capture.producer import Producer
from rededge_nb.capture.run import capture, start_capture
from rededge_nb.capture.sources import Captured
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, connection_of, is_transient, replies_to
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError, ServerError, ServerFullError, SourceError
from rededge_nb.monitoring.status import OK, server_status
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.frames import Frame, read_errors
from tests.faults import bombs
from tests.waiting import wait_for

FRAMES = schema.frames_key("0")
MOST_GROWTH = 150_000_000
"""Bytes that a worker may grow by for a picture of which a tenth would need more."""
ENDLESS = "GB('PythonReader').run(lambda: bytes(10_000_000))"


def worker_of(instance: Instance) -> psutil.Process:
    children = psutil.Process(instance.pid).children()
    (worker,) = [child for child in children if "rededge_nb.edge.worker" in child.cmdline()]
    return worker


# ---- Pictures ----


def test_decompression_bombs_are_refused_before_they_are_decoded_and_the_gear_continues(
    edge: Instance, client: redis.Redis
) -> None:
    provision(client)
    ok, small = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))
    assert ok
    good = client.xadd(FRAMES, {"image": small.tobytes(), "keep": 1}).decode()
    wait_for(lambda: len(read_detections(client, "0")) == 1, what="the first frame")
    worker = worker_of(edge)
    before = worker.memory_info().rss
    refs = {client.xadd(FRAMES, {"image": bomb, "keep": 1}).decode(): name for name, bomb in bombs.ALL.items()}
    good = client.xadd(FRAMES, {"image": small.tobytes(), "keep": 1}).decode()
    wait_for(lambda: read_detections(client, "0")[-1].ref == good, what="the frame behind them")
    reasons = {refs[error.ref]: error.reason for error in read_errors(client, "0")}
    assert reasons.keys() == bombs.ALL.keys()
    assert all("image would be too large" in reason for reason in reasons.values()), reasons
    assert worker.memory_info().rss - before < MOST_GROWTH
    assert list_registrations(client)[0].status == "OK"


def test_an_oversized_entry_goes_to_the_errors_stream(edge: Instance, client: redis.Redis) -> None:
    provision(client)
    ref = client.xadd(FRAMES, {"image": bytes(80_000_000), "keep": 1}).decode()
    (error,) = wait_for(lambda: read_errors(client, "0"), what="the reason")
    assert error.ref == ref
    assert error.reason == "ValueError: the image is too large: 80000000 bytes, more than 67108864"


@pytest.mark.parametrize("name", bombs.ALL)
def test_decompression_bombs_are_refused_where_images_are_shown(name: str) -> None:
    before = psutil.Process().memory_info().rss
    frame = Frame("0", "1-1", 1, 1, bombs.ALL[name])
    with pytest.raises(SourceError, match="more than the 100 million"):
        frame.image()
    assert psutil.Process().memory_info().rss - before < MOST_GROWTH


# ---- Streams ----


def test_the_size_limit_of_a_stream_holds_for_frames_of_any_size(client: redis.Redis) -> None:
    rng = random.Random(9)
    bound = 8_000_000
    producer = Producer(client, "0", quality=90, max_age=60, max_bytes=bound, keep=False)
    for number in range(120):
        size = rng.choice((100, 20_000, 1_000_000, 5_000_000))
        producer.send(Captured(rng.randbytes(size), number + 1), not_answered=[])
        assert client.memory_usage(FRAMES, samples=0) <= bound + 5_000_000 / 4  # Redis rounds its blocks up


# ---- A full server ----


def test_the_server_has_a_limit_and_evicts_nothing(client: redis.Redis) -> None:
    assert client.config_get("maxmemory") == {"maxmemory": str(memory.default_limit())}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    # client eviction would open CVE-2026-23479
    assert client.config_get("maxmemory-clients") == {"maxmemory-clients": "0"}


def test_the_limit_is_half_of_the_memory_of_the_machine_or_container(tmp_path: Path) -> None:
    group, unlimited = tmp_path / "group", tmp_path / "unlimited"
    group.write_text("2147483648\n")
    unlimited.write_text("max\n")
    assert memory.machine_memory([group, tmp_path / "none"]) == 2 * 1024**3
    assert memory.machine_memory([unlimited]) == memory.machine_memory([]) == psutil.virtual_memory().total
    assert memory.MIN_DEFAULT_BYTES <= memory.default_limit() <= memory.MAX_DEFAULT_BYTES


@pytest.mark.parametrize(
    ("text", "size"),
    [("64mb", 64 * 1024**2), ("2gb", 2 * 1024**3), ("1G", 1000**3), (" 70000k ", 70_000_000), ("99999999", 99_999_999)],
)
def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv(settings.MAX_MEMORY, text)
    assert settings.max_memory() == size
    assert memory.configuration_lines()[0] == f"maxmemory {size}"


@pytest.mark.parametrize("text", ["much", "-1", "1tb", "63mb", "0", "2 gb", "1e9", "9" * 30])
def test_the_error_for_a_wrong_limit_names_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(settings.MAX_MEMORY, text)
    with pytest.raises(ConfigurationError, match=f"{settings.MAX_MEMORY} is .*such as 2gb or 500mb, at least 64mb"):
        settings.max_memory()


def test_a_server_is_not_started_with_a_wrong_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.MAX_MEMORY, "plenty")
    with pytest.raises((ConfigurationError, ServerError), match="plenty"):
        server.start(folder)


@pytest.fixture
def full_soon(client: redis.Redis) -> Iterator[redis.Redis]:
    """The shared server with the people counter, and 20 MB left."""
    provision(client)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 20_000_000)
    yield client
    make_room(client)


def make_full(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1_000_000)


def make_room(client: redis.Redis) -> None:
    client.config_set("maxmemory", memory.default_limit())


def test_a_full_server_removes_the_oldest_frames_of_a_camera_that_continues(
    full_soon: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(full_soon, "0", quality=90, max_age=60, max_bytes=10**9, keep=False)
    for number in range(60):
        producer.send(Captured(random.Random(number).randbytes(1_000_000), number + 1), not_answered=[])
    counts = [int(fields[b"count"]) for _, fields in full_soon.xrange(FRAMES)]
    assert counts == list(range(61 - len(counts), 61))
    assert len(counts) < 45
    assert "left it early to make room" in caplog.text


def test_frames_without_an_answer_stay(full_soon: redis.Redis) -> None:
    producer = Producer(full_soon, "0", quality=90, max_age=60, max_bytes=10**9, keep=True)
    waiting: list[str] = []

    def send_all() -> None:
        for number in range(60):
            picture = random.Random(number).randbytes(1_000_000)
            waiting.append(producer.send(Captured(picture, number + 1), not_answered=waiting)[0])

    with pytest.raises(ServerFullError, match=r"no room for a frame of camera:0: .*REDEDGE_MAX_MEMORY.*--max-bytes"):
        send_all()
    assert [entry_id.decode() for entry_id, _ in full_soon.xrange(FRAMES)] == waiting
    assert len(waiting) > 10


def test_memory_that_is_full_at_exec_only_counts_as_full(full_soon: redis.Redis) -> None:
    with connection_of(full_soon) as connection:
        queued = replies_to(connection, [("MULTI",), ("XADD", FRAMES, "*", "image", "x")])
        assert queued == [b"OK", b"QUEUED"]
        make_full(full_soon)
        (reply,) = replies_to(connection, [("EXEC",)])
    assert isinstance(reply, redis.exceptions.OutOfMemoryError)
    make_room(full_soon)
    with full_soon.pipeline() as pipeline:
        pipeline.immediate_execute_command("MULTI")
        pipeline.immediate_execute_command("XADD", FRAMES, "*", "image", "x")
        make_full(full_soon)
        with pytest.raises(redis.exceptions.ExecAbortError) as error:
            pipeline.immediate_execute_command("EXEC")
    assert is_transient(error.value)


def test_the_error_of_a_capture_without_room_says_what_to_do(full_soon: redis.Redis) -> None:
    full_soon.execute_command("RG.PAUSEREGISTRATIONS", list_registrations(full_soon)[0].id)
    make_full(full_soon)
    with pytest.raises(ServerFullError, match="no room for a frame of camera:0"):
        capture(full_soon, "synthetic:size=1280x720,frames=50", pace="asap", window=50, stall_timeout=0.3)
    assert full_soon.exists("model:nanodet-g-two-sizes")


def refused(client: redis.Redis) -> int:
    """Number of commands that were refused because the memory was full, since the server started."""
    return client.info("errorstats").get("errorstat_OOM", {"count": 0})["count"]


def test_a_camera_waits_for_room_and_loses_no_accepted_frame(full_soon: redis.Redis, video: Path) -> None:
    with start_capture(full_soon, video, pace="asap", frames=30, window=4) as running:
        wait_for(lambda: running.report.frames > 5, what="the first frames")
        make_full(full_soon)
        before = refused(full_soon)
        wait_for(lambda: refused(full_soon) > before + 3, what="capture and gear to meet the limit", timeout=30)
        assert running.running
        make_room(full_soon)
        assert running.wait(60).frames == 30
    refs = {entry_id.decode() for entry_id, _ in full_soon.xrange(FRAMES)}
    answered = {found.ref for found in read_detections(full_soon, "0")}
    assert len(answered) == 30
    assert refs <= answered
    assert list_registrations(full_soon)[0].status == "OK"


def test_a_live_camera_skips_frames_until_there_is_room(
    full_soon: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    make_full(full_soon)
    with start_capture(full_soon, "synthetic:size=640x360,fps=50", loop=True) as running:
        wait_for(lambda: running.report.skipped > 3, what="frames to be skipped")
        assert running.report.frames == 0
        make_room(full_soon)
        wait_for(lambda: running.report.frames > 3, what="frames after that")
    assert caplog.text.count("Redis has no room") == 1, "said once, not for every frame"
    wait_for(lambda: read_detections(full_soon, "0"), what="the gear to go on", timeout=30)


def test_status_reports_that_the_server_is_full(edge: Instance, full_soon: redis.Redis) -> None:
    def state() -> str:
        return str(server_status(edge.url, edge)["state"])

    wait_for(lambda: state() == OK, what="a sign of life of the worker")
    make_full(full_soon)
    assert "Redis is full, 1 MB" in state()
    make_room(full_soon)
    wait_for(lambda: state() == OK, what="all to be well again")


# ---- Workers ----


def outcome(client: redis.Redis, script: str) -> str:
    """The errors among a run's results, or the error that came instead of them."""
    try:
        return str(client.execute_command("RG.PYEXECUTE", script)[1])
    except redis.ResponseError as error:
        return str(error)


@pytest.fixture
def limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance whose worker may have 700 MB of data."""
    monkeypatch.setattr(memory, "worker_limit", lambda: 700_000_000)
    supervisor = server.run(folder)
    ready: queue.Queue[Instance] = queue.Queue()
    thread = threading.Thread(target=supervisor.run, args=(ready.put,))
    thread.start()
    try:
        yield ready.get(timeout=60)
    finally:
        supervisor.stop()
        thread.join()


def test_a_gear_that_collects_without_end_gets_a_memory_error(limited: Instance) -> None:
    client = client_from_url(limited.url)
    for _ in range(3):
        assert "MemoryError" in outcome(client, ENDLESS)
        wait_for(lambda: worker_of(limited).memory_info().rss < 350_000_000, what="the end of what it collected")
        assert client.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').run()") == [[b"1"], []]
    client.close()


def test_a_worker_frees_results_that_it_could_not_send(limited: Instance) -> None:
    client = client_from_url(limited.url)
    worker = worker_of(limited)
    assert client.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').run()") == [[b"1"], []]
    data = worker.memory_info().data
    results = "GB('PythonReader').map(lambda r: bytes(10_000_000)).limit(30).run(lambda: 1, convertToStr=False)"
    assert "MemoryError" in outcome(client, results), "the reply needs the memory of the results twice more"
    wait_for(lambda: worker.memory_info().data < data + 200_000_000, what="the end of the results")
    client.close()


def test_a_worker_may_use_most_of_the_memory() -> None:
    assert memory.worker_limit() >= memory.MIN_WORKER_BYTES
    assert memory.worker_limit() <= max(memory.machine_memory(), memory.MIN_WORKER_BYTES)
