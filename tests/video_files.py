"""Video files that tests need, made with PyAV: no encoder has to be installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from rededge_nb.capture.sources import open_source
from rededge_nb.images import Image
from tests.paths import WALKING

INTERLACED = 1 << 18 | 1 << 29
"""AV_CODEC_FLAG_INTERLACED_DCT and AV_CODEC_FLAG_INTERLACED_ME."""


def walking(count: int = 20, *, size_wh: tuple[int, int] | None = None) -> list[Image]:
    """The first frames of the sample video, in which people are seen."""
    with open_source(WALKING, size=size_wh) as source:
        return [source.read_image() for _ in range(count)]


def gray_levels(count: int, *, size_wh: tuple[int, int] = (64, 48), step: int = 10) -> list[Image]:
    """Frames of one brightness each, which is their number times `step`."""
    width, height = size_wh
    return [np.full((height, width, 3), number * step % 250, np.uint8) for number in range(count)]


def brightness(image: NDArray[Any]) -> float:
    return float(np.asarray(image).mean())


@contextlib.contextmanager
def _scheduling_kept() -> Iterator[None]:
    """Undo what SVT-AV1 does as root: it gives the thread that calls it real-time priority.

    All processes that this thread starts later would inherit it, and one that is busy would stop all others.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_video(
    target: Path | BinaryIO,
    images: Iterable[Image],
    *,
    codec: str = "libx264",
    fps: int | Fraction = 10,
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    times: list[float] | None = None,
    flags: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    change: Callable[[VideoFrame], object] = lambda _: None,
) -> None:
    """Encode images.

    Args:
        target: A path, or an open binary file.
        images: What to encode.
        codec: Name of an encoder.
        fps: Frames per second.
        pix_fmt: Pixel format.
        container: Name of a format; default: by the suffix of the path.
        times: Seconds at which the frames are shown; default: at a constant rate.
        flags: Flags of the encoder.
        options: Options of the encoder.
        container_options: Options of the format.
        metadata: What the container says about itself, such as `creation_time`.
        change: Called with each frame before it is encoded.
    """
    file = str(target) if isinstance(target, Path) else target
    with (
        _scheduling_kept(),
        av.open(file, "w", format=container, options=container_options or {}) as output,
    ):
        output.metadata.update(metadata or {})
        images = list(images)
        stream = output.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.flags |= flags
        clock = Fraction(1, 90_000) if times is not None else 1 / Fraction(fps)
        stream.codec_context.time_base = clock
        for number, image in enumerate(images):
            frame = VideoFrame.from_ndarray(image, format="bgr24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts = number if times is None else round(times[number] / clock)
            frame.time_base = clock
            change(frame)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
