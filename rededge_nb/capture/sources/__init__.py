"""Where frames come from: files, folders, webcams, addresses in the network, drawn scenes.

Each kind is a module with a function that opens it; `open_source` chooses by what it is given.
"""

from __future__ import annotations

import glob
import re
import threading
from pathlib import Path

from rededge_nb.addresses import shown_address
from rededge_nb.capture.sources import image_files, network, synthetic, video, webcam
from rededge_nb.capture.sources.address import is_address
from rededge_nb.capture.sources.base import Captured, Source
from rededge_nb.capture.sources.receiver import LiveSource
from rededge_nb.capture.sources.recorded import RecordedSource
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import check_fps
from rededge_nb.errors import ConfigurationError, SourceError

__all__ = ["Captured", "LiveSource", "RecordedSource", "Source", "open_source"]


def open_source(
    source: str | int | Path,
    *,
    fps: float | None = None,
    loop: bool = False,
    flip: bool = False,
    size: str | tuple[int, int] | None = None,
    mjpeg: bool = False,
    wait: bool = False,
    certificate: str | None = None,
    stop: threading.Event | None = None,
) -> Source:
    """Open a source of frames.

    It may be a video file; a webcam by its index or device (`0`, `/dev/video0`); an address (`rtsp://…`,
    `http://…/video.mjpg`); one image, a folder of images or a pattern (`shots/*.jpg`), in the order of the numbers in
    their names; or a scene that is drawn (`synthetic:people=5,size=640x480,fps=25,seed=1`).

    Images that are JPEG already are passed on as they are, without decoding, unless `flip` or `size` asks for it.
    Webcams and addresses connect again by themselves when they fall silent; `Source.problem` tells of it.

    Args:
        source: Path, pattern, address, scene, or index of a webcam as number or digits.
        fps: Rate wanted. Below a source's own rate frames are left out; above it a recording plays faster.
        loop: Start again at the end. Cameras have no end.
        flip: Swap left and right, as a mirror does.
        size: Width and height, as `(640, 480)` or `640x480`, that images are shrunk to fit in; a webcam is asked for
            it. Smaller images stay as they are.
        mjpeg: Ask a webcam (V4L2) for JPEG and pass that on without decoding, if it can.
        wait: A camera that does not answer is waited for by the first `read`, instead of being an error here.
        certificate: What to trust at an `https:` address besides the usual authorities: the SHA-256 fingerprint of the
            camera's certificate, or a PEM file.
        stop: Ends the opening soon after it is set, as if `wait` was given.

    Raises:
        SourceError: there is no such file or camera, or it holds no image. An address that does not answer is given up
            after five seconds, one that sends no frame after fifteen.
        ConfigurationError: `source` is none of these, or `fps`, `size`, `certificate` or the words of a scene are not
            usable.
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
        return network.open_address(
            text, fps=fps, loop=loop, shape=shape, wait=wait, certificate=certificate, stop=stop
        )
    path = Path(source).expanduser()
    if path.is_char_device():
        return webcam.open_webcam(str(path), fps=fps, shape=shape, mjpeg=mjpeg, wait=wait, stop=stop)
    if path.is_dir():
        return image_files.open_folder(path, fps=fps, loop=loop, shape=shape)
    if path.is_file():
        open_file = image_files.open_image_file if image_files.is_image_file(path) else video.open_video
        return open_file(path, fps=fps, loop=loop, shape=shape)
    if glob.has_magic(text):
        return image_files.open_pattern(path, fps=fps, loop=loop, shape=shape)
    if "@" in text:  # perhaps an address with a password, and a misspelled scheme
        raise SourceError(
            f"no such source: {shown_address(text)} is no file, and an address begins with its scheme, such as rtsp://"
        )
    raise SourceError(f"no such source: {path} is neither a file nor a folder (seen from {Path.cwd()})")
