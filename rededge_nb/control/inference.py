"""Run a model on one image, and measure how long the backends take for it on this machine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb.analytics.detecting import boxes_in_frame, input_image, suppress, whole_pixels
from rededge_nb.control.models import ModelCard, key_of
from rededge_nb.edge import processors
from rededge_nb.edge.ai.backends import onnx
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
    try:
        model = onnx.load(blob, device="CPU", threads=threads)
    except CommandError as error:
        raise ModelError(f"{card.file} cannot be loaded here: {error}") from error
    return lambda: model.run([batch])


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
