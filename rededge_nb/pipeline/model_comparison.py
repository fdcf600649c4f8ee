"""Two models on the same frames: how long they take, how many people or other objects they find, where they differ."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.analytics.ground_truth import FoundBox
from rededge_nb.analytics.scored_frames import TINY, best_pairs, iou_matrix
from rededge_nb.analytics.scoring import LEAST_IOU
from rededge_nb.capture.sources import open_source
from rededge_nb.control.inference import local_detector
from rededge_nb.control.models import ModelCard
from rededge_nb.display.drawing import draw_boxes
from rededge_nb.display.tables import Table
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import Image, decode_image, encode_jpeg
from rededge_nb.reading.scores import Found, Scores, parse_truth, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_CONFIDENCE = 0.05
"""Least confidence of the boxes for the average precision."""
MOST_DIFFERENT = 4
"""As many frames are kept as images."""
_GAP_PIXELS = 8


@dataclass(frozen=True)
class ModelRun:
    """One of the two models.

    Attributes:
        name: Its name.
        ms: Time for each frame, in milliseconds: resizing, the model, and the removal of overlapping boxes.
        rows: For each frame float32 (n, 5): left, top, right, bottom in pixels, and confidence; those that are counted.
        scores: How good it is; None without labels.
    """

    name: str
    ms: Sequence[float]
    rows: Sequence[NDArray[np.float32]]
    scores: Scores | None = None

    @property
    def counts(self) -> list[int]:
        """The number of people, or other objects, in each frame."""
        return [len(each) for each in self.rows]


@dataclass(frozen=True)
class ModelComparison:
    """Two models that ran on the same frames.

    Attributes:
        first: The first model.
        second: The second model.
        agreement: Share of the boxes of both that the other one has, too: with an intersection over union of 0.5.
        same_count: Share of the frames in which both find the same number of people.
        counted: What both count.
        images: The frames that differ most, with the boxes of the first model at the left, by their number from 1 on.
    """

    first: ModelRun
    second: ModelRun
    agreement: float
    same_count: float
    images: Mapping[int, Image] = field(repr=False)
    counted: Counted = PEOPLE

    def table(self) -> Table:
        """All figures; the models are the columns."""
        rows = [_figures(each, self.counted) for each in (self.first, self.second)]
        body = [[name, rows[0][name], rows[1][name]] for name in rows[0]]
        body += [
            ["boxes that both find", f"{self.agreement:.0%}", ""],
            ["frames with the same number", f"{self.same_count:.0%}", ""],
        ]
        return Table(("", self.first.name, self.second.name), body)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the number of people, or other objects, in each frame."""
        from rededge_nb.display.plots import plot_counts

        counts = {each.name: each.counts for each in (self.first, self.second)}
        return plot_counts(counts, title=self.counted.title("in each frame"), ax=ax)

    def write(self, folder: Path) -> list[Path]:
        """Write the chart and the images into a folder. Returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.counted.series}.png"]
        cast("Figure", self.plot().get_figure(root=True)).savefig(paths[0])
        for number, image in self.images.items():
            paths.append(folder / f"frame-{number}.jpg")
            paths[-1].write_bytes(encode_jpeg(image, quality=90))
        return paths

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON can hold them."""
        runs = [
            {
                "name": each.name,
                "ms": round(statistics.median(each.ms), 3),
                "counts": each.counts,
                "scores": None if each.scores is None else each.scores.as_dict(),
            }
            for each in (self.first, self.second)
        ]
        return {"models": runs, "agreement": self.agreement, "same_count": self.same_count, "differ": list(self.images)}


