"""Run a model on one image, and measure how long the backends take for it on this machine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb.analytics.detecting import boxes_in_frame, input_image, suppress, whole_pixels
from rededge_nb.control.models import ModelCard, key_of, remove_model, store_model
from rededge_nb.edge import processors
from rededge_nb.edge.client import key_names, server_errors
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ModelError
from rededge_nb.images import Image

INSTALL_OPENVINO = "not installed: pip install openvino"
MIN_RUNS = 5


def detect_people(
    client: redis.Redis,
    card: ModelCard,
    image: Image,
    *,
    confidence: float | None = None,
    iou: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the people in an image as the gear does before it tracks them.

    The card's model must be stored in Redis.

    Args:
        client: A connection to the server.
        card: The model's card.
        image: uint8 of shape (height, width, 3), BGR.
        confidence: Minimum confidence of a detection, 0 to 1; default: the value in the card.
        iou: Two boxes with a higher IoU are one detection; default: the value in the card.

    Returns:
        Boxes, float32 of shape (n, 4): left, top, right, bottom in pixels of the image; and confidence, shape (n,).

    Raises:
        ModelError: the model is not stored, or its run failed.
        ServerUnavailableError: the server does not answer.
    """
    batch = _batch(card, image)
    boxes, scores = _run_in_redis(client, card, batch)
    confidence, iou = card.confidence if confidence is None else confidence, card.iou if iou is None else iou
    found = suppress(boxes[0], scores[0, :, card.class_id], confidence, iou)
    size_wh, frame_wh = (batch.shape[2], batch.shape[1]), (image.shape[1], image.shape[0])
    return whole_pixels(boxes_in_frame(found, size_wh, frame_wh)[:, :4], frame_wh).astype(np.float32), found[:, 4]


def check_model_runs(client: redis.Redis, card: ModelCard, device: str) -> None:
    """Run a card's model on an empty image in the server, under a key of its own, before anything uses it.

    Args:
        client: Connected to the server.
        card: The model's card.
        device: Where it is to run, as in `models.redis_device`.

    Raises:
        ModelCardError: The model file does not match the card.
        ModelError: The server refuses the model, it cannot be run, or its outputs do not have the shapes that the
            people counter needs.
        ServerUnavailableError: The server does not answer.
    """
    trial = replace(card, key=f"{card.key}:trial:{uuid.uuid4().hex[:8]}")
    with server_errors(client):
        store_model(client, trial, device)
        try:
            boxes, scores = _run_in_redis(client, trial, _batch(card, np.zeros((480, 640, 3), np.uint8)))
        finally:
            remove_model(client, key_of(client, trial))
    rows = boxes.shape[1] if boxes.ndim == 3 else -1
    if boxes.shape != (1, rows, 4) or scores.shape[:2] != (1, rows) or scores.shape[2:] != (len(card.classes),):
        raise ModelError(
            f"the model {card.name} gives boxes {list(boxes.shape)} and scores {list(scores.shape)}: [1, n, 4] and "
            f"[1, n, {len(card.classes)}] are needed, one score for each class in its card"
        )


def local_detector(card: ModelCard, *, least: float | None = None) -> Callable[[Image], NDArray[np.float32]]:
    """A function that finds the people in an image as the gear does before it tracks them, in this process.

    Args:
        card: The model's card.
        least: Least confidence of a box, 0 to 1; default: the value in the card.

    Returns:
        A function from an image, uint8 of shape (height, width, 3), to float32 (n, 5): left, top, right, bottom in
        pixels of the image, and confidence.

    Raises:
        ModelCardError: the model file does not match the card.
        ModelError: ONNX Runtime refuses the model, or later its run failed.
    """
    model = _load_onnx(card, card.read(), processors.default_threads())
    confidence = card.confidence if least is None else least

    def detect(image: Image) -> NDArray[np.float32]:
        batch = _batch(card, image)
        try:
            boxes, scores = model.run([batch])
        except CommandError as error:
            raise ModelError(f"{card.file} cannot be run here: {error}") from error
        found = suppress(boxes[0], scores[0, :, card.class_id], confidence, card.iou)
        return boxes_in_frame(found, (batch.shape[2], batch.shape[1]), (image.shape[1], image.shape[0]))

    return detect


