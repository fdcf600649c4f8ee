"""Finds the people in the process of the capture: for cameras of which no image may leave it (`boxes_only`).

It uses the gear's model and settings, and the gear's functions, so that it finds the same people.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.analytics.boxes_only import FoundPeople
from rededge_nb.analytics.colours import colour_shares
from rededge_nb.analytics.counted import counted_of
from rededge_nb.analytics.detecting import boxes_in_frame, input_image, input_size, suppress
from rededge_nb.control.provision import read_settings
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.switchboard.calls import CommandError
from rededge_nb.errors import ConfigurationError, SceneError
from rededge_nb.images import ImageOrJpeg, decode_image

SETTINGS_AGE = 1.0
"""Seconds after which the settings are read again, as the gear does."""
_STEPS = ("read", "resize", "model", "script", "boxes")


class PeopleFinder:
    """Runs the model of the people counter in this process.

    Args:
        client: A connection to the server that has the model and the settings.
        camera: Camera id, for messages.
    """

    def __init__(self, client: redis.Redis, camera: str) -> None:
        self._client = client
        self._camera = camera
        self._models = LoadedModels(lambda _: client)
        self._settings: dict[str, str] = {}
        self._read_at = float("-inf")

    def find(self, image: ImageOrJpeg) -> FoundPeople:
        """The people in an image.

        Raises:
            SceneError: the model cannot be run here, so that a camera without images cannot be counted.
            SourceError: the image cannot be decoded.
        """
        values = self._current_settings()
        marks = [time.perf_counter()]
        frame = decode_image(image, f"a frame of camera {self._camera}")
        marks.append(time.perf_counter())
        frame_wh, model_wh = (frame.shape[1], frame.shape[0]), (int(values["width"]), int(values["height"]))
        size_wh = input_size(frame_wh, model_wh, values.get("resize", "stretch"), int(values.get("multiple", "32")))
        batch = input_image(frame, size_wh)[np.newaxis]
        marks.append(time.perf_counter())
        try:
            boxes, scores = self._models.find_model(self._client, values["model"]).run([batch])[:2]
            marks.append(time.perf_counter())
            confidence = float(values["confidence"])
            low = min(max(confidence + float(values["tracking_low"]), 0.0), 1.0)
            found = suppress(boxes[0], scores[0][:, int(values["class_id"])], low, float(values["iou"]))
        except (CommandError, ConfigurationError, ValueError, IndexError) as error:
            raise self._cannot(str(error)) from error
        marks.append(time.perf_counter())
        found = boxes_in_frame(found, size_wh, frame_wh)
        colours = colour_shares(frame, found) if values.get("different") == "1" else None
        detected = int((found[:, 4] >= confidence).sum())
        marks.append(time.perf_counter())
        steps = {name: (end - start) * 1000 for name, (start, end) in zip(_STEPS, pairwise(marks), strict=True)}
        return FoundPeople(found, frame_wh, values["model"], detected, steps, counted_of(values), colours)

    def _current_settings(self) -> dict[str, str]:
        if time.monotonic() - self._read_at > SETTINGS_AGE:
            values = {"tracking_low": "-0.15"} | read_settings(self._client)
            missing = {"model", "width", "height", "class_id", "confidence", "iou"} - values.keys()
            if missing:
                raise self._cannot(f"the server has no settings of the people counter ({', '.join(sorted(missing))})")
            self._settings, self._read_at = values, time.monotonic()
        return self._settings

    def _cannot(self, reason: str) -> SceneError:
        return SceneError(
            f"{schema.scene_key(self._camera)}.boxes_only",
            f"without images, this process has to find the people, and cannot: {reason}; "
            "`rededge init` stores a model, with `--device cpu` for the processor",
        )
