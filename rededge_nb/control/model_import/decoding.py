"""Nodes that several layouts need, from a model's outputs to `boxes` and `scores`.

`boxes`: float32 (N, n, 4): x1 y1 x2 y2 in pixels of the network's input. `scores`: float32 (N, n, counted classes),
0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from rededge_nb.control.model_import.facts import Output
from rededge_nb.control.model_import.graph import Graph

NORMALISED_BELOW = 2.0
"""If no coordinate is larger than this, coordinates are shares of the width and height, not pixels."""

_CORNERS_OF_CENTRE = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)
"""Centre x, centre y, width, height times this matrix: x1 y1 x2 y2."""


@dataclass
class Decoding:
    """What the decoding of a layout works with.

    Attributes:
        graph: Where nodes are added.
        size_wh: Width and height of the network's input.
        counted: Places of the counted classes in the model.
        renamed: Names in the graph of outputs that had to be renamed.
        images: How many images the network always takes; the others than the first are copies.
    """

    graph: Graph
    size_wh: tuple[int, int]
    counted: tuple[int, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    images: int = 1
    _values: dict[str, str] = field(default_factory=dict)

    def value(self, output: Output) -> str:
        """An output as float32, of the first image."""
        if output.name not in self._values:
            value = self.renamed.get(output.name, output.name)
            if self.images > 1:
                value = self.graph.part(value, 0, 0, 1)
            if output.values.dtype != np.float32:
                value = self.graph.cast(value, TensorProto.FLOAT)
            self._values[output.name] = value
        return self._values[output.name]

    def corners(self, centres: str, *, normalised: bool) -> str:
        """Boxes as corners, in pixels, from boxes as centre, width and height."""
        matrix = _CORNERS_OF_CENTRE * (np.array(self.size_wh * 2, np.float32) if normalised else np.float32(1))
        return self.graph.node("MatMul", [centres, self.graph.constant(matrix)])

    def pixels(self, corners: str, *, normalised: bool) -> str:
        """Corners in pixels."""
        return self.graph.calculate("Mul", corners, [*self.size_wh, *self.size_wh]) if normalised else corners

    def scores_of_class(self, scores: str, numbers: str, *, first: int = 0) -> str:
        """A score for each counted class, from one score and the number of its class.

        Args:
            scores: Shape (N, n, 1).
            numbers: Shape (N, n, 1): numbers of classes.
            first: The number of the model's first class.
        """
        wanted = self.graph.constant(np.array([[[place + first for place in self.counted]]], np.float32))
        equal = self.graph.node("Equal", [numbers, wanted])
        return self.graph.node("Mul", [scores, self.graph.cast(equal, TensorProto.FLOAT)])

    def probabilities(self, scores: str, *, logits: bool) -> str:
        """Scores from 0 to 1."""
        return self.graph.node("Sigmoid", [scores]) if logits else scores


Decode = Callable[[Decoding], tuple[str, str]]
"""Adds nodes, and returns the names of `boxes` and `scores`."""


@dataclass(frozen=True)
class Recognised:
    """A model whose layout is known.

    Attributes:
        classes: How many classes its outputs have; None if they only have numbers of classes.
        reasons: What it was recognised by.
        decode: Adds the nodes.
        fixed_batch: Whether it can only take one image at a time.
    """

    classes: int | None
    reasons: tuple[str, ...]
    decode: Decode
    fixed_batch: bool = False


class Mismatch(Exception):  # noqa: N818 - it is no error: the next layout is tried
    """A model does not have a layout.

    Args:
        reason: What does not fit.
        fits: How many of the layout's conditions were met, to find the closest ones.
    """

    def __init__(self, reason: str, fits: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fits = fits


def is_normalised(boxes: NDArray[Any]) -> bool:
    """Whether coordinates are shares of the width and height."""
    return boxes.size > 0 and bool(np.abs(boxes).max() <= NORMALISED_BELOW)


def unit(normalised: bool) -> str:
    """The unit of coordinates, for reasons."""
    return "shares of the width and height" if normalised else "pixels"


def cells_of(size_wh: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Columns and rows of the grid of each stride."""
    return [(-(-size_wh[0] // stride), -(-size_wh[1] // stride)) for stride in strides]


STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (8, 16), (16, 32, 64))
"""Strides that detectors have, in the order in which they are tried. One alone would also fit a list of 300 objects."""


def strides_of(rows: int, size_wh: tuple[int, int], boxes_in_cell: int = 1) -> tuple[int, ...] | None:
    """The strides whose grids have together as many boxes as there are rows, or None."""
    for strides in STRIDES:
        if boxes_in_cell * sum(columns * lines for columns, lines in cells_of(size_wh, strides)) == rows:
            return strides
    return None


def grid_corners(size_wh: tuple[int, int], strides: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each cell, line by line, from the first stride on: its column and line, and its stride.

    Returns:
        float32 of shape (1, cells, 2), and float32 of shape (1, cells, 1).
    """
    places, sizes = [], []
    for stride, (columns, lines) in zip(strides, cells_of(size_wh, strides), strict=True):
        y, x = np.divmod(np.arange(columns * lines), columns)
        places.append(np.stack((x, y), axis=1))
        sizes.append(np.full((columns * lines, 1), stride))
    return np.concatenate(places)[np.newaxis].astype(np.float32), np.concatenate(sizes)[np.newaxis].astype(np.float32)