@dataclass(frozen=True)
class Timing:
    """The duration of one run of a model."""

    backend: str
    median_ms: float | None
    """None if it could not be measured; `note` says why."""
    note: str = ""


def compare_backends(card: ModelCard, image: Image, *, seconds: float = 1.0) -> list[Timing]:
    """Measure the card's model in this process: ONNX Runtime with 1, 2, 4 … threads, and OpenVINO if it is installed.

    Args:
        card: The model's card.
        image: uint8 of shape (height, width, 3), BGR.
        seconds: How long each backend runs.

    Raises:
        ModelCardError: the model file does not match the card.
        ModelError: ONNX Runtime refuses the model.
    """
    blob, batch = card.read(), _batch(card, image)
    timings = [
        Timing(f"ONNX Runtime, {_count(threads)}", _median_ms(_onnx(card, blob, batch, threads), seconds))
        for threads in _thread_counts()
    ]
    try:
        timings.append(Timing("OpenVINO", _median_ms(_openvino(card, blob, batch), seconds)))
    except ModuleNotFoundError:
        timings.append(Timing("OpenVINO", None, INSTALL_OPENVINO))
    return timings


def _batch(card: ModelCard, image: Image) -> Image:
    """The model's input for an image, shape (1, height, width, 3)."""
    return input_image(image, card.input_size((image.shape[1], image.shape[0])))[np.newaxis]


def _run_in_redis(
    client: redis.Redis, card: ModelCard, batch: Image
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    names, call_id = (card.input_name, "boxes", "scores"), uuid.uuid4().hex
    with server_errors(client):
        model = key_of(client, card)
        image_key, boxes, scores = keys = [key_names.inference(client, call_id, name) for name in names]
    # without MULTI, inside of which a model cannot run
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("AI.TENSORSET", image_key, "UINT8", *batch.shape, "BLOB", batch.tobytes())
    pipeline.execute_command("AI.MODELEXECUTE", model, "INPUTS", 1, image_key, "OUTPUTS", 2, boxes, scores)
    for key in (boxes, scores):
        pipeline.execute_command("AI.TENSORGET", key, "META", "BLOB")
    pipeline.execute_command("DEL", *keys)
    with server_errors(client):
        replies = pipeline.execute(raise_on_error=False)
    for command, reply in zip(("AI.TENSORSET", f"AI.MODELEXECUTE {model}", "AI.TENSORGET"), replies, strict=False):
        if isinstance(reply, redis.RedisError):
            raise ModelError(f"{command}: {reply}; `wb.models.store(card)` stores a card's model") from reply
    return _tensor(replies[2]), _tensor(replies[3])


def _tensor(reply: Any) -> NDArray[np.float32]:
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    return np.frombuffer(fields[b"blob"], np.float32).reshape(fields[b"shape"])


def _onnx(card: ModelCard, blob: bytes, batch: Image, threads: int) -> Callable[[], object]:
    model = _load_onnx(card, blob, threads)
    return lambda: model.run([batch])


def _load_onnx(card: ModelCard, blob: bytes, threads: int) -> Any:
    # only this needs ONNX Runtime, whose import would make that of the package last a fifth longer
    from rededge_nb.edge.ai.backends import onnx

    try:
        return onnx.load(blob, device="CPU", threads=threads)
    except CommandError as error:
        raise ModelError(f"{card.file} cannot be loaded here: {error}") from error


def _openvino(card: ModelCard, blob: bytes, batch: Image) -> Callable[[], object]:
    from rededge_nb.edge.ai.backends import onnx_openvino

    try:
        model = onnx_openvino.load(blob, device="CPU", threads=_thread_counts()[-1])
    except CommandError as error:
        raise ModelError(f"{card.file} cannot be loaded here: {error}") from error
    return lambda: model.run([batch])


def _median_ms(run: Callable[[], object], seconds: float) -> float:
    run()  # the first run is slower: it allocates memory
    return float(np.median(list(_milliseconds(run, seconds))))


def _milliseconds(run: Callable[[], object], seconds: float) -> Iterator[float]:
    runs, end = 0, time.perf_counter() + seconds
    while runs < MIN_RUNS or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        runs += 1
        yield (time.perf_counter() - began) * 1000


def _thread_counts() -> list[int]:
    """Powers of two up to the number of processors that this process may use, and that number."""
    most = processors.count()
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})


def _count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
