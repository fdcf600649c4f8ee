"""Scenes that are drawn: figures whose place in every frame is known to the pixel.

For tests and demonstrations without camera or file. A scene is a function of its words alone: the same words give the
same images everywhere, and any frame can be drawn without those before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.recorded import PendingFrame, Reader, RecordedSource
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.sources.walkers import Walker, read_walkers
from rededge_nb.capture.values import check_fps, parse_size
from rededge_nb.errors import ConfigurationError
from rededge_nb.images import Image
from rededge_nb.settings import MAX_PIXELS

PREFIX = "synthetic:"

_LANE_HEIGHT = 24
"""The least that a figure can be drawn in."""
_MARK = 8
"""Side of the squares that spell the frame's index: JPEG keeps its blocks of 8x8 pixels apart."""
_MARK_ROWS, _MARK_COLUMNS = 2, 12
_TOP = _MARK * _MARK_ROWS
_LEAST_WH = (128, 64)
_PHASES = 8
"""Postures in one step, of which there are two a second."""
_LEAST_HEIGHT = 12
"""In pixels; a person of a script who is smaller is drawn so."""
_AFTER_THE_LAST_S = 1.0
_ALMOST_A_FRAME = 0.01
"""Part of a frame by which a position may be rounded."""
# The background is darker than every figure, in each colour.
_DARK, _DIM, _BRIGHT = 30, 90, 150


