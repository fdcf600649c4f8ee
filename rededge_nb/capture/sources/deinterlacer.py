"""Interlaced video into whole images, with FFmpeg's filter `yadif`.

An interlaced frame holds two moments in alternate lines. What moves has combs, and colours that are converted as if the
frame was one image are those of both moments.
"""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
import av.filter
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

_FILTER = "yadif", "mode=send_frame:deint=interlaced"
"""One frame for each frame; those that are not interlaced pass unchanged."""


class Deinterlacer:
    """Passes frames on in their order; once one was interlaced, with a delay of one frame."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._ends: tuple[FilterContext, FilterContext] | None = None
        self._made_for: tuple[object, ...] = ()

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        """Take a frame; gives those that are ready."""
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.time_base)
        ready: list[VideoFrame] = []
        if kind != self._made_for:
            ready = self.flush()
        if self._ends is None:
            if not frame.interlaced_frame:
                return [*ready, frame]
            self._ends = self._build(frame)
            self._made_for = kind
        return [*ready, *self._through(self._ends, frame)]

    def flush(self) -> list[VideoFrame]:
        """The frames that wait for a following one: there is none, or it is of another size or format."""
        if self._ends is None:
            return []
        ready = self._through(self._ends, None)
        self._graph = self._ends = None
        return ready

    def _build(self, frame: VideoFrame) -> tuple[FilterContext, FilterContext]:
        """The entry and the exit of a graph for frames like this one."""
        graph = av.filter.Graph()
        graph.threads = 1
        entry = graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base or Fraction(1, 1000)),
            pixel_aspect="1/1",
            colorspace=str(frame.colorspace),
            range=str(frame.color_range),
        )
        sink = graph.add("buffersink")
        graph.link_nodes(entry, graph.add(*_FILTER), sink)
        graph.configure()
        self._graph = graph  # its parts do not keep it alive
        return entry, sink

    def _through(self, ends: tuple[FilterContext, FilterContext], frame: VideoFrame | None) -> list[VideoFrame]:
        entry, sink = ends
        entry.push(frame)
        ready: list[VideoFrame] = []
        while True:
            try:
                ready.append(sink.pull())  # type: ignore[arg-type]
            except (av.error.BlockingIOError, av.error.EOFError):
                return ready
