"""Clips: which frames are in them, how long each is shown, and what is drawn."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from itertools import pairwise

import av
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.clips.clip import Clip, make_clip
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.reading.events import Event
from tests.clips.filling import add_boxes, add_frame, colourful

pytest_plugins = ("tests.bare_fixtures",)

T0 = 1_700_000_000_000


def decoded(clip: Clip) -> tuple[list[int], list[np.ndarray], float]:
    """Times of the frames in milliseconds from the first one, their images, and the duration in seconds."""
    with av.open(io.BytesIO(clip.mp4)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        duration = float(video.duration * video.time_base)
        frames = list(container.decode(video))
    return (
        [round(1000 * frame.time) for frame in frames],
        [frame.to_ndarray(format="bgr24") for frame in frames],
        duration,
    )


def event(ts_ms: int, **more) -> Event:
    return Event(camera="0", id="1-0", kind="alarm_raised", severity="alarm", ts_ms=ts_ms, **more)


def test_each_frame_is_shown_until_the_time_of_the_next_one(bare_client: redis.Redis) -> None:
    times = [*range(-6000, 0, 40), 0, 40, 900, 940, 3000, *range(3040, 7000, 120)]
    for at in times:
        add_frame(bare_client, T0 + at)
    clip = make_clip(bare_client, "0", T0, before=5, after=5)
    inside = [at for at in times if -5000 <= at <= 5000]
    shown, _, duration = decoded(clip)
    assert shown == [at - inside[0] for at in inside]
    assert duration == pytest.approx((inside[-1] - inside[0] + 120) / 1000, abs=0.01)
    assert clip.video.start_ms == T0 + inside[0]
    assert clip.video.duration_ms == pytest.approx(1000 * duration, abs=10)
    assert clip.mp4.find(b"moov") < clip.mp4.find(b"mdat"), "browsers play from the beginning only with the index first"


def test_boxes_are_drawn_on_the_frames_in_which_they_were_found(bare_client: redis.Redis) -> None:
    for number in range(10):
        ref = add_frame(bare_client, T0 + 100 * number)
        if number % 3 == 0:  # the gear left the others out
            add_boxes(bare_client, ref, T0 + 100 * number, [(20 + 10 * number, 30, 60 + 10 * number, 110)])
    shown, images, _ = decoded(make_clip(bare_client, "0", T0 + 500, before=1, after=1))
    assert shown == [0, 300, 600, 900]
    for number, image in zip((0, 3, 6, 9), images, strict=True):
        strip = image[60:100]
        assert colourful(strip[:, 15 + 10 * number : 25 + 10 * number]) > 20, "the left edge of its own box"
    shown, images, _ = decoded(make_clip(bare_client, "0", T0 + 500, before=1, after=1, boxes=False))
    assert shown == list(range(0, 1000, 100))
    assert not any(map(colourful, images))


def test_frames_without_any_answer_of_the_gear_are_in_a_clip_with_boxes(bare_client: redis.Redis) -> None:
    ref = add_frame(bare_client, T0)
    add_boxes(bare_client, ref, T0, [(10, 10, 50, 100)])
    for at in (500, 2000, 2500):
        add_frame(bare_client, T0 + at)
    assert decoded(make_clip(bare_client, "0", T0, before=0, after=4))[0] == [0, 2000, 2500]


@pytest.mark.parametrize("size_wh", [(161, 121), (64, 33), (3, 5)])
def test_odd_sizes_become_even(bare_client: redis.Redis, size_wh: tuple[int, int]) -> None:
    add_frame(bare_client, T0, size_wh=size_wh)
    clip = make_clip(bare_client, "0", T0, boxes=False)
    _, images, _ = decoded(clip)
    width, height = (side + side % 2 for side in size_wh)
    assert images[0].shape == (height, width, 3)
    assert clip.video.size_wh == (width, height)
    assert images[0].min() > 80, "nothing black was added"


def test_a_frame_of_another_shape_gets_black_bars(bare_client: redis.Redis) -> None:
    for at, size_wh in ((0, (160, 120)), (100, (320, 120)), (200, (80, 60)), (300, (160, 120))):
        add_frame(bare_client, T0 + at, size_wh=size_wh, level=200)
    _, images, _ = decoded(make_clip(bare_client, "0", T0, boxes=False))
    assert {image.shape for image in images} == {(120, 160, 3)}
    wide, small = images[1], images[2]
    assert wide[:26].max() < 40
    assert wide[-26:].max() < 40
    assert wide[40:80].min() > 150
    assert small.min() > 150


def test_wide_frames_can_be_made_smaller(bare_client: redis.Redis) -> None:
    add_frame(bare_client, T0, size_wh=(640, 360))
    assert make_clip(bare_client, "0", T0, boxes=False, max_width=320).video.size_wh == (320, 180)


def test_damaged_frames_are_left_out(bare_client: redis.Redis) -> None:
    add_frame(bare_client, T0)
    damaged = {schema.TS: str(T0 + 100), schema.IMAGE: b"no image"}
    bare_client.xadd(schema.frames_key("0"), damaged, id=f"{T0 + 100}-0")  # type: ignore[arg-type]
    bare_client.xadd(schema.frames_key("0"), {"other": "1"}, id=f"{T0 + 150}-0")
    add_frame(bare_client, T0 + 200)
    assert decoded(make_clip(bare_client, "0", T0, boxes=False))[0] == [0, 200]


def test_the_frame_of_the_event_decides_where_a_recording_is_in_the_stream_twice(bare_client: redis.Redis) -> None:
    refs = {}
    for run, level in ((0, 60), (1, 180)):
        for number in range(50):  # ten times as fast as it was recorded
            at = T0 - 3_600_000 + 100 * number
            refs[run, number] = add_frame(bare_client, at, id_ms=T0 + 1000 * run + 10 * number, level=level)
    for run, level in ((0, 60), (1, 180)):
        clip = make_clip(
            bare_client, "0", event(T0 - 3_600_000 + 2000, ref=refs[run, 20]), before=1, after=1, boxes=False
        )
        shown, images, _ = decoded(clip)
        assert shown == list(range(0, 2001, 100))
        assert {round(image.mean() / 10) for image in images} == {level // 10}
    newest = make_clip(bare_client, "0", datetime.fromtimestamp((T0 - 3_598_000) / 1000, UTC), before=1, after=1)
    shown, images, _ = decoded(newest)
    assert shown == list(range(0, 2001, 100))
    assert images[0].mean() > 150


def test_frames_that_have_left_the_stream_are_a_clear_error(bare_client: redis.Redis) -> None:
    with pytest.raises(NoDataError, match="has no frames at all"):
        make_clip(bare_client, "0", T0)
    for number in range(100):
        add_frame(bare_client, T0 + 20_000 + 40 * number)
    with pytest.raises(NoDataError, match=r"no frames of 2023-11-14 22:13:20 UTC .*the oldest frame .* 22:13:40 UTC"):
        make_clip(bare_client, "0", T0)
    with pytest.raises(NoDataError, match=f"no frames of frame {T0}-0"):
        make_clip(bare_client, "0", event(T0 + 21_000, ref=f"{T0}-0"))


@pytest.mark.parametrize(
    ("when", "options", "message"),
    [
        (T0, {"before": -1}, "0 or more seconds"),
        (T0, {"before": 0, "after": 0}, "0 or more seconds"),
        (T0, {"after": 1e9}, "at most 600"),
        (T0, {"after": float("nan")}, "0 or more seconds"),
        ("yesterday", {}, "'yesterday' is no time"),
        (np.datetime64("NaT"), {}, "is no time"),
        (
            Event(camera="yard", id="1-0", kind="x", severity="info", ts_ms=T0),
            {},
            "of camera yard, and not of camera 0",
        ),
    ],
)
def test_lengths_and_times_that_cannot_be_used_are_named(bare_client, when, options, message: str) -> None:
    add_frame(bare_client, T0)
    with pytest.raises(ConfigurationError, match=message):
        make_clip(bare_client, "0", when, **options)


def test_a_clip_of_a_live_camera_waits_for_its_end(bare_client: redis.Redis, feeding) -> None:
    with feeding(bare_client, every_ms=40) as newest_ts:
        event_ms = newest_ts()
        shown, _, duration = decoded(make_clip(bare_client, "0", event_ms, before=0, after=2, boxes=False))
    assert 1 < duration < 2.3
    assert all(later > earlier for earlier, later in pairwise(shown))


def test_a_notebook_plays_a_clip(bare_client: redis.Redis, tmp_path) -> None:
    add_frame(bare_client, T0)
    clip = make_clip(bare_client, "0", T0, boxes=False)
    assert "<video controls" in clip._repr_mimebundle_()["text/html"]
    assert repr(clip).startswith("<Clip of camera 0: 1 frames, 0.0 s, 160x120 pixels")
    assert clip.save(tmp_path / "x.mp4").read_bytes() == clip.mp4