@dataclass(frozen=True)
class DrawnScene:
    """Figures that walk to and fro, each in a lane of its own, so that none hides another; or those of a script.

    Attributes:
        people: How many.
        size_wh: Width and height of the images.
        fps: Frames per second; the figures' speed is in pixels per second.
        frames: How many images there are; None for no end.
        seed: Chooses speeds, colours, sizes and where they begin.
        walkers: People who walk along a script, in place of `people` figures. Without `frames`, the scene ends a second
            after the last of them has gone.
    """

    people: int = 5
    size_wh: tuple[int, int] = (640, 480)
    fps: float = 25.0
    frames: int | None = None
    seed: int = 0
    walkers: tuple[Walker, ...] = ()

    def __post_init__(self) -> None:
        width, height = self.size_wh
        if width < _LEAST_WH[0] or height < _LEAST_WH[1] or width * height > MAX_PIXELS:
            raise ConfigurationError(
                f"the size of a synthetic scene is {width}x{height}: take {_LEAST_WH[0]}x{_LEAST_WH[1]} or more, "
                f"up to {MAX_PIXELS // 1_000_000} million pixels"
            )
        most = (height - _TOP) // _LANE_HEIGHT
        if not 0 <= self.people <= most:
            raise ConfigurationError(
                f"{self.people} people do not fit into a synthetic scene of {width}x{height}: take 0 to {most}, "
                "or a greater height"
            )
        check_fps(self.fps)
        if self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed!r}: take 0 or more")
        if self.frames is not None and self.frames < 1:
            raise ConfigurationError(f"frames is {self.frames!r}: take 1 or more, or leave it out for no end")
        if self.walkers and self.frames is None:
            end = max(walker.end for walker in self.walkers) + _AFTER_THE_LAST_S
            object.__setattr__(self, "frames", math.ceil(end * self.fps))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The scene that a source such as `synthetic:people=5,size=640x480,fps=25,frames=100,seed=1` names.

        `script=walkers.yaml` takes the people from a file (`rededge_nb.capture.sources.walkers`).

        Raises:
            ConfigurationError: it has a word that is not known, or a value out of range.
        """
        values: dict[str, object] = {}
        if {"people", "script"} <= {word.partition("=")[0].strip() for word in text.removeprefix(PREFIX).split(",")}:
            raise ConfigurationError(f"{text!r} has both: take people or script")
        for word in filter(None, (word.strip() for word in text.removeprefix(PREFIX).split(","))):
            name, _, value = (part.strip() for part in word.partition("="))
            if name not in _WORDS:
                raise ConfigurationError(
                    f"{name!r} in {text!r} is not known: take {', '.join(_WORDS)}, as in {PREFIX}people=5,fps=10"
                )
            field, convert = _WORDS[name]
            try:
                values[field] = convert(value)
            except ConfigurationError:
                raise
            except ValueError:
                raise ConfigurationError(f"{name} is {value!r} in {text!r}: take a number") from None
        return cls(**values)  # type: ignore[arg-type]

    def boxes(self, index: int) -> NDArray[np.int64]:
        """Where the figures are in frame `index`, counted from 0: shape (people, 4), xyxy, in the order of lanes.

        The pixels of a figure reach from x1 and y1 to just before x2 and y2, and touch each side. The order is that
        of every frame, so that the row is the figure's identity. Boxes of scripted people are cut off at the edges of
        the frame; the row of one who cannot be seen is 0.
        """
        placed = [figure.place(index / self.fps) for figure in self._figures]
        boxes = np.array([box for box, _ in placed], np.int64).reshape(-1, 4)
        boxes = boxes.clip(0, [*self.size_wh, *self.size_wh])
        boxes[(boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])] = 0
        return boxes

    def image(self, index: int) -> Image:
        """Frame `index`, counted from 0."""
        image = self._background.copy()
        for figure in self._figures:
            (x1, y1, x2, y2), mask = figure.place(index / self.fps)
            left, top = max(0, -x1), max(0, -y1)
            part = image[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
            part[mask[top : top + part.shape[0], left : left + part.shape[1]]] = figure.color
        bits = (index >> np.arange(_MARK_ROWS * _MARK_COLUMNS)) & 1
        squares = bits.reshape(_MARK_ROWS, _MARK_COLUMNS).repeat(_MARK, 0).repeat(_MARK, 1)
        image[:_TOP, : squares.shape[1]] = squares[:, :, None] * 255
        return image

    def index_of(self, image: Image) -> int:
        """Which frame an image is, read from the squares in its corner; it may have been through JPEG or shrunk a bit.

        Frames repeat their squares after 2 ** 24.
        """
        height, width = image.shape[:2]
        scale_x, scale_y = width / self.size_wh[0], height / self.size_wh[1]
        rows = ((np.arange(_MARK_ROWS) + 0.5) * _MARK * scale_y).astype(int)
        columns = ((np.arange(_MARK_COLUMNS) + 0.5) * _MARK * scale_x).astype(int)
        bits = (image[np.ix_(rows, columns)].mean(axis=2) > 127).ravel()
        return int((bits.astype(np.int64) << np.arange(bits.size)).sum())

    @cached_property
    def _background(self) -> Image:
        width, height = self.size_wh
        random = np.random.default_rng(self.seed)
        coarse = random.integers(_DARK, _DIM, (9, 12, 3), dtype=np.uint8)
        image: Image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        return image

    @cached_property
    def _figures(self) -> Sequence[_Placed]:
        random = np.random.default_rng(self.seed)
        if self.walkers:
            colors = [random.integers(_BRIGHT, 256, 3, dtype=np.uint8) for _ in self.walkers]
            return [_Scripted(walker, color) for walker, color in zip(self.walkers, colors, strict=True)]
        width, height = self.size_wh
        lane = (height - _TOP) // max(1, self.people)
        return [_Figure.drawn(random, lane, _TOP + lane * (number + 1), width) for number in range(self.people)]


class _Placed(Protocol):
    """What is drawn."""

    @property
    def color(self) -> NDArray[np.uint8]:
        """Blue, green, red."""

    def place(self, seconds: float) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
        """The box, xyxy, and which of its pixels are drawn; an empty box if nothing is."""


@dataclass(frozen=True)
class _Scripted:
    """A person of a script, as it is drawn."""

    walker: Walker
    color: NDArray[np.uint8]

    def place(self, seconds: float) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
        """As `_Placed.place`."""
        feet = self.walker.feet(seconds)
        if feet is None or self.walker.is_hidden(seconds):
            return (0, 0, 0, 0), np.zeros((0, 0), np.bool_)
        mask = _walking(max(_LEAST_HEIGHT, round(self.walker.height_at(seconds))), int(seconds * 2 * _PHASES) % _PHASES)
        height, width = mask.shape
        x1, y2 = round(feet[0] - width / 2), round(feet[1])
        return (x1, y2 - height, x1 + width, y2), mask


@dataclass(frozen=True)
class _Figure:
    """One figure: what it looks like in each posture, and how it walks."""

    masks: list[NDArray[np.bool_]]
    color: NDArray[np.uint8]
    feet: int
    reach: tuple[float, float]
    start: float
    speed: float

    @classmethod
    def drawn(cls, random: np.random.Generator, lane: int, feet: int, width: int) -> Self:
        """A figure for a lane `lane` pixels high, whose lower edge is at `feet`."""
        tall = min(round(lane * random.uniform(0.75, 0.95)), width // 2)
        masks = [_posture(tall, math.sin(2 * math.pi * phase / _PHASES)) for phase in range(_PHASES)]
        half = max(mask.shape[1] for mask in masks) / 2 + 1
        reach = (half, width - half)
        return cls(
            masks=masks,
            color=random.integers(_BRIGHT, 256, 3, dtype=np.uint8),
            feet=feet,
            reach=reach,
            start=random.uniform(0, 2),
            speed=tall * random.uniform(0.4, 1.0) / (reach[1] - reach[0]),
        )

    def place(self, seconds: float) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
        """The box of the figure after so many seconds, and which of its pixels are the figure's."""
        way = (self.start + self.speed * seconds) % 2
        x = self.reach[0] + (self.reach[1] - self.reach[0]) * (way if way <= 1 else 2 - way)
        mask = self.masks[int(seconds * 2 * _PHASES) % _PHASES]
        height, width = mask.shape
        x1 = round(x - width / 2)
        return (x1, self.feet - height, x1 + width, self.feet), mask


