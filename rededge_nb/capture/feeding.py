"""One capture per camera: the capture that feeds a camera holds a lease on it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import redis

from rededge_nb import schema, settings
from rededge_nb.capture.options import Settings
from rededge_nb.capture.report import Tally
from rededge_nb.capture.sources import Source
from rededge_nb.errors import CameraInUseError, NoDataError, RedEdgeError, WaitTimeoutError
from rededge_nb.lease import Holder, Lease, read_holder
from rededge_nb.reading.captures import KEPT, CaptureRecord, current_capture, find_captures, stop_capture

_POLL = 0.05
REPLACE_TIMEOUT = 10.0
"""Seconds that a capture is given to end before another one takes its camera."""


@contextmanager
def feeding(
    client: redis.Redis,
    source: Source,
    options: Settings,
    tally: Tally,
    stop: threading.Event,
    on_lost: Callable[[str], None],
) -> Iterator[None]:
    """Hold the lease on a camera for as long as the block lasts.

    Args:
        client: A client of the camera's server.
        source: What is captured.
        options: Those of the capture.
        tally: What it has done so far.
        stop: Ends the waiting for the lease.
        on_lost: Called with the reason when the capture has to end.

    Raises:
        CameraInUseError: another capture feeds the camera, and this one does not replace it; or the camera belongs to
            a run of the pipeline, and this capture does not.
    """
    record = CaptureRecord(
        capture="",
        camera=options.camera,
        source=source.describe,
        pace=options.pace,
        yields=options.yields,
        run=settings.run_id(),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    lease = Lease(client, schema.capture_key(options.camera), record.as_fields())

    def words_to(holder: Holder) -> str:
        """What to say to a capture that is to be replaced; nothing to one that is not."""
        if not (options.replace or holder.details.get("yields") == "True"):
            return ""
        return f"ended, because the capture of {source.describe} by {_here()} has replaced it"

    _check_run(client, options.camera, record.run)
    holder = lease.acquire(timeout=REPLACE_TIMEOUT, stop=stop, replace=words_to)
    if holder is not None and not stop.is_set():
        current = current_capture(client, options.camera)
        raise CameraInUseError(
            f"camera {options.camera} is fed by {current or holder.where} already: end that capture "
            f"(`rededge capture --stop {options.camera}`), replace it (--replace, `replace=True`), or take another "
            "camera"
        )
    if holder is not None:  # asked to stop while it waited
        yield
        return
    tally.capture = lease.id
    tally.settled.set()
    record = replace(record, capture=lease.id, started_ms=lease.since_ms)

    def report(own: redis.Redis) -> dict[str, str]:
        tally.update_refusals(own)
        return _updated(record, tally, source).as_fields()

    lease.keep(on_lost, report)
    problem = ""
    try:
        yield
    except Exception as error:
        problem = f"{type(error).__name__}: {error}" if not isinstance(error, RedEdgeError) else str(error)
        raise
    finally:
        with suppress(redis.RedisError):
            ended = replace(_updated(record, tally, source), ended_ms=_server_ms(client), fps=0.0, problem=problem)
            fields: Any = ended.as_fields()
            client.xadd(schema.captures_key(options.camera), fields, maxlen=KEPT)
        lease.release()


def end_capture(client: redis.Redis, camera: str, words: str) -> CaptureRecord:
    """End the capture that feeds a camera, and wait until it has ended.

    Args:
        client: A client of the camera's server.
        camera: Camera id.
        words: Who ends it, and why.

    Returns:
        What the capture had done by then.

    Raises:
        NoDataError: no capture feeds the camera.
        WaitTimeoutError: it does not end.
    """
    current = current_capture(client, camera)
    if current is None:
        raise NoDataError(f"no capture feeds camera {camera}: see `rededge cameras`")
    stop_capture(client, camera, words)
    deadline = time.monotonic() + REPLACE_TIMEOUT
    while (found := current_capture(client, camera)) is not None and found.capture == current.capture:
        current = found
        if time.monotonic() > deadline:
            raise WaitTimeoutError(
                f"camera {camera}: the capture of {current} does not end: end that process, or wait until it has what "
                "it waits for"
            )
        time.sleep(_POLL)
    ended = find_captures(client, camera, ids=[current.capture])
    return ended[0] if ended else current


def _check_run(client: redis.Redis, camera: str, run: str) -> None:
    """Refuse a capture that would change the figures of a run."""
    holder = read_holder(client, schema.run_key(camera))
    token = "" if holder is None else holder.details.get(schema.RUN_IDS_END, "")
    if holder is None or holder.is_gone or (token and run.endswith(token)):
        return
    raise CameraInUseError(
        f"camera {camera} is used by a run of the pipeline, {holder}: "
        "wait until it has ended, end it, or take another camera"
    )


def _updated(record: CaptureRecord, tally: Tally, source: Source) -> CaptureRecord:
    report = tally.report()
    return replace(
        record,
        frames=report.frames,
        fps=round(tally.recent_fps(), 1),
        skipped=report.skipped,
        refused=report.refused,
        last_count=tally.last_count,
        first_ms=tally.first_ms,
        last_ms=tally.last_ms,
        start_ms=tally.times.start_ms if tally.times else 0,
        content_id=tally.times.content_id if tally.times else "",
        first_id=report.first_id or "",
        last_id=report.last_id or "",
        problem=tally.problem or source.problem or "",
        ended_by=tally.ended_by,
    )


def _server_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
