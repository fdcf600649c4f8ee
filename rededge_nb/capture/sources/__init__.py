"""Where frames come from: files, folders, webcams, addresses in the network, drawn scenes.

Each kind is a module with a `Reader` and a function that opens it; `open_source` chooses by what it is given.
"""

from __future__ import annotations

import glob
import re
import threading
from pathlib import Path

from rededge_nb.capture.sources import network, pictures, synthetic, video, webcam
from rededge_nb.capture.sources.address import is_address
from rededge_nb.capture.sources.base import Captured, Reader, Source
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import check_fps
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.images import IMAGE_SUFFIXES

__all__ = ["Captured", "Reader", "Source", "open_source"]


def open_source(
    source: str | int | Path,
    *,
    fps: float | None = None,
    loop: bool = False,
    flip: bool = False,
    size: str | tuple[int, int] | None = None,
    mjpeg: bool = False,
    wait: bool = False,
    stop: threading.Event | None = None,
) -> Source:
    """Open a source of frames.

    It may be a video file; a webcam by its index or device (`0`, `/dev/video0`); an address (`rtsp://…`,
    `http://…/video.mjpg`); one picture, a folder of pictures or a pattern (`shots/*.jpg`), in the order of the
    numbers in their names; or a scene that is drawn (`synthetic:people=5,size=640x480,fps=25,seed=1`).

    Pictures that are JPEG already are handed on as they are, without decoding, unless `flip` or `size` asks for it.
    Webcams and addresses connect again by themselves when they fall silent; `Source.problem` tells of it.

    Args:
        source: Path, pattern, address, scene, or index of a webcam as number or digits.
        fps: Rate wanted. Below a video's own rate frames are left out; above it the video plays faster.
        loop: Start again at the end. Cameras have no end.
        flip: Swap left and right, as a mirror does.
        size: Width and height, as `(640, 480)` or `640x480`, that pictures are shrunk to fit in; a webcam is
            asked for it. Smaller pictures stay as they are.
        mjpeg: Ask a webcam (V4L2) for JPEG and hand that on without decoding, if it can.
        wait: A camera that does not answer is waited for by the first `read`, instead of being an error here.
        stop: Ends the opening soon after it is set, as if `wait` was given.

    Raises:
        SourceError: there is no such file or camera, or it holds no picture. An address that does not answer is
            given up after five seconds, one that sends no picture after fifteen.
        ConfigurationError: `source` is none of these, or `fps`, `size` or the words of a scene are not usable.
    """
    check_fps(fps)
    shape = Shape.of(size, flip=flip)
    if isinstance(source, bool) or not isinstance(source, str | int | Path):
        raise ConfigurationError(f"the source is {source!r}: take a path, an address or the number of a webcam")
    text = str(source)
    if isinstance(source, int) or re.fullmatch(r"\d+", text):
        return webcam.open_webcam(int(text), fps=fps, shape=shape, mjpeg=mjpeg, wait=wait, stop=stop)
    if isinstance(source, str) and text.startswith(synthetic.PREFIX):
        return synthetic.open_scene(text, fps=fps, loop=loop, shape=shape)
    if isinstance(source, str) and is_address(text):
        return network.open_address(text, fps=fps, loop=loop, shape=shape, wait=wait, stop=stop)
    path = Path(source).expanduser()
    if path.is_char_device():
        return webcam.open_webcam(str(path), fps=fps, shape=shape, mjpeg=mjpeg, wait=wait, stop=stop)
    if path.is_dir():
        return pictures.open_folder(path, fps=fps, loop=loop, shape=shape)
    if path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return pictures.open_pictures([path], f"picture {path}", fps=fps, loop=loop, shape=shape)
        return video.open_video(path, fps=fps, loop=loop, shape=shape)
    if glob.has_magic(text):
        return pictures.open_pattern(path, fps=fps, loop=loop, shape=shape)
    raise SourceError(f"no such source: {path} is neither a file nor a folder (seen from {Path.cwd()})")
