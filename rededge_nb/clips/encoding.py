"""Writes images with times as an MP4 file that browsers play: H.264, 4:2:0, with the index at the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2

from rededge_nb.errors import NoDataError, SourceError
from rededge_nb.images import Image

ENCODERS = ("libopenh264", "libx264")
"""Encoders of FFmpeg that need no special hardware. The first one that PyAV has is taken: OpenH264 has the BSD licence,
x264 the GPL."""
LAST_FRAME_MS = 40
"""How long the last frame is shown if there is only one."""

_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "25", "bf": "0"}, "libopenh264": {"allow_skip_frames": "0"}}
_OPENH264_BITS_PER_PIXEL = 3
"""OpenH264 has no constant quality: bits per second for each pixel of the frame."""
_KEYFRAME_EVERY = 50
_BT709 = 1


@dataclass(frozen=True)
class Video:
    """What was written.

    Attributes:
        frames: Number of frames.
        start_ms: Time of the first one, milliseconds since the epoch.
        duration_ms: Length of the video.
        size_wh: Width and height in pixels.
    """

    frames: int
    start_ms: int
    duration_ms: int
    size_wh: tuple[int, int]


def write_mp4(path: Path, frames: Iterable[tuple[int, Image]], *, max_width: int | None = None) -> Video:
    """Write frames to an MP4 file; each is shown until the time of the next one.

    All frames get the size of the first one, which becomes even if it is odd. Frames of another shape get black bars.

    Args:
        path: The file; it is overwritten.
        frames: Time in milliseconds and image, in the order of their times. Frames that are not later than the one
            before them are left out.
        max_width: Wider frames are made smaller.

    Raises:
        NoDataError: there are no frames.
        SourceError: PyAV has no H.264 encoder.
        OSError: the file cannot be written.
    """
    import av  # here, because it takes a tenth of a second

    encoder = _encoder()
    start_ms = last_ms = step_ms = count = 0
    size_wh = (0, 0)
    waiting: Any = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = None
        for ts_ms, image in frames:
            if count and ts_ms <= last_ms:
                continue
            if not count:
                start_ms, size_wh = ts_ms, _size_for(image, max_width)
                stream = container.add_stream(encoder, rate=25, options=_OPTIONS[encoder])
                _configure(stream, size_wh, encoder)
            else:
                step_ms = ts_ms - last_ms
            count, last_ms = count + 1, ts_ms
            frame = av.VideoFrame.from_ndarray(_fitted(image, size_wh), format="bgr24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = ts_ms - start_ms, Fraction(1, 1000)
            for packet in stream.encode(frame):
                waiting = _mux(container, waiting, packet)
        if not count:
            raise NoDataError("there is no frame for the clip")
        for packet in stream.encode(None):
            waiting = _mux(container, waiting, packet)
        # the format has no other place that says how long the last frame is shown
        waiting.duration = step_ms or LAST_FRAME_MS
        container.mux_one(waiting)
    return Video(count, start_ms, last_ms - start_ms + (step_ms or LAST_FRAME_MS), size_wh)


def _encoder() -> str:
    from av.codec import codecs_available

    for name in ENCODERS:
        if name in codecs_available:
            return name
    raise SourceError(
        f"PyAV has no encoder for H.264 ({' or '.join(ENCODERS)}), so no clip can be written: install the version of "
        "`av` that constraints.txt names"
    )


def _configure(stream: Any, size_wh: tuple[int, int], encoder: str) -> None:
    stream.width, stream.height = size_wh
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, 1000)
    context.gop_size = _KEYFRAME_EVERY
    # an edge device needs its other cores for the cameras
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = _BT709
    if encoder == "libopenh264":
        context.bit_rate = _OPENH264_BITS_PER_PIXEL * size_wh[0] * size_wh[1]


def _mux(container: Any, waiting: Any, packet: Any) -> Any:
    """Write the packet before this one, which is known now how long it is shown; returns the one that waits."""
    if waiting is not None:
        waiting.duration = packet.pts - waiting.pts
        container.mux_one(waiting)
    return packet


def _size_for(image: Image, max_width: int | None) -> tuple[int, int]:
    """The size of the video: 4:2:0 needs even numbers."""
    height, width = image.shape[:2]
    if max_width is not None and width > max_width:
        width, height = max_width, round(height * max_width / width)
    return max(2, width + width % 2), max(2, height + height % 2)


def _fitted(image: Image, size_wh: tuple[int, int]) -> Image:
    """The image in that size: made larger or smaller as a whole, with black bars where its shape is another."""
    width, height = size_wh
    had_height, had_width = image.shape[:2]
    if width - had_width in (0, 1) and height - had_height in (0, 1):
        bottom, right, border = height - had_height, width - had_width, cv2.BORDER_REPLICATE
        return cast(Image, cv2.copyMakeBorder(image, 0, bottom, 0, right, border)) if bottom or right else image
    scale = min(width / had_width, height / had_height)
    inner_wh = (min(width, max(1, round(had_width * scale))), min(height, max(1, round(had_height * scale))))
    scaled = cv2.resize(image, inner_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner_wh[0]) // 2, (height - inner_wh[1]) // 2
    bottom, right = height - inner_wh[1] - top, width - inner_wh[0] - left
    return cast(Image, cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0)))
