"""Video files, animated images among them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import av.error

from rededge_nb.capture.sources.decoder import Decoder, announced_size_wh, describe_error, open_container
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.recorded import PendingFrame, Reader, RecordedSource, content_id_of
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import IMAGE_SUFFIXES, check_size

_LOOKED_AT = 4096
"""Bytes at the start of a file in which its kind is looked for."""


def open_video(path: Path, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """A video file.

    Raises:
        SourceError: it is no video that can be decoded.
    """
    describe, problems = f"video {path}", Problems()
    source = RecordedSource(
        VideoReader(path, problems), describe=describe, problems=problems, fps=fps, loop=loop, shape=shape
    )
    try:
        source.look_ahead()
    except SourceError:
        source.close()
        raise
    return source


class VideoReader(Reader):
    """The frames of a video file."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._decoder = self._open()
        self.size_wh = self._decoder.size_wh
        self.native_fps = self._decoder.native_fps
        self.frame_count = self._decoder.frame_count
        self.created = self._decoder.created

    @property
    def duration(self) -> float | None:  # type: ignore[override]
        """Seconds, as the header says, without jumps of the timestamps."""
        return self._decoder.duration

    def next(self, not_before: float) -> PendingFrame | None:
        """As `Reader.next`."""
        frame = self._decoder.next(not_before)
        return None if frame is None else PendingFrame(frame.position, partial(self._decoder.image, frame))

    def measure_duration(self) -> float | None:
        """Seconds to the end of the last frame: what the header says, or else what the timestamps of all packets do."""
        if self._decoder.tells_duration:
            return self.duration
        measured = self._open()
        try:
            return measured.measure_duration()
        finally:
            measured.close()

    def content_id(self) -> str:
        """As `Reader.content_id`."""
        return content_id_of(self._path)

    def rewind(self) -> None:
        """Open the file again. Seeking is not exact in every format."""
        self._decoder.close()
        self._decoder = self._open()

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _open(self) -> Decoder:
        try:
            # absolute: FFmpeg takes what stands before a colon for a protocol
            container = open_container(str(self._path.absolute()))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(_why_not(self._path, error)) from error
        decoder = Decoder(container, f"video {self._path}", self._problems, live=False)
        if not decoder.size_wh[0]:
            announced = announced_size_wh(str(self._path.absolute()))
            if announced is not None:
                check_size(announced, f"the video {self._path}")
        return decoder


def _why_not(path: Path, error: Exception) -> str:
    """What to say of a file that FFmpeg cannot open."""
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError as unreadable:
        return f"cannot read {path}: {unreadable.strerror}"
    if not start:
        return f"{path} is empty"
    if start[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return (
            f"the video {path} is incomplete: it has no index (`moov`), which is written at the end of a recording. "
            "Was the recording interrupted, or is the copy not complete?"
        )
    if not start.strip(b"\0"):
        return f"{path} holds zeros only: the copy of it is not complete"
    return (
        f"{path} cannot be opened as a video ({describe_error(error)}): take a video file, an image "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}), a folder of images, or the number of a webcam"
    )