@lru_cache(maxsize=1000)
def _walking(tall: int, phase: int) -> NDArray[np.bool_]:
    """A figure of this height in one of the postures of a step."""
    return _posture(tall, math.sin(2 * math.pi * phase / _PHASES))


def _posture(tall: int, swing: float) -> NDArray[np.bool_]:
    """A figure with head, body, arms and legs, cut to its outermost pixels."""
    canvas = np.zeros((tall, tall), np.uint8)
    middle, head, thick = tall // 2, max(2, tall // 9), max(2, tall // 10)
    hip, shoulder = round(tall * 0.55), round(tall * 0.28)
    cv2.circle(canvas, (middle, head), head, 1, -1)
    cv2.ellipse(
        canvas, (middle, (hip + shoulder) // 2 + 1), (max(2, tall // 7), (hip - shoulder) // 2 + 2), 0, 0, 360, 1, -1
    )
    for side in (-1, 1):
        step = round(side * swing * tall * 0.16)
        cv2.line(canvas, (middle, hip), (middle + step, tall - 1), 1, thick)
        cv2.line(canvas, (middle + side * tall // 9, shoulder), (middle - step // 2 + side * tall // 7, hip), 1, thick)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    return canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(bool)


_WORDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "people": ("people", int),
    "size": ("size_wh", parse_size),
    "fps": ("fps", float),
    "frames": ("frames", int),
    "seed": ("seed", int),
    "script": ("walkers", lambda value: read_walkers(Path(value))),
}


def open_scene(text: str, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """The source of a scene's images; it can be read as fast as they are drawn.

    Raises:
        ConfigurationError: the words are not those of a scene.
    """
    scene = DrawnScene.parse(text)
    source = RecordedSource(SceneReader(scene), describe=text, problems=Problems(), fps=fps, loop=loop, shape=shape)
    source.look_ahead()
    return source


class SceneReader(Reader):
    """The frames of a scene. It is drawn now, not recorded, so that it has no duration."""

    def __init__(self, scene: DrawnScene) -> None:
        self._scene = scene
        self._next = 0
        self.native_fps = scene.fps
        self.frame_count = scene.frames

    def next(self, not_before: float) -> PendingFrame | None:
        """As `Reader.next`."""
        self._next = max(self._next, math.ceil(not_before * self._scene.fps - _ALMOST_A_FRAME))
        if self._scene.frames is not None and self._next >= self._scene.frames:
            return None
        index = self._next
        self._next += 1
        return PendingFrame(index / self._scene.fps, lambda: self._scene.image(index))

    def rewind(self) -> None:
        """As `Reader.rewind`."""
        self._next = 0
