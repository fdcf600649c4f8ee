"""How a model was trained to get its images: colours, values, and the way they were fitted into the input."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("rgb", "bgr")

Triple = tuple[float, float, float]
SCALES: dict[str, tuple[Triple, Triple]] = {
    "0-1": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "0-255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "-1-1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
}
"""By name: what is subtracted from values of 0 to 255, and what the result is divided by; red, green, blue."""

LETTERBOX, CORNER, STRETCH = RESIZES = ("letterbox", "corner", "stretch")
"""`letterbox`: keep the aspect ratio, and fill both sides; `corner`: the same, with the image in the upper left corner;
`stretch`: change the aspect ratio."""


@dataclass(frozen=True)
class Preparation:
    """How an image becomes the input of a model."""

    colour: str = "rgb"
    scale: str = "0-1"
    resize: str = LETTERBOX
    fill: int = 114
    """Value, 0 to 255, of the pixels beside the image."""

    @property
    def mean(self) -> Triple:
        """What is subtracted from each channel, in the order of `colour`."""
        return self._ordered(SCALES[self.scale][0])

    @property
    def deviation(self) -> Triple:
        """What each channel is divided by then, in the order of `colour`."""
        return self._ordered(SCALES[self.scale][1])

    def _ordered(self, values: Triple) -> Triple:
        return values if self.colour == "rgb" else (values[2], values[1], values[0])

    def __str__(self) -> str:
        fitted = {
            LETTERBOX: "fitted in with its aspect ratio (letterbox)",
            CORNER: "fitted in with its aspect ratio, in the upper left corner",
            STRETCH: "stretched to the size of the input",
        }[self.resize]
        return f"{self.colour.upper()}, values {self.scale}, {fitted}"
