"""Decoding a video with PyAV, from a file, an address or a file-like object.

The frames come in the order in which they are shown, each with its position, deinterlaced where that is needed. The
conversion to an image, which is half of the work, happens only when an image is asked for.

JPEG images of an MJPEG video are passed on as they are, if they can be decoded by themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Protocol, cast

import av
import av.error
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.container.core import Flags as ContainerFlags
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rededge_nb.analytics.jpeg import JPEG_START, JpegWalk
from rededge_nb.capture.sources.deinterlacer import Deinterlacer
from rededge_nb.capture.sources.pixels import Converter, display_matrix
from rededge_nb.capture.sources.problems import BadImageError, Problems
from rededge_nb.capture.sources.timeline import LONGEST_GAP, LONGEST_GAP_ELSEWHERE, Timeline, TimestampGuess
from rededge_nb.capture.values import HIGHEST_CREDIBLE_FPS
from rededge_nb.errors import SourceError
from rededge_nb.images import ImageOrJpeg, check_size
from rededge_nb.settings import MAX_PIXELS

FALLBACK_FPS = 25.0
"""Rate of a video that does not tell its own."""

_MICROSECONDS = Fraction(1, 1_000_000)
_EARLIEST_RECORDING = datetime(1990, 1, 1, tzinfo=UTC)
"""An earlier creation time is that of a clock that was never set."""
_LARGE = 1280 * 720
"""Pixels of a frame from which on as many threads as there are processors decode it."""
_GREY_LEVELS = 2
"""Difference between the darkest and the brightest pixel of a frame that has no image."""
_BYTES_BEFORE_JPEG = 16
"""Bytes in which the image of a packet has to begin."""
_NOT_A_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


class SupportsRead(Protocol):
    """A file-like object; with `seek` and `tell` it is sought in, too."""

    def read(self, count: int, /) -> bytes:
        """Some bytes, `count` at most; none at the end."""


class NoVideoError(SourceError):
    """The container was opened, and has no video that can be decoded."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame, or the JPEG that it is made of.

    Attributes:
        position: Seconds from the start of the video.
    """

    position: float
    content: VideoFrame | bytes


class Decoder:
    """The video of an open container.

    Args:
        container: Closed by `close`.
        describe: What it is, for messages.
        problems: Notes frames that cannot be decoded, and timestamps that jump.
        live: The timestamps may start again at any point, whatever the format.

    Attributes:
        size_wh: Width and height as stored; frames may be turned, or change.
        stated_fps: Average rate, as far as it is known before frames are read.
        native_fps: The same, or else a usual one.
        frame_count: Number of frames; None where unknown.
        duration: Seconds, None where unknown.
        tells_duration: Whether the duration is that of the frames, and no estimate.
        created: When the recording began, if it tells.

    Raises:
        NoVideoError: there is no video, or nothing that decodes it.
        SourceError: its frames are too large.
    """

    def __init__(self, container: InputContainer, describe: str, problems: Problems, *, live: bool) -> None:
        self._container = container
        self._describe = describe
        self._problems = problems
        try:
            self._stream = _choose_stream(container, describe)
            context = self._stream.codec_context
            self.size_wh = (context.width, context.height)
            check_size(self.size_wh, describe)
        except SourceError:
            container.close()
            raise
        self.stated_fps = _rate(self._stream)
        self.native_fps = self.stated_fps or FALLBACK_FPS
        self.frame_count = self._stream.frames or None
        self.duration = _duration(container, self._stream)
        self.created = _created(container, self._stream)
        self._timestamps = TimestampGuess()
        starts_anew = live or bool(Flags(container.format.flags) & Flags.ts_discont)
        longest_gap = LONGEST_GAP if starts_anew else LONGEST_GAP_ELSEWHERE
        self.tells_duration = self.duration is not None and not starts_anew
        self._timeline = Timeline(1 / self.native_fps, longest_gap, self._note_jump)
        self._deinterlacer = Deinterlacer()
        self._converter = Converter(describe)
        self._not_before = 0.0
        for stream in container.streams:
            if stream is not self._stream:
                with contextlib.suppress(AttributeError, ValueError):
                    stream.discard = "all"  # type: ignore[assignment]
        # FFmpeg has to refuse a size that the header did not announce
        context.options = {"max_pixels": str(MAX_PIXELS)}
        # Threads within a frame. With a thread for each frame PyAV loses frames after one that is damaged.
        context.thread_type = ThreadType.SLICE
        context.thread_count = 1 if self.size_wh[0] * self.size_wh[1] < _LARGE else 0
        self._frames = self._decode()

    def next(self, not_before: float = 0.0) -> DecodedFrame | None:
        """The next frame, None at the end. Frames before a position may be left out, if no other frame needs them."""
        self._not_before = not_before
        return next(self._frames, None)

    def measure_duration(self) -> float | None:
        """Seconds from the first frame to the end of the last one, from the timestamps of all packets.

        Reads to the end, without decoding; nothing else can be read afterwards.
        """
        last = None
        for packet in self._packets():
            if packet.size:  # in the order of decoding, in which only `dts` never goes back
                last = self._position(packet.pts if packet.dts is None else None, packet.dts)
        return None if last is None else last + 1 / self.native_fps

    def image(self, frame: DecodedFrame) -> ImageOrJpeg:
        """The image of a frame.

        Raises:
            SourceError: its colours cannot be converted.
        """
        return frame.content if isinstance(frame.content, bytes) else self._converter.image(frame.content)

    def close(self) -> None:
        """Close the container. May be called twice."""
        self._frames = iter(())
        self._container.close()

    def _decode(self) -> Iterator[DecodedFrame]:
        passes_jpeg: bool | None = None if self._stream.codec_context.name == "mjpeg" else False
        for packet in self._packets():
            jpeg = self._jpeg(packet) if passes_jpeg is not False and packet.size else None
            if isinstance(jpeg, BadImageError):
                self._problems.skip(str(jpeg))
                continue
            if passes_jpeg and jpeg is not None:
                yield DecodedFrame(self._position(packet.pts, packet.dts), jpeg)
                continue
            for frame in self._decoded(packet):
                if passes_jpeg is None:
                    passes_jpeg = display_matrix(frame) is None
                yield from map(_dated, self._deinterlacer.push(frame))
        yield from map(_dated, self._deinterlacer.flush())

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the video, the last one empty. One that cannot be read does not end it; two in a row do."""
        failed = False
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    failed = False
                    yield packet
            except (av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
                self._problems.skip(f"a part of {self._describe} is damaged ({describe_error(error)})")
                if not failed:
                    failed = True
                    continue
                yield self._flush_packet()
            return

    def _flush_packet(self) -> Packet[VideoStream]:
        return Packet()  # type: ignore[return-value]  # an empty packet makes the decoder hand out what it holds

    def _decoded(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """The frames that a packet completes, dated by their positions."""
        context = self._stream.codec_context
        if packet.pts is not None and packet.time_base:
            expected = self._timeline.expected(float(packet.pts * packet.time_base))
            unwanted = expected is not None and expected < self._not_before - 1 / self.native_fps
            context.skip_frame = "NONREF" if unwanted else "DEFAULT"
        try:
            frames = context.decode(packet if packet.size else None)
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._problems.skip(f"a frame of {self._describe} cannot be decoded ({describe_error(error)})")
            return []
        for frame in frames:
            position = self._position(frame.pts, frame.dts)
            frame.pts, frame.time_base = round(position / _MICROSECONDS), _MICROSECONDS
        return [frame for frame in frames if not frame.is_corrupt or self._has_image(frame)]

    def _has_image(self, frame: VideoFrame) -> bool:
        """Whether a damaged frame has an image. FFmpeg fills in what is missing, with grey if it has nothing else."""
        if int(np.ptp(frame.to_ndarray(format="gray"))) <= _GREY_LEVELS:
            self._problems.skip(f"a frame of {self._describe} is damaged: nothing of it is left")
            return False
        self._problems.repaired(self._describe)
        return True

    def _position(self, pts: int | None, dts: int | None) -> float:
        stamp, unit = self._timestamps.best(pts, dts), self._stream.time_base
        return self._timeline.position(None if stamp is None or unit is None else float(stamp * unit))

    def _jpeg(self, packet: Packet[VideoStream]) -> bytes | BadImageError | None:
        """The JPEG of a packet; None if FFmpeg has to decode it, such as the two fields of an interlaced frame."""
        data = bytes(packet)
        data = data[max(0, data.find(JPEG_START, 0, _BYTES_BEFORE_JPEG)) :]
        walk = JpegWalk()
        try:
            end = walk.find_end(data) if data.startswith(JPEG_START) else None
        except ValueError as error:
            return BadImageError(f"a JPEG of {self._describe} is damaged: {error}")
        if end is None:
            return BadImageError(f"a JPEG of {self._describe} is damaged or incomplete ({len(data)} bytes)")
        if not walk.has_huffman_tables or walk.size_wh != self.size_wh or JPEG_START in data[end:]:
            return None
        return data[:end]

    def _note_jump(self, position: float, gap: float) -> None:
        way = "ahead" if gap > 0 else "back"
        self._problems.remark(
            f"the timestamps of {self._describe} jump {way} by {abs(gap):.0f} s after {position:.1f} s: the time goes "
            "on without this jump"
        )
        if self.duration is not None:
            self.duration -= gap


def open_container(source: str | SupportsRead, **options: Any) -> InputContainer:
    """Open a container with PyAV. Text in it that is in another encoding than it should be does no harm.

    Args:
        source: An address, an absolute path, or an object with `read`.
        options: Further arguments of `av.open`.
    """
    limits = {"max_pixels": str(MAX_PIXELS)}
    options["options"] = limits | options.get("options", {})
    container: InputContainer = av.open(source, "r", metadata_errors="replace", **options)
    # PyAV lets FFmpeg invent missing timestamps, which it does in the wrong order for AVI with B-frames
    container.flags &= ~int(cast(Any, ContainerFlags.gen_pts).value)
    return container


def announced_size_wh(path: str) -> tuple[int, int] | None:
    """Width and height that the header of a file states, if FFmpeg gave it up for its size; nothing is decoded."""
    with open_container(path, options={"max_pixels": str(2**31 - 1), "skip_frame": "all"}) as container:
        sizes = [(each.width, each.height) for each in container.streams.video if each.codec_context is not None]
    return max(sizes, default=None)


def describe_error(error: Exception) -> str:
    """The cause of an error of FFmpeg, without the address, which may hold a password."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _dated(frame: VideoFrame) -> DecodedFrame:
    return DecodedFrame(frame.time, frame)


def _choose_stream(container: InputContainer, describe: str) -> VideoStream:
    """The video: the best one that is no cover image.

    Raises:
        NoVideoError: there is none, or nothing that decodes it.
    """
    videos = [each for each in container.streams if each.type == "video" and not each.disposition & _NOT_A_VIDEO]
    best = container.streams.best("video")
    chosen = best if best in videos else next(iter(videos), None)
    if chosen is None:
        sound = any(each.type == "audio" for each in container.streams)
        cover = any(each.type == "video" for each in container.streams)
        if not sound and not cover:
            raise NoVideoError(f"{describe} has no video")
        has = " and ".join(["sound"] * sound + ["a cover image"] * cover)
        raise NoVideoError(f"{describe} has no video, only {has}")
    if chosen.codec_context is None:
        raise NoVideoError(
            f"{describe} is in a format that cannot be decoded here: convert it, for example with "
            "`ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4`"
        )
    return chosen  # type: ignore[return-value]


def _rate(stream: VideoStream) -> float | None:
    """Frames per second on average. Some formats state a multiple of it, or none."""
    average, guessed = float(stream.average_rate or 0), float(stream.guessed_rate or 0)
    if guessed and not 0 < average <= 1.2 * guessed:
        average = guessed
    return average if 0 < average <= HIGHEST_CREDIBLE_FPS else None


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _created(container: InputContainer, stream: VideoStream) -> datetime | None:
    for metadata in (container.metadata, stream.metadata):
        try:
            created = datetime.fromisoformat(metadata.get("creation_time", ""))
        except ValueError:
            continue
        created = created if created.tzinfo else created.replace(tzinfo=UTC)
        if _EARLIEST_RECORDING < created <= datetime.now(UTC):
            return created
    return None
