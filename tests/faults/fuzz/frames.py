"""Entries of a camera's stream, while the gear runs and somebody reads what it writes."""

from __future__ import annotations

import random
import time
from typing import Any

import cv2
import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.control.provision import provision
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import RedEdgeError
from rededge_nb.live.follow import Follower
from rededge_nb.reading import captures, frames, series, summary
from rededge_nb.reading.detections import parse_detections
from rededge_nb.web import api, metrics
from tests.faults import bombs
from tests.faults.fuzz.world import PATIENCE, Tally, World, mutated

CAMERA = "fuzz"
BATCH = 200
NUMBERS = (
    "0",
    "-1",
    "1",
    "nan",
    "inf",
    "1e9",
    "0x10",
    "",
    " 7",
    "\uff17",
    "9" * 18,
    "9" * 40,
    "9" * 5000,
    "-" + "9" * 30,
)
NUMBERS += ("1795494237431", "9223372036854775807", "18446744073709551615", "1.5", "None", "\0", "\ud7ff")
WORDS = (b"", b"\xff\xfe", b"{}", b"[1,2", b"<script>", b"\r\n", b"0" * 10_000, b"null", b"a" * 70_000)


def picture() -> bytes:
    """A small JPEG."""
    return cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def entry(rng: random.Random, jpeg: bytes) -> dict[bytes | str, Any]:
    """Fields that a producer may send that nobody has thought of."""
    fields: dict[bytes | str, Any] = {}
    if rng.random() < 0.9:
        fields["image"] = image(rng, jpeg)
    for name in ("ts", "count", "keep"):
        if rng.random() < 0.6:
            fields[name] = rng.choice(NUMBERS) if rng.random() < 0.8 else rng.randbytes(rng.randint(0, 20))
    for _ in range(rng.choice((0, 0, 1, 3))):
        fields[rng.choice((rng.randbytes(3), b"", b"image ", b"IMAGE", b"ref"))] = rng.choice(WORDS)
    if rng.random() < 0.9 or not fields:
        fields["keep"] = 1
    return fields


def image(rng: random.Random, jpeg: bytes) -> bytes:
    """What may stand where a picture should."""
    match rng.randrange(10):
        case 0 | 1:
            return rng.choice(WORDS)
        case 2 | 3:
            return rng.randbytes(rng.choice((1, 10, 1000, 20_000)))
        case 4 | 5 | 6:
            return jpeg[: rng.randrange(len(jpeg))]
        case 7:
            return rng.choice(list(bombs.ALL.values()))
        case 8:
            return mutated(rng, rng.choice(list(bombs.ALL.values())))
    return mutated(rng, jpeg)


def frames_kind(world: World, count: int, tally: Tally) -> None:
    """Every entry that must be kept has an answer, and whatever was written can be read."""
    client, jpeg = world.client(), picture()
    reader = client_from_url(world.instance.url)
    provision(reader, cameras=[CAMERA])
    key, before = schema.frames_key(CAMERA), world.processes()
    while tally.inputs < count:
        entries = [entry(world.rng, jpeg) for _ in range(min(BATCH, count - tally.inputs))]
        pipeline = client.pipeline(transaction=False)
        for fields in entries:
            pipeline.xadd(key, fields)
        ids: list[bytes] = pipeline.execute()
        waiting = {one.decode() for one, fields in zip(ids, entries, strict=True) if str(fields.get("keep")) == "1"}
        waiting -= wait_for_answers(reader, waiting, tally)
        if waiting:
            tally.mishap(f"{len(waiting)} frames without an answer, {min(waiting)} first")
            return
        read_back(reader, tally, world.rng)
        tally.inputs += len(entries)
        for one in (key, schema.detections_key(CAMERA), schema.errors_key(CAMERA)):
            client.xtrim(one, maxlen=0)
    if world.processes() != before:
        tally.mishap("Redis or a worker ended")


def wait_for_answers(client: redis.Redis, waiting: set[str], tally: Tally) -> set[str]:
    """Those of the frames that were answered; all of them, unless the gear hangs."""
    answered: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    seen = {schema.detections_key(CAMERA): "0-0", schema.errors_key(CAMERA): "0-0"}
    while not waiting <= answered and time.monotonic() < deadline:
        for _, (_, fields) in streams.new_entries(client, seen, block_ms=200):
            answered.add(fields[b"ref"].decode())
            if b"reason" in fields:
                tally.refused += 1
                reason = fields[b"reason"].decode(errors="replace")
                if not reason.strip() or "Traceback" in reason:
                    tally.mishap(f"the reason of a refused frame: {reason!r:.300}")
            deadline = time.monotonic() + PATIENCE
    return answered


def read_back(client: redis.Redis, tally: Tally, rng: random.Random) -> None:
    """Whatever producer and gear wrote: the readers give it, or say in an error of ours what is wrong with it."""
    spoil(client, rng)
    readers = [
        lambda: frames.read_errors(client, CAMERA),
        lambda: series.read_many(client, CAMERA, schema.raw_series_names()),
        lambda: look_at_captures(client),
        lambda: summary.summarize(client, CAMERA, [each.capture for each in captures.ended_captures(client, CAMERA)]),
        lambda: api.read_cameras(client),
        lambda: api.read_detections(client, CAMERA, 100),
        lambda: metrics.exposition(metrics.read_metrics(client)),
        lambda: follow(client),
    ]
    images = streams.entries(client, schema.frames_key(CAMERA))
    readers.extend(lambda one=one: look_at(frames.parse_frame(CAMERA, one)) for one in images)
    detections = streams.entries(client, schema.detections_key(CAMERA))
    readers.extend(lambda one=one: repr(parse_detections(CAMERA, one)) for one in detections)
    for reader in readers:
        try:
            reader()
        except RedEdgeError:
            continue
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.mishap(f"reading what was written: {type(error).__name__}: {error!s:.300}")


def spoil(client: redis.Redis, rng: random.Random) -> None:
    """Add detections, errors and captures that nothing of ours would write."""
    for _ in range(5):
        record: dict[Any, Any] = {"capture": rng.choice(("c1", "c2", "")), "first_id": "1-1", "last_id": f"{1 << 62}-0"}
        for name in ("frames", "refused", "started_ms", "ended_ms", "first_ms", "first_id", "last_id", "yields", "fps"):
            if rng.random() < 0.3:
                record[name] = rng.choice((*WORDS, *NUMBERS, "1e999", "-1", "{}"))
        client.xadd(schema.captures_key(CAMERA), record)
    for key in (schema.detections_key(CAMERA), schema.errors_key(CAMERA)):
        for _ in range(10):
            fields: dict[Any, Any] = {"ref": rng.choice((b"1-1", b"nonsense", b"", b"\xff"))}
            for name in ("ts", "boxes", "people", "confidence", "tracks", "model", "ms", "reason"):
                if rng.random() < 0.7:
                    fields[name] = rng.choice((*WORDS, *NUMBERS, "[1,2,3,4]", "[[1]]", '["a"]', "[1e999]", "[" * 5000))
            client.xadd(key, fields)


def look_at_captures(client: redis.Redis) -> None:
    for record in captures.ended_captures(client, CAMERA):
        str(record)


def look_at(frame: frames.Frame) -> None:
    repr(frame)
    frame.image()


def follow(client: redis.Redis) -> None:
    """What the player and the video page do."""
    follower = Follower(CAMERA)
    follower.read(client, block_ms=1)
    frame = follower.next_frame(client)
    if frame is not None:
        frame.as_message()
