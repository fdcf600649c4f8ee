"""Whether something moves in the frames of a camera, seen in small grey images (`decoding.decode_small`).

Each frame is compared with the frame that the model saw last, not with the frame before: changes of somebody who is
slow add up. A frame moves if enough cells (pixels of the small image) differ by more than `LEVELS` from that frame.
While nobody is followed, they must differ in two frames in a row: rain and noise are elsewhere in each frame. In frames
that are far apart, who walks is elsewhere in each frame, too, so there each movement counts.

What moves without a person is learned: where the model finds nobody, the cells that moved are remembered. Cells that
move most of the time, such as leaves in the wind, are left out, and the usual number of the others is the level above
which a frame moves. A person can be hidden in that, so the model runs from time to time in any case (`looking`).

If half of the cells differ, the whole view has changed (a light, another position of the camera): that counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 12
"""A cell has changed if it differs by more than this, of 255."""
CELLS: Final = 3
"""So many cells move if a person does; a person of 40 pixels in a frame of 768x576 has about ten."""
WHOLE_VIEW: Final = 0.5
"""Share of the cells that has changed when the whole view has."""
BUSY: Final = 0.3
"""Share of the frames in which a cell has moved without a person, from which on it is left out."""
LEARNING: Final = 0.15
"""Weight of the newest frame in what is learned."""

SmallImage = NDArray[np.uint8]


@dataclass(slots=True)
class Motion:
    """The frame that the model saw last, and what moves without people, of one camera.

    Attributes:
        seen: Small image of the frame that the model saw last, shape (height, width), blurred; None before the first.
        before: Cells that differed in the frame before, boolean, of the same shape.
        busy: For each cell the share of frames in which it moved without a person.
        usual: How many of the other cells move without a person.
    """

    seen: SmallImage | None = None
    before: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    busy: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    usual: float = 0.0
    _moved: NDArray[np.bool_] | None = None

    def moves(self, small: SmallImage, *, at_once: bool) -> bool:
        """Whether a frame shows a movement, compared with the one that the model saw last.

        Args:
            small: Small grey image of the frame, shape (height, width).
            at_once: Whether each movement counts: somebody is followed, or frames are far apart.
        """
        self._moved = None
        if self.seen is None or self.seen.shape != small.shape:
            return True
        differs = cv2.absdiff(_blurred(small), self.seen) > LEVELS
        moved = differs & self.before
        self.before, self._moved = differs, moved
        if differs.mean() >= WHOLE_VIEW:
            return True
        quiet = self.busy < BUSY
        if at_once:
            return int((differs & quiet).sum()) >= CELLS
        return int((moved & quiet).sum()) >= CELLS + 2 * self.usual

    def model_ran(self, small: SmallImage, *, found_somebody: bool) -> None:
        """Notes that the model saw a frame; called after `moves` of the same frame.

        Args:
            small: Small grey image of the frame.
            found_somebody: Whether people are in it. What moved in it was nobody otherwise.
        """
        if self.busy.shape != small.shape:
            self.busy, self.usual = np.zeros(small.shape, np.float32), 0.0
        elif self._moved is not None and not found_somebody:
            others = float((self._moved & (self.busy < BUSY)).sum())
            self.busy += LEARNING * (self._moved - self.busy)
            self.usual += LEARNING * (others - self.usual)
        if self.seen is None or self.seen.shape != small.shape:
            self.before = np.zeros(small.shape, bool)
        self.seen, self._moved = _blurred(small), None


def _blurred(small: SmallImage) -> SmallImage:
    return np.asarray(cv2.blur(small, (3, 3)), np.uint8)
