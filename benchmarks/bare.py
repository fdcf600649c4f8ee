"""The bare loop, the reference for everything: decode a JPEG from memory, resize, model, NMS; and its frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from rededge_nb import assets
from rededge_nb.analytics.detecting import boxes_in_frame, input_image, suppress
from rededge_nb.capture.sources import open_source
from rededge_nb.control.models import load_card
from rededge_nb.edge import processors
from rededge_nb.edge.ai import backends
from rededge_nb.images import encode_jpeg

QUALITY = 90


class BareLoop:
    """The bundled model with the backend and the threads that a worker gives it."""

    def __init__(self) -> None:
        self._card = load_card(assets.model_card_file())
        threads = processors.default_threads()
        self._model = backends.load(
            self._card.backend, backends.ModelSource(self._card.read()), device="CPU", threads=threads
        )

    def people(self, jpeg: bytes, confidence: float | None = None) -> np.ndarray:
        """Boxes of the people in a JPEG with their confidence, shape (n, 5); least confidence: that of the card."""
        return self.people_in(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), confidence)

    def people_in(self, image: np.ndarray, confidence: float | None = None) -> np.ndarray:
        """The same for a decoded image."""
        confidence = self._card.confidence if confidence is None else confidence
        frame_wh = (image.shape[1], image.shape[0])
        size_wh = self._card.input_size(frame_wh)
        resized = input_image(image, size_wh)
        boxes, scores = self._model.run([resized[np.newaxis]])
        assert boxes is not None
        assert scores is not None
        found = suppress(boxes[0], scores[0, :, self._card.class_id], confidence, self._card.iou)
        return boxes_in_frame(found, size_wh, frame_wh)

    def seconds(self, jpegs: Sequence[bytes]) -> list[float]:
        """Seconds for each JPEG, one after the other."""
        times = []
        for jpeg in jpegs:
            began = time.perf_counter()
            self.people(jpeg)
            times.append(time.perf_counter() - began)
        return times


def sample_jpegs(count: int | None = None) -> list[bytes]:
    """The first frames of the sample video, or all, as `capture` encodes them."""
    jpegs: list[bytes] = []
    with open_source(assets.sample_video()) as source:
        for picture in source:
            jpegs.append(picture if isinstance(picture, bytes) else encode_jpeg(picture, quality=QUALITY))
            if len(jpegs) == count:
                break
    return jpegs


def write_pictures(jpegs: Sequence[bytes], folder: Path) -> Path:
    """Write JPEGs into a new folder. `capture` adds them to the stream unchanged."""
    folder.mkdir()
    for number, jpeg in enumerate(jpegs):
        (folder / f"{number:04}.jpg").write_bytes(jpeg)
    return folder
