"""What the fuzzers found, each once: an error that names its cause where there was an accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb import schema, streams
from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.capture.options import settings_of
from rededge_nb.capture.sources import open_source
from rededge_nb.control.models import load_card
from rededge_nb.errors import ConfigurationError, GearError, ModelCardError, NoDataError
from rededge_nb.reading.detections import parse_detections, read_detections
from rededge_nb.reading.frames import parse_frame, read_frame
from rededge_nb.reading.series import read_series
from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

MANY_DIGITS = b"9" * 5000
REF = {b"ref": b"1-1"}


def test_numbers_of_many_digits_are_not_accepted() -> None:
    frame = parse_frame("0", ("5-0", {b"image": b"x", b"ts": MANY_DIGITS, b"count": b"9" * 19}))
    assert (frame.ts_ms, frame.frame_index) == (5, 0)
    assert str(frame.time) in repr(frame)
    assert not streams.is_id("9" * 30 + "-1")
    assert not streams.is_id("\uff17-1")


@pytest.mark.parametrize("boxes", [b"[" * 5000, b"[1" + b"0" * 400 + b",1,1,1]", MANY_DIGITS, b"[null,1,1,1,1]"])
def test_wrong_boxes_are_malformed(boxes: bytes) -> None:
    with pytest.raises(GearError, match="entry 2-0 of camera:0:yolo is malformed: boxes"):
        parse_detections("0", ("2-0", REF | {b"boxes": boxes}))


def test_too_large_numbers_are_infinite_and_not_track_ids() -> None:
    found = parse_detections("0", ("2-0", REF | {b"boxes": b"[1e300,0,0,0]", b"tracks": b"[1e300]"}))
    assert np.isposinf(found.xyxy[0, 0])
    assert found.tracks is not None
    assert found.tracks.tolist() == [0]


@pytest.mark.parametrize("entry_id", ["", "1", "nonsense", "-1-1", "9" * 40, "1-1-1"])
def test_the_error_for_a_wrong_entry_id_names_it(client: redis.Redis, entry_id: str) -> None:
    client.xadd(schema.frames_key("0"), {"image": b"x"})
    with pytest.raises(NoDataError, match="camera:0 has no frame"):
        read_frame(client, "0", entry_id)
    if entry_id not in ("1", ""):
        with pytest.raises(ConfigurationError, match="write ids such as"):
            read_detections(client, "0", start=entry_id)


def test_a_wrong_series_name_is_refused(client: redis.Redis) -> None:
    with pytest.raises((ConfigurationError, NoDataError), match=r"TS\.MRANGE|has no series"):
        read_series(client, "0", "a\0),(")


@pytest.mark.parametrize(
    "option",
    [
        *({"frames": 0.5}, {"window": None}, {"quality": True}, {"quality": "90"}, {"max_age": 1e300}, {"fps": "5"}),
        *({"seconds": float("nan")}, {"max_bytes": 10**40}, {"size": 640}, {"size": "1" * 5000 + "x1"}, {"fps": True}),
    ],
)
def test_the_error_for_an_option_of_the_wrong_type_names_it(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{next(iter(option))} is "):
        settings_of(option)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 1.5, True, [], b"0"])
def test_the_error_for_a_source_of_the_wrong_type_names_it(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="the source is"):
        open_source(source)


@pytest.mark.parametrize("text", ["[" * 3000, "cameras:\n - id: 1\n   source: " + "[" * 900, "a: !!float x"])
def test_yaml_of_any_depth_is_read_or_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"deep\.yaml"):
        read_cameras(file)
    with pytest.raises(ModelCardError, match=r"deep\.yaml"):
        load_card(file)


def test_arguments_quoted_in_an_error_do_not_break_the_reply(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="Unknown arguments were given: a b c"):
        client.execute_command("RG.PYEXECUTE", "1", b"a\0b\nc")


@pytest.mark.parametrize("way_out", ["raise KeyboardInterrupt", "raise SystemExit", "exit()"])
def test_a_gear_cannot_end_the_thread_that_runs_it(client: redis.Redis, way_out: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"KeyboardInterrupt|SystemExit"):
        execute(client, way_out)
    step = f"def step(record):\n    if record['value']['n'] == '0':\n        {way_out}\n    execute('INCR', 'done')\n"
    execute(client, step + "GB('StreamReader').foreach(step).register('s', onFailedPolicy='continue')")
    for number in range(3):
        client.xadd("s", {"n": number})
    wait_for(lambda: client.get("done") == b"2", what="the entries behind the one that wanted out")
    assert only_registration(client)["data"]["numFailures"] == 1


def test_a_wrong_requirement_is_an_error(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="requirement does not exists") as refused:
        client.execute_command("RG.PYEXPORTREQ", "a:t")
    assert "inside the worker" not in str(refused.value)
