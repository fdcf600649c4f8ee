"""An imported model takes the place of another one between two frames, and only if it can be run."""

from __future__ import annotations

import threading
from pathlib import Path

import onnx
import pytest
import redis
import yaml

from rededge_nb.control.inference import detect_people
from rededge_nb.control.model_import import ImportOptions, import_model
from rededge_nb.control.models import list_models, load_card, store_model
from rededge_nb.control.provision import provision, read_settings, use_model
from rededge_nb.edge.client import client_like
from rededge_nb.images import encode_jpeg
from rededge_nb.own_models import import_file, use_imported
from tests.control.model_import import toys
from tests.control.model_import.test_layouts import frame_of
from tests.waiting import wait_for


def card_of(folder: Path, name: str, head: toys.Head, side: int, **options: object) -> Path:
    """The card of an imported toy."""
    path = folder / f"{name}.onnx"
    onnx.save(toys.toy_model(head, side=side), path)
    return import_model(path, ImportOptions.of(options)).card_file


def test_models_are_replaced_between_two_frames(client: redis.Redis, tmp_path: Path) -> None:
    provision(client)
    cards = [
        card_of(tmp_path, "first", toys.yolov8, 160),
        card_of(tmp_path, "second", toys.yolov5, 192, resize="stretch"),
    ]
    image, _ = frame_of((320, 180))
    jpeg, ids, stop = encode_jpeg(image, quality=95), [], threading.Event()

    def feed() -> None:
        with client_like(client) as own:
            while not stop.is_set():
                ids.append(own.xadd("camera:0", {"image": jpeg, "count": len(ids), "keep": 1}))
                # not faster than frames are processed
                while not stop.is_set() and len(ids) - own.xlen("camera:0:yolo") - own.xlen("camera:0:errors") > 20:
                    stop.wait(0.01)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for card_file in [*cards, *cards]:
            use_imported(client, card_file)
            key = load_card(card_file).key.encode()
            wait_for(lambda key=key: _newest_model(client) == key, what=f"a frame of {key!r}", timeout=60)
    finally:
        stop.set()
        feeder.join()
    wait_for(lambda: client.xlen("camera:0:yolo") >= len(ids), what="all frames", timeout=60)
    entries = client.xrange("camera:0:yolo")
    assert [fields[b"ref"] for _, fields in entries] == ids
    assert client.xlen("camera:0:errors") == 0
    # once a model is used, each frame has the one box
    own = {load_card(card_file).key.encode() for card_file in cards}
    assert all(len(yaml.safe_load(f[b"boxes"].decode())) in (0, 4) for _, f in entries if f[b"model"] in own)


def _newest_model(client: redis.Redis) -> bytes | None:
    entries = client.xrevrange("camera:0:yolo", count=1)
    return entries[0][1][b"model"] if entries else None


def test_a_model_that_cannot_be_run_is_refused(client: redis.Redis, tmp_path: Path) -> None:
    provision(client)
    before = read_settings(client), list_models(client)
    good = card_of(tmp_path, "good", toys.yolov8, 160)
    fields = yaml.safe_load(good.read_text())
    cases = (
        (
            fields | {"classes": ["person", "dog"]},
            r"gives boxes \[1, 525, 4\] and scores \[1, 525, 1\]: .*, 2\] are needed",
        ),
        (fields | {"input": fields["input"] | {"width": 320, "height": 320}}, "AI.MODELEXECUTE model:good"),
        (fields | {"file": "good.onnx"}, "has sha256"),
    )
    bad = tmp_path / "bad.yaml"
    for change, message in cases:
        bad.write_text(yaml.safe_dump(change))
        with pytest.raises(Exception, match=message):
            use_model(client, str(bad))
        assert (read_settings(client), list_models(client)) == before


def test_a_file_is_imported_tried_and_used(client: redis.Redis, tmp_path: Path) -> None:
    path, image = tmp_path / "mine.onnx", tmp_path / "street.png"
    frame, box = frame_of((640, 360))
    image.write_bytes(encode_jpeg(frame, quality=95))
    onnx.save(toys.toy_model(toys.yolov8), path)
    result = import_file(path, image=image, use_in=client)
    assert result.changes[0] == f"wrote {tmp_path / 'mine.try.jpg'}, your image with the boxes"
    assert (tmp_path / "mine.try.jpg").read_bytes().startswith(b"\xff\xd8")
    assert read_settings(client)["model"] == result.card.key
    store_model(client, result.card)
    boxes, _ = detect_people(client, result.card, frame)
    assert abs(boxes[0] - box).max() <= 2
    onnx.save(toys.toy_model(toys.yolov5), path)
    newer = import_file(path, use_in=client)
    assert newer.changes[-1].startswith(f"an older version is stored too: `rededge models remove {result.card.key}`")
