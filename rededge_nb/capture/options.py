"""What a capture can be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, get_args

from rededge_nb import schema
from rededge_nb.capture.sources.base import check_fps, is_number
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import ConfigurationError

Pace = Literal["realtime", "asap"]
Progress = Callable[[int, int | None], None]
"""Called with how many frames are done and how many there will be, if that is known."""

DEFAULT_QUALITY = 90
DEFAULT_MAX_AGE = 60.0
"""Seconds that a frame is kept."""
DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""Size of a camera's stream."""
DEFAULT_WINDOW = 4
"""Frames that an `asap` capture has under way at once."""
DEFAULT_STALL_TIMEOUT = 60.0
"""Seconds without any answer after which an `asap` capture gives up."""
DEFAULT_AWAY_TIMEOUT = 300.0
"""Seconds without the server after which a capture gives up."""

_WHOLE = frozenset({"frames", "max_bytes", "window"})
_OPTIONAL = frozenset({"seconds", "frames"})
_MOST = 10**15
"""Above all times and sizes that there are."""

OPENING = frozenset({"fps", "loop", "flip", "size", "mjpeg", "wait"})
"""Options that are those of `open_source`."""


class CaptureOptions(TypedDict, total=False):
    """The options of `capture` that `start_capture` takes too."""

    camera: object
    fps: float | None
    seconds: float | None
    frames: int | None
    loop: bool
    flip: bool
    size: str | tuple[int, int] | None
    mjpeg: bool
    wait: bool
    pace: Pace
    quality: int
    max_age: float
    max_bytes: int
    window: int
    stall_timeout: float
    away_timeout: float
    progress: Progress | None


def check_options(options: CaptureOptions) -> None:
    """See whether a capture can be started with these options.

    Raises:
        ConfigurationError: one is out of range.
    """
    check_fps(options.get("fps"))
    Shape.of(options.get("size"), flip=False)
    settings_of(options)


def settings_of(options: CaptureOptions) -> Settings:
    """Those options that are not about opening the source."""
    chosen: dict[str, Any] = {
        name: value for name, value in options.items() if name not in OPENING and name != "progress"
    }
    return Settings(**{**chosen, "camera": schema.camera_id(options.get("camera", "0"))})


@dataclass(frozen=True)
class Settings:
    """The options of a capture whose source is open, checked."""

    camera: str
    seconds: float | None = None
    frames: int | None = None
    pace: Pace = "realtime"
    quality: int = DEFAULT_QUALITY
    max_age: float = DEFAULT_MAX_AGE
    max_bytes: int = DEFAULT_MAX_BYTES
    window: int = DEFAULT_WINDOW
    stall_timeout: float = DEFAULT_STALL_TIMEOUT
    away_timeout: float = DEFAULT_AWAY_TIMEOUT

    def __post_init__(self) -> None:
        if self.pace not in get_args(Pace):
            raise ConfigurationError(f"pace is {self.pace!r}: take {' or '.join(map(repr, get_args(Pace)))}")
        if not (is_number(self.quality, Integral) and 1 <= self.quality <= 100):
            raise ConfigurationError(f"quality is {self.quality!r}: take 1 to 100")
        for name in ("seconds", "frames", "max_age", "max_bytes", "window", "stall_timeout", "away_timeout"):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not (is_number(value, Integral if name in _WHOLE else Real) and 0 < value <= _MOST):
                kind = "whole number" if name in _WHOLE else "number"
                raise ConfigurationError(f"{name} is {value!r}: take a {kind} above 0, up to {_MOST:.0e}")
