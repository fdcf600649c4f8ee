"""What goes wrong in a source without ending it: one bad image affects one image only."""

from __future__ import annotations

import logging

from rededge_nb.errors import SourceError

logger = logging.getLogger(__name__)

_EXAMPLES = 3
"""Reasons that are shown; the others are only counted."""


class BadImageError(SourceError):
    """One image cannot be read. The frames before and after it are not affected."""


class Problems:
    """What went wrong in a source that goes on all the same. Written by one thread, read by others.

    Attributes:
        skipped: Images that were left out because they cannot be read.
        damaged: Frames that the decoder has repaired: what was missing is filled in from the frames before.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.damaged = 0
        self._reasons: list[str] = []
        self._more_reasons = False
        self._remarks: list[str] = []

    def skip(self, reason: str) -> None:
        """Count an image that was left out."""
        if not self.skipped:
            logger.warning("an image is left out: %s", reason)
        self.skipped += 1
        if reason not in self._reasons:
            self._more_reasons = len(self._reasons) >= _EXAMPLES
            self._reasons = [*self._reasons, reason][:_EXAMPLES]

    def repaired(self, describe: str) -> None:
        """Count a frame of a source that is damaged, and was repaired."""
        if not self.damaged:
            logger.warning("a frame of %s is damaged: what is missing is filled in", describe)
        self.damaged += 1

    def remark(self, sentence: str) -> None:
        """Note something else, once."""
        if sentence not in self._remarks and len(self._remarks) < _EXAMPLES:
            logger.warning("%s", sentence)
            self._remarks = [*self._remarks, sentence]

    @property
    def reason(self) -> str:
        """Why the first image was left out; empty if none was."""
        return self._reasons[0] if self._reasons else ""

    def sentences(self) -> list[str]:
        """Everything in words; empty when all went well."""
        found = list(self._remarks)
        if self.damaged:
            frames = "1 frame is" if self.damaged == 1 else f"{self.damaged} frames are"
            found.insert(0, f"{frames} damaged: what is missing is filled in from the frames before")
        if self.skipped:
            images = "1 image was" if self.skipped == 1 else f"{self.skipped} images were"
            more = "; …" if self._more_reasons else ""
            found.insert(0, f"{images} left out: {'; '.join(self._reasons)}{more}")
        return found
