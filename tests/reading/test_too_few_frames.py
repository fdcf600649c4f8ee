"""When people could not be followed: from single samples while Redis keeps them, and from whole minutes after that."""

from __future__ import annotations

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.samples import create_commands
from rededge_nb.analytics.scene import Scene
from rededge_nb.control.scenes import save_scene
from rededge_nb.reading.scenes import read_crossings, read_zones
from rededge_nb.reading.series import call, create_series
from rededge_nb.reading.too_few_frames import too_few_frames

pytest_plugins = ("tests.bare_fixtures",)

DAY_MS = schema.RAW_RETENTION_MS
OLD_MS, MINUTE_MS = 100 * DAY_MS, schema.MINUTE_MS
NEW_MS = OLD_MS + 3 * DAY_MS


@pytest.fixture
def marked(bare_client: redis.Redis) -> redis.Redis:
    """A camera that was too slow on one day, for two minutes, and three days later for a moment."""
    create_series(bare_client, "0")
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    save_scene(bare_client, "0", Scene().with_line("door", (0, 0), (1, 1)).with_zone("desk", square), version=None)
    for words in create_commands("camera:0", schema.TOO_FEW_FRAMES):
        call(bare_client, *words)
    for at_ms, fps in ((OLD_MS + 30_000, 2.0), (OLD_MS + 90_000, 1.5), (NEW_MS + 30_000, 3.0)):
        call(bare_client, "TS.ADD", schema.series_key("0", schema.TOO_FEW_FRAMES), at_ms, fps)
        call(bare_client, "TS.ADD", schema.series_key("0", schema.PEOPLE), at_ms, 1)
    assert len(call(bare_client, "TS.RANGE", schema.series_key("0", schema.TOO_FEW_FRAMES), "-", "+")) == 1
    return bare_client


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "fps"),
    [
        (OLD_MS, OLD_MS + MINUTE_MS - 1, 2.0),
        (OLD_MS, OLD_MS + 5 * MINUTE_MS, 1.5),
        (OLD_MS + 95_000, OLD_MS + 2 * MINUTE_MS, 1.5),  # the minute is taken as a whole
        (OLD_MS + 2 * MINUTE_MS, NEW_MS, None),
        (NEW_MS, NEW_MS + MINUTE_MS, 3.0),
        (NEW_MS, NEW_MS + 29_999, None),  # of this minute there are samples
        (NEW_MS + 30_001, None, None),
        (0, None, 1.5),
    ],
)
def test_single_samples_and_whole_minutes(
    marked: redis.Redis, start_ms: int, end_ms: int | None, fps: float | None
) -> None:
    found = too_few_frames(marked, start_ms, end_ms, camera="0").get("0")
    assert (found and found.fps) == fps
    assert found is None or start_ms - MINUTE_MS < found.first_ms < found.last_ms
    assert too_few_frames(marked, start_ms, end_ms) == ({} if found is None else {"0": found})
    # where all single samples have been deleted, the minutes remain
    marked.delete(schema.series_key("0", schema.TOO_FEW_FRAMES))
    old = too_few_frames(marked, OLD_MS, OLD_MS + 5 * MINUTE_MS)["0"]
    assert (old.first_ms, old.last_ms, old.fps) == (OLD_MS, OLD_MS + 2 * MINUTE_MS, 1.5)


def test_crossings_and_stays_are_marked_for_the_time_that_they_are_of(marked: redis.Redis) -> None:
    def fps(**times: int) -> list[float | None]:
        both = (*read_crossings(marked, "0", **times), *read_zones(marked, "0", **times))
        return [each.too_few_frames and each.too_few_frames.fps for each in both]

    assert fps() == [3.0, 3.0], "of the last day"
    assert fps(start_ms=OLD_MS, end_ms=OLD_MS + 5 * MINUTE_MS) == [1.5, 1.5]
    # nobody has crossed the line since: its samples are older than a day, and so are the marks
    call(marked, "TS.ADD", schema.series_key("0", "line:door:forward"), OLD_MS, 2)
    assert fps() == [1.5, 3.0]
    # the rate is enough since: a mark that is older than the figures says nothing about them
    call(marked, "TS.ADD", schema.series_key("0", schema.PEOPLE), NEW_MS + 5 * DAY_MS, 1)
    call(marked, "TS.ADD", schema.series_key("0", "line:door:forward"), NEW_MS + 5 * DAY_MS, 2)
    assert fps() == [None, None]
