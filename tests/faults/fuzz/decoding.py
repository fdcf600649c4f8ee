"""Damaged videos in eight containers, as files and as streams: the frames are those that `ffmpeg` decodes, too.

That program (as Debian has it, for example) is another version than the one in PyAV, and repairs some damaged frames
differently, so that a few videos may differ. What must not be is a crash, a hang, memory without bounds, or a JPEG that
is not in the file.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from numpy.typing import NDArray

from rededge_nb.capture.sources import open_source
from rededge_nb.capture.sources.decoder import Decoder, open_container
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.errors import RedEdgeError, SourceError
from rededge_nb.images import Image, ImageOrJpeg
from tests.faults.fuzz.world import PATIENCE, Tally, World, mutated
from tests.video_files import INTERLACED, write_video

CONTAINERS: dict[str, dict[str, Any]] = {
    ".mp4": {"codec": "libx264"},
    ".mkv": {"codec": "libx264", "options": {"bf": "2"}},
    ".mov": {"codec": "mpeg4"},
    ".avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    ".ts": {"codec": "mpeg2video", "flags": INTERLACED, "fps": 25},
    ".mpg": {"codec": "mpeg2video", "fps": 25},
    ".flv": {"codec": "libx264", "options": {"bf": "0"}},
    ".webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}
SIZE_WH = (96, 64)
FRAMES = 12
MOST_FRAMES = 300
"""Frames that are looked at; a damaged header may announce many more."""
MOST_DIFFERENCE = 3.0
"""Mean difference, in levels of 0 to 255, from the most similar frame of `ffmpeg`, or of the original."""
MOST_UNLIKE = 0.05
"""Share of the videos that may have frames which `ffmpeg` repairs differently."""
MOST_MEMORY = 1_500_000_000
"""Bytes that the process which decodes may use."""


def decoding_kind(world: World, count: int, tally: Tally) -> None:
    """Decode damaged videos in a process of its own, and compare the frames."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        print("decoding: left out, because the program ffmpeg is not installed, to compare with", flush=True)
        return
    originals = list(made(world.folder).items())
    decoder = _Decoder()
    unlike: list[str] = []
    try:
        while tally.inputs < count:
            suffix, data = originals[tally.inputs % len(originals)]
            as_file = world.rng.random() < 0.5
            path = world.folder / f"decoding-{tally.inputs}{suffix}"
            path.write_bytes(mutated(world.rng, data))
            tally.inputs += 1
            problem, difference = _judge(decoder, ffmpeg, path, tally, as_file=as_file)
            if problem:
                kind = "file" if as_file else "stream"
                tally.mishap(f"{kind} {path.rename(path.with_name(f'mishap-{path.name}'))}: {problem}")
            elif difference:
                unlike.append(f"{path.rename(path.with_name(f'unlike-{path.name}'))}: {difference}")
            else:
                path.unlink()
    finally:
        decoder.close()
    if len(unlike) > max(3, MOST_UNLIKE * count):
        tally.mishap(f"{len(unlike)} videos have frames that ffmpeg does not decode: {' | '.join(unlike[:5])}")


def made(folder: Path) -> dict[str, bytes]:
    """A small video in each container, by suffix."""
    found = {}
    for suffix, options in CONTAINERS.items():
        path = folder / f"original{suffix}"
        write_video(path, images(), **options)
        found[suffix] = path.read_bytes()
    return found


