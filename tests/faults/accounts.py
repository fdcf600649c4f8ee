"""What became of every frame that a server has accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from rededge_nb import schema, streams

PAGE = 500
MOST_LOST_MS = 1000
"""Age of the oldest write that a killed redis-server may lack (`appendfsync everysec`)."""


@dataclass(frozen=True)
class Account:
    """The frames of one camera, counted.

    Attributes:
        accepted: Frames whose XADD was answered.
        detected: Frames with at least one detection entry.
        refused: Frames with at least one entry in the errors stream.
        again: Entries of detections and errors above one a frame: frames that were processed again after a kill.
        unanswered: Frames in the stream with neither.
        some_unanswered: The ids of some of them.
        lost: Accepted frames that a killed redis-server did not have any more.
        sent_again: Of these, frames that the capture sent again.
        oldest_lost_ms: Age at the kill of the oldest of them.
        without_sample: Detections whose time has no sample in the series `people`.
        in_fps: Sum of the series: frames that were taken up.
        out_fps: Sum of the series: frames that were processed.
    """

    accepted: int
    detected: int
    refused: int
    again: int
    unanswered: int
    some_unanswered: list[str]
    lost: int
    sent_again: int
    oldest_lost_ms: int
    without_sample: int
    in_fps: int
    out_fps: int

    def broken_promises(self) -> list[str]:
        """What should not be, a clause each."""
        answers = self.detected + self.refused + self.again
        checks = {
            f"{self.unanswered} frames have neither a detection nor an error": self.unanswered,
            f"a killed Redis lost a frame of {self.oldest_lost_ms} ms": self.oldest_lost_ms > MOST_LOST_MS,
            f"{self.without_sample} detections have no sample": self.without_sample,
            f"in_fps says {self.in_fps}, and there are {answers} answers": self.in_fps != answers,
            f"out_fps says {self.out_fps}, and there are {answers - self.refused} detections": (
                self.out_fps != answers - self.refused
            ),
        }
        return [what for what, broken in checks.items() if broken]


def account(client: redis.Redis, camera: str, *, record: Path, own: list[str], redis_kills_ms: list[int]) -> Account:
    """Count what became of a camera's frames.

    Args:
        record: What `tests.faults.recording` wrote.
        own: Entry ids of frames that were added without a capture.
        redis_kills_ms: When redis-server was killed, milliseconds since the epoch.
    """
    told = Counter(own)
    sent_again = 0
    for line in record.read_text().splitlines():
        word, entry_id = line.split()
        told[entry_id] += word == "sent"
        sent_again += word == "lost"
    there = {entry_id for entry_id, _ in _entries(client, schema.frames_key(camera))}
    detections = list(_entries(client, schema.detections_key(camera)))
    refusals = list(_entries(client, schema.errors_key(camera)))
    detected = {fields[b"ref"].decode() for _, fields in detections}
    refused = {fields[b"ref"].decode() for _, fields in refusals} - detected
    times = {int(fields[b"ts"]) for _, fields in detections}
    lost = set(told) - there - detected - refused
    ages = [min((kill for kill in redis_kills_ms if kill >= ms), default=ms) - ms for ms in map(streams.time_ms, lost)]
    without_answer = sorted((there | set(told)) - lost - detected - refused)
    return Account(
        accepted=len(told),
        detected=len(detected),
        refused=len(refused),
        again=len(detections) + len(refusals) - len(detected) - len(refused),
        unanswered=len(without_answer),
        some_unanswered=without_answer[:10],
        lost=len(lost),
        sent_again=sent_again,
        oldest_lost_ms=max(ages, default=0),
        without_sample=len(times - set(_samples(client, camera, "people"))),
        in_fps=sum(_samples(client, camera, "in_fps").values()),
        out_fps=sum(_samples(client, camera, "out_fps").values()),
    )


def unanswered(client: redis.Redis, camera: str) -> int:
    """Frames that the gear has not settled: not delivered yet, or pending."""
    groups = client.xinfo_groups(schema.frames_key(camera))
    newest = streams.last_id(client, schema.frames_key(camera))
    if not groups or groups[0]["last-delivered-id"].decode() != newest:
        return 1
    return int(groups[0]["pending"])


def _entries(client: redis.Redis, key: str) -> Iterator[streams.Entry]:
    start = "-"
    while found := streams.entries(client, key, start=start, count=PAGE):
        for entry_id, fields in found:
            fields.pop(schema.IMAGE.encode(), None)
            yield entry_id, fields
        start = f"({found[-1][0]}"


def _samples(client: redis.Redis, camera: str, name: str) -> dict[int, int]:
    samples = client.execute_command("TS.RANGE", schema.series_key(camera, name), "-", "+")
    return {int(at): int(float(value)) for at, value in samples}
