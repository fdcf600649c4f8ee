"""Files: cameras and model cards in YAML, and videos and pictures, which are decoded in a process of their own."""

from __future__ import annotations

import multiprocessing
import os
import queue
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rededge_nb import assets
from rededge_nb.capture.camera_file import read_cameras
from rededge_nb.capture.sources import open_source
from rededge_nb.control.models import load_card
from rededge_nb.errors import ConfigurationError, ModelCardError, RedEdgeError
from tests.faults import bombs
from tests.faults.fuzz.world import PATIENCE, Tally, World, mutated

CAMERAS = b"""cameras:
  - id: door
    source: rtsp://viewer:${DOOR_PASSWORD}@192.168.1.20/stream1
    size: 1280x720
  - {id: 2, source: 0, fps: 5, flip: true, mjpeg: yes, pace: asap, quality: 80, max_age: 10.5}
  - id: drawn
    source: "synthetic:people=3,fps=25,size=640x480"
    loop: &anchor true
    window: 4
"""
PIECES = (
    *(
        b"*anchor",
        b"&x [",
        b"]",
        b"{",
        b"}",
        b"- ",
        b": ",
        b"!!python/object/apply:os.system [id]",
        b"!!binary x",
        b"|\n",
    ),
    *(b">\n", b"%YAML 9", b"---\n", b"...\n", b"\t", b"1e999", b"0x" + b"f" * 5000, b"9" * 6000, b"2001-99-99", b"~"),
    *(
        b"\xff\xfe",
        b"\0",
        b"\xef\xbb\xbf",
        b"'",
        b'"',
        b"${",
        b"${HOME}",
        b"<<: *anchor",
        b"[" * 3000,
        b"? ",
        b"1:99:99",
    ),
    *(b"!!float nan", b"-.inf", b"synthetic:people=999999999", b"rtsp://[::1", b"id", b"source", b"\n  ", b"!!set {a}"),
)
BATCH = 25


def yaml_kind(world: World, count: int, tally: Tally) -> None:
    """Cameras files and model cards with changes: read, or refused with file and reason."""
    card = (assets.folder("models") / "nanodet-g-416.yaml").read_bytes()
    readers: tuple[tuple[bytes, Callable[[Path], object], type[Exception]], ...] = (
        (CAMERAS, read_cameras, ConfigurationError),
        (card, load_card, ModelCardError),
    )
    path = world.folder / "fuzz.yaml"
    for _ in range(count):
        text, read, expected = world.rng.choice(readers)
        path.write_bytes(spoiled(world.rng, text))
        try:
            read(path)
            tally.taken()
        except expected as error:
            tally.refuse(str(error).replace("\n", " ") if expected is ModelCardError else error, path.read_bytes())
            if path.name not in str(error):
                tally.mishap(f"the error does not name the file: {error}")
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.inputs += 1
            tally.mishap(f"{path.read_bytes()!r:.300}: {type(error).__name__}: {error!s:.200}")


def spoiled(rng: random.Random, text: bytes) -> bytes:
    """A text with pieces put in, lines moved, or bytes changed."""
    if rng.random() < 0.3:
        return mutated(rng, text)
    lines = text.split(b"\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        cut = rng.randint(0, len(lines[at]))
        lines[at] = lines[at][:cut] + rng.choice(PIECES) + lines[at][cut + rng.choice((0, 0, 5)) :]
        if rng.random() < 0.3:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"\n".join(lines)


def video_kind(world: World, count: int, tally: Tally) -> None:
    """Videos and pictures with changes; the process that decodes them must not die or hang."""
    originals = made(world.folder)
    context = multiprocessing.get_context("spawn")
    main = sys.modules["__main__"]
    if not hasattr(main, "__spec__"):  # that of a worker of pytest-xdist has none, and multiprocessing looks at it
        main.__spec__ = None
    files: list[Path] = []
    asked, told = context.Queue(), context.Queue()
    child: Any = None
    while tally.inputs < count:
        name, data = world.rng.choice(list(originals.items()))
        path = world.folder / f"fuzz-{len(files)}{name}"
        path.write_bytes(mutated(world.rng, data))
        if child is None:
            child = context.Process(target=decode_files, args=(asked, told), daemon=True)
            child.start()
        asked.put(str(path))
        tally.inputs += 1
        try:
            outcome, text = told.get(timeout=PATIENCE)
        except queue.Empty:
            child.kill()
            child.join()
            kept = path.rename(path.with_name(f"mishap-{tally.inputs}{name}"))
            tally.mishap(f"decoding {kept} hung or ended its process (exit code {child.exitcode})")
            child, asked, told = None, context.Queue(), context.Queue()
            continue
        if outcome == "refused":
            tally.refused += 1
            if not text.strip() or "Traceback" in text:
                tally.mishap(f"{name}: {text!r:.300}")
        elif outcome == "mishap":
            tally.mishap(f"{name}: {text:.400}")
    asked.put(None)
    if child is not None:
        child.join()


def decode_files(asked: Any, told: Any) -> None:
    """Open each file that is asked for as a source, take some pictures from it, and tell how that went."""
    # OpenCV's codecs write what they think of a picture straight to the standard streams
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while (path := asked.get()) is not None:
        try:
            with open_source(path) as source:
                repr(source)
                for _ in range(12):
                    if source.read() is None:
                        break
        except RedEdgeError as error:
            told.put(("refused", str(error)))
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            told.put(("mishap", f"{type(error).__name__}: {error}"))
        else:
            told.put(("taken", ""))


def made(folder: Path) -> dict[str, bytes]:
    """Small files of each kind, by suffix."""
    found: dict[str, bytes] = {f".{name.split()[0]}": bomb for name, bomb in bombs.ALL.items() if name != "tiff"}
    frames = [np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8) for n in range(8)]
    for suffix, code in ((".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v")):
        path = folder / f"whole{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        for frame in frames:
            writer.write(frame)
        writer.release()
        found[suffix] = path.read_bytes()
    for suffix in (".jpg", ".png", ".bmp", ".webp"):
        found[suffix] = cv2.imencode(suffix, frames[0])[1].tobytes()
    return found