def images() -> list[Image]:
    """Frames that differ much from each other, and that are compressed with little loss."""
    x, y = np.meshgrid(np.arange(SIZE_WH[0]), np.arange(SIZE_WH[1]))
    return [
        np.stack([(x * 2 + number * 40) % 256 // 2 + 40, y * 2 + number * 5, x + y + number * 8], 2).astype(np.uint8)
        for number in range(FRAMES)
    ]


def _judge(decoder: _Decoder, ffmpeg: str, path: Path, tally: Tally, *, as_file: bool) -> tuple[str, str]:
    """What is wrong with the result of a file, and how its frames differ from those of `ffmpeg`; empty if nothing."""
    answer = decoder.decode(path, as_file=as_file)
    if answer is None:
        return "decoding hung, or ended its process", ""
    outcome, text, found, memory = answer
    if outcome == "refused":
        tally.refused += 1
    if outcome == "mishap" or (outcome == "refused" and (not text.strip() or "Traceback" in text)):
        return text or "no reason is given", ""
    if memory > MOST_MEMORY:
        return f"{memory / 1e6:.0f} MB of memory were used", ""
    data = path.read_bytes()
    if any(isinstance(image, bytes) and image not in data for image in found):
        return "a JPEG is not in the file", ""
    return "", "; ".join(_unlike(found, ffmpeg, path)[:3])


def _unlike(found: list[ImageOrJpeg], ffmpeg: str, path: Path) -> list[str]:
    """The frames that are like none of the same size that `ffmpeg` decodes.

    It gives up some frames that are not damaged: they are like one of the original video.
    """
    wrong = []
    whole = {SIZE_WH: images()}
    decoded = {number: each for number, each in enumerate(found) if isinstance(each, np.ndarray)}
    for size_wh in {each.shape[1::-1] for each in decoded.values()}:
        theirs = np.array([*_decoded(ffmpeg, path, size_wh), *whole.get(size_wh, ())], np.int16)
        for number, image in decoded.items():
            if image.shape[1::-1] != size_wh:
                continue
            nearest = np.abs(theirs - image).mean((1, 2, 3)).min() if len(theirs) else float("inf")
            if nearest > MOST_DIFFERENCE:
                wrong.append(f"frame {number} differs by {nearest:.1f} levels from the {len(theirs)} of ffmpeg")
    return wrong


def _decoded(ffmpeg: str, path: Path, size_wh: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    width, height = size_wh
    filters = f"yadif=mode=send_frame:deint=interlaced,scale={width}:{height}"
    command = [ffmpeg, "-v", "quiet", "-threads", "1", "-i", str(path), "-map", "0:v:0", "-vf", filters]
    command += ["-vsync", "passthrough", "-frames:v", str(2 * MOST_FRAMES), "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)
    size = width * height * 3
    for at in range(0, len(done.stdout) - size + 1, size):
        yield np.frombuffer(done.stdout, np.uint8, size, at).reshape(height, width, 3)


class _Decoder:
    """A process that decodes; it is started again after one that died or hung."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._child: Any = None

    def decode(self, path: Path, *, as_file: bool) -> tuple[str, str, list[ImageOrJpeg], int] | None:
        """Outcome, reason, frames, and the memory of the process in bytes; None if it hung or died."""
        if self._child is None:
            main = sys.modules["__main__"]
            if not hasattr(main, "__spec__"):  # a worker of pytest-xdist has none, and multiprocessing looks at it
                main.__spec__ = None
            self._requests, self._answers = self._context.Queue(), self._context.Queue()
            self._child = self._context.Process(target=_serve, args=(self._requests, self._answers), daemon=True)
            self._child.start()
        self._requests.put((str(path), as_file))
        try:
            answer: tuple[str, str, list[ImageOrJpeg], int] = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            self._child.kill()
            self._child.join()
            self._child = None
            return None
        return answer

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._requests.put(None)
            self._child.join()
            self._child = None


def _serve(requests: Any, answers: Any) -> None:
    """Decode each file that is asked for, until None is."""
    # the codecs of OpenCV and FFmpeg write what they think of a video straight to the standard streams
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while (request := requests.get()) is not None:
        path, as_file = request
        found: list[ImageOrJpeg] = []
        try:
            found.extend(_frames_of_file(path) if as_file else _frames_of_stream(path))
        except RedEdgeError as error:
            outcome = "refused", str(error)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            outcome = "mishap", f"{type(error).__name__}: {error}"
        else:
            outcome = "taken", ""
        answers.put((*outcome, found, _most_memory()))


def _most_memory() -> int:
    """The most bytes of memory that this process has used; getrusage() would count those of its parent, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _frames_of_file(path: str) -> Iterator[ImageOrJpeg]:
    with open_source(path) as source:
        for _ in range(MOST_FRAMES):
            captured = source.read()
            if captured is None:
                return
            yield captured.image


def _frames_of_stream(path: str) -> Iterator[ImageOrJpeg]:
    """The frames as those of a network stream, in which nobody can seek."""
    stream = _Stream(Path(path).read_bytes())
    try:
        container = open_container(stream)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot be opened: {error}") from error
    decoder = Decoder(container, "the stream", Problems(), live=True)
    try:
        for _ in range(MOST_FRAMES):
            frame = decoder.next()
            if frame is None:
                return
            yield decoder.image(frame)
    finally:
        decoder.close()


class _Stream:
    """Bytes that can only be read in their order."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, count: int, /) -> bytes:
        return self._data.read(count)
