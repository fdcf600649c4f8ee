"""Which webcams there are, asked of V4L2 without opening a picture stream: no light goes on, nobody is disturbed."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

QUERY_CAPABILITIES = 0x80685600
"""VIDIOC_QUERYCAP, which fills a struct v4l2_capability."""
CAPABILITIES = struct.Struct("=16s32s32sIII12x")
"""Driver, card, bus, version, capabilities of the whole device, those of this node."""
VIDEO_CAPTURE = 0x00000001
DEVICE_CAPABILITIES = 0x80000000


@dataclass(frozen=True)
class Webcam:
    """A device that delivers pictures, or one that does not let itself be asked.

    Attributes:
        index: What `rededge capture` takes.
        name: As the driver calls it; empty where that is not known.
        problem: Why not.
    """

    index: int
    name: str
    problem: str = ""


def webcams(devices: Path = Path("/dev")) -> list[Webcam]:
    """The webcams of this machine, by index; none where there is no V4L2."""
    numbered = {int(path.name[5:]): path for path in devices.glob("video*") if path.name[5:].isdigit()}
    asked = (_asked(index, path) for index, path in sorted(numbered.items()))
    return [webcam for webcam in asked if webcam is not None]


def _asked(index: int, path: Path) -> Webcam | None:
    """What the driver says; None if this node is not for pictures, as cameras have one for metadata too."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return Webcam(index, "", f"{path}: {error.strerror}")
    try:
        answer = fcntl.ioctl(device, QUERY_CAPABILITIES, bytes(CAPABILITIES.size))
    except OSError as error:
        return Webcam(index, "", f"{path}: {error.strerror}")
    finally:
        os.close(device)
    _, card, _, _, whole, node = CAPABILITIES.unpack(answer)
    capabilities = node if whole & DEVICE_CAPABILITIES else whole
    return Webcam(index, card.split(b"\0")[0].decode(errors="replace")) if capabilities & VIDEO_CAPTURE else None
