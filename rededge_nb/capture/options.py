"""The options of a capture. Each is declared once, as a field of `Settings`: type, bounds, default and help text.

The command line, the YAML file of several cameras, `capture` and `start_capture`, and the table of options in
docs/how-to/own-camera.md are derived from these declarations. `CaptureOptions` repeats the names and types, because a
type checker cannot derive them; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from datetime import datetime
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, get_args

from rededge_nb import schema
from rededge_nb.capture.values import HIGHEST_CREDIBLE_FPS, is_number, parse_size, parse_time
from rededge_nb.errors import ConfigurationError

Pace = Literal["realtime", "asap"]
PACES: tuple[str, ...] = get_args(Pace)
Progress = Callable[[int, int | None], None]
"""Called with the number of frames that are done, and the number that there will be, if that is known."""
Kind = Literal["camera id", "number", "whole number", "switch", "size", "choice", "time", "text"]

_HIGHEST = 10**15
"""Greater than every sensible time and size."""
_EXPECTED = {
    "camera id": "a name or a number",
    "number": "a number",
    "whole number": "a whole number",
    "switch": "true or false",
    "size": "width and height, such as 1280x720",
    "time": "a time, such as 2026-01-05T10:00:00Z",
    "text": "a text",
}


class CaptureOptions(TypedDict, total=False):
    """The options of `capture` and `start_capture`; `Settings` has their bounds, defaults and meaning."""

    camera: object
    fps: float | None
    seconds: float | None
    frames: int | None
    loop: bool
    flip: bool
    size: str | tuple[int, int] | None
    mjpeg: bool
    wait: bool
    certificate: str | None
    pace: Pace
    start: str | datetime | None
    replace: bool
    yields: bool
    quality: int
    max_age: float
    max_bytes: int
    window: int
    stall_timeout: float
    away_timeout: float
    progress: Progress | None


@dataclass(frozen=True)
class Option:
    """The declaration of one option.

    Attributes:
        name: As in Python and YAML; on the command line with dashes.
        kind: What a value has to be.
        default: None where the option may be left out and has no value then.
        help: One sentence.
        highest: Greatest number allowed. Numbers have to be above 0.
        choices: The allowed values of a choice.
        opens_source: Whether the option is an argument of `open_source`.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    highest: int = _HIGHEST
    choices: tuple[str, ...] = ()
    opens_source: bool = False

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        return " or ".join(self.choices) if self.choices else _EXPECTED[self.kind]

    def check(self, value: Any) -> None:
        """Refuse a value of the wrong type or out of bounds.

        Raises:
            ConfigurationError: this is such a value.
        """
        if value is None and self.default is None:
            return
        match self.kind:
            case "camera id":
                schema.camera_id(value)
            case "size":
                parse_size(value)
            case "time":
                parse_time(self.name, value)
            case "text":
                if not isinstance(value, str):
                    raise ConfigurationError(f"{self.name} is {value!r}: take {self.expected}")
            case "switch":
                if not isinstance(value, bool):
                    raise ConfigurationError(f"{self.name} is {value!r}: take True or False")
            case "choice":
                if value not in self.choices:
                    choices = " or ".join(map(repr, self.choices))
                    raise ConfigurationError(f"{self.name} is {value!r}: take {choices}")
            case _:
                number_type = Integral if self.kind == "whole number" else Real
                if not (is_number(value, number_type) and 0 < value <= self.highest):
                    bound = f"{self.highest:.0e}" if self.highest == _HIGHEST else str(self.highest)
                    raise ConfigurationError(f"{self.name} is {value!r}: take a {self.kind} above 0, up to {bound}")


def _option(default: Any, kind: Kind, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"kind": kind, "help": text} | more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of one capture, checked."""

    camera: str = _option("0", "camera id", "Camera id, as in the key camera:<id>.")
    fps: float | None = _option(
        None,
        "number",
        "Frames per second; default: the source's own rate.",
        highest=int(HIGHEST_CREDIBLE_FPS),
        opens_source=True,
    )
    seconds: float | None = _option(None, "number", "Stop after so many seconds of the source.")
    frames: int | None = _option(None, "whole number", "Stop after so many frames.")
    loop: bool = _option(False, "switch", "Start again at the end of a file or folder.", opens_source=True)
    flip: bool = _option(False, "switch", "Swap left and right, as a mirror does.", opens_source=True)
    size: str | tuple[int, int] | None = _option(
        None, "size", "Shrink frames to fit in WIDTHxHEIGHT; a webcam is asked for this size.", opens_source=True
    )
    mjpeg: bool = _option(
        False, "switch", "Ask a webcam for JPEG images, and pass them on without decoding.", opens_source=True
    )
    wait: bool = _option(False, "switch", "Wait for a camera that does not answer yet.", opens_source=True)
    certificate: str | None = _option(
        None,
        "text",
        "SHA-256 fingerprint or PEM file of a certificate to trust, at an https: address.",
        opens_source=True,
    )
    pace: Pace = _option(  # noqa: RUF009  a string
        "realtime",
        "choice",
        "realtime plays the source at its own speed; asap is as fast as the gear, and no frame is dropped.",
        choices=PACES,
    )
    start: str | datetime | None = _option(  # noqa: RUF009  a time
        None,
        "time",
        "When the recording began, with asap; default: its creation time, or such that it ends now.",
    )
    replace: bool = _option(False, "switch", "End the capture that feeds the camera, and take its place.")
    yields: bool = _option(False, "switch", "Let any other capture of the camera take the place of this one.")
    quality: int = _option(90, "whole number", "JPEG quality, 1 to 100.", highest=100)
    max_age: float = _option(60.0, "number", "Seconds that a frame stays in the stream.")
    max_bytes: int = _option(
        64 * 1024 * 1024, "whole number", "Size of the stream above which its oldest frames leave it."
    )
    window: int = _option(4, "whole number", "Frames without an answer of the gear at one time, with asap.")
    stall_timeout: float = _option(60.0, "number", "Seconds to wait for an answer of the gear, with asap.")
    away_timeout: float = _option(300.0, "number", "Seconds to wait for a Redis server that does not answer.")

    def __post_init__(self) -> None:
        for option in OPTIONS:
            option.check(getattr(self, option.name))

    @property
    def start_ms(self) -> int | None:
        """`start` in milliseconds since the epoch."""
        return None if self.start is None else round(parse_time("start", self.start).timestamp() * 1000)

    @property
    def opening(self) -> dict[str, Any]:
        """The arguments of `open_source`."""
        return {option.name: getattr(self, option.name) for option in OPTIONS if option.opens_source}


def _declared(each: Field[Any]) -> Option:
    return Option(name=each.name, default=each.default, **each.metadata)


OPTIONS = tuple(map(_declared, fields(Settings)))
"""All options, in the order in which they are listed."""


def settings_of(options: CaptureOptions) -> Settings:
    """The options with the defaults of those that are not given.

    Raises:
        ConfigurationError: an option is unknown or out of bounds.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if name != "progress"}
    unknown = sorted(given.keys() - {option.name for option in OPTIONS})
    if unknown:
        raise ConfigurationError(
            f"a capture has no option {unknown[0]!r}: take {', '.join(each.name for each in OPTIONS)}"
        )
    if "camera" in given:
        given["camera"] = schema.camera_id(given["camera"])
    return Settings(**given)