def compare_models(
    first: ModelCard,
    second: ModelCard,
    video: str | Path,
    *,
    truth: Path | None = None,
    frames: int | None = None,
) -> ModelComparison:
    """Run two models on the same frames, in this process. They take turns, so that a busy machine slows both.

    Args:
        first: Card of the first model.
        second: Card of the second model.
        video: A video, an image or a folder of images.
        truth: A file with labels, as `rededge score` reads it.
        frames: Use this many frames; None: all.

    Raises:
        ConfigurationError: The labels are wrong, or the models do not count the same class.
        ModelError: A model cannot be loaded or run.
        SourceError: The video cannot be read, or has no frames.
    """
    if first.counted.name != second.counted.name:
        raise ConfigurationError(
            f"{first.name} counts {first.counted.plural}, and {second.name} counts {second.counted.plural}: two models "
            "that count the same can be compared"
        )
    labels = None if truth is None else _truth(truth)
    cards = (first, second)
    detectors = [local_detector(card, least=min(LEAST_CONFIDENCE, card.confidence)) for card in cards]
    all_rows: list[list[NDArray[np.float32]]] = [[], []]
    ms: list[list[float]] = [[], []]
    images: dict[int, tuple[float, Image]] = {}
    shared = boxes = number = 0
    with open_source(video) as source:
        for number, frame in enumerate(islice(source, frames), 1):
            image = decode_image(frame, f"frame {number}")
            for place in (0, 1) if number % 2 else (1, 0):
                began = time.perf_counter()
                all_rows[place].append(detectors[place](image))
                ms[place].append((time.perf_counter() - began) * 1000)
            sure = [_sure(all_rows[place][-1], card) for place, card in enumerate(cards)]
            both = _both(*sure)
            shared, boxes = shared + 2 * both, boxes + sum(map(len, sure))
            _keep_most_different(images, number, sum(map(len, sure)) - 2 * both, image, sure)
    if not number:
        raise SourceError(f"{video} has no frames")
    runs = [
        ModelRun(card.name, times[1:] or times, [_sure(each, card) for each in rows], _scores(labels, rows, card))
        for card, times, rows in zip(cards, ms, all_rows, strict=True)
    ]
    same = np.mean(np.array(runs[0].counts) == np.array(runs[1].counts))
    shown = {each: image for each, (_, image) in sorted(images.items())}
    one, other = runs
    return ModelComparison(one, other, shared / boxes if boxes else 1.0, float(same), shown, first.counted)


def _sure(rows: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    return np.asarray(rows[rows[:, 4] >= card.confidence])


def _both(one: NDArray[np.float32], other: NDArray[np.float32]) -> int:
    """How many boxes of the two are pairs."""
    if not len(one) or not len(other):
        return 0
    iou = iou_matrix(one[:, :4].tolist(), other[:, :4].tolist())
    return len(best_pairs(np.where(iou >= LEAST_IOU - TINY, 1.0 + iou, 0.0)))


def _keep_most_different(
    images: dict[int, tuple[float, Image]],
    number: int,
    difference: float,
    image: Image,
    rows: Sequence[NDArray[np.float32]],
) -> None:
    """Keep the image of a frame while it is one of those that differ most."""
    least = min(images, key=lambda each: images[each][0]) if len(images) >= MOST_DIFFERENT else None
    if not difference or (least is not None and images[least][0] >= difference):
        return
    if least is not None:
        del images[least]
    drawn = [draw_boxes(image, each[:, :4], each[:, 4], caption=f"{len(each)}") for each in rows]
    gap = np.full((image.shape[0], _GAP_PIXELS, 3), 255, np.uint8)
    images[number] = (difference, np.hstack((drawn[0], gap, drawn[1])))


def _truth(path: Path) -> Any:
    try:
        return parse_truth(path.read_text())
    except (UnicodeDecodeError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _scores(truth: Any, rows: Sequence[NDArray[np.float32]], card: ModelCard) -> Scores | None:
    if truth is None:
        return None
    boxes = {number: [FoundBox(tuple(row[:4]), row[4]) for row in each.tolist()] for number, each in enumerate(rows, 1)}
    return score(truth, Found(boxes=boxes, frames=frozenset(boxes)), confidence=card.confidence)


def _figures(run: ModelRun, counted: Counted) -> dict[str, str]:
    figures = {
        "frames": str(len(run.rows)),
        "time of a frame, ms": f"{statistics.median(run.ms):.1f}",
        f"{counted.plural} in a frame, mean": f"{np.mean(run.counts):.2f}",
        f"{counted.plural} in a frame, most": str(max(run.counts)),
    }
    return figures | (dict(run.scores.as_rows()) if run.scores is not None else {})
