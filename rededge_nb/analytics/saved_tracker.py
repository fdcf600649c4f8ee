"""What is kept of a camera from one frame to the next: one text with the tracker, the counts, and the last frame's id.

Whoever writes this text and all else that a frame says in one transaction can tell whether a frame was dealt with
before, and does nothing then. So a worker that takes over from one that died goes on exactly where that one ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rededge_nb.analytics.counted import PERSON
from rededge_nb.analytics.pace import Pace
from rededge_nb.analytics.tracker_settings import TrackerSettings
from rededge_nb.analytics.tracking import Tracker
from rededge_nb.errors import TrackerStateError


@dataclass(slots=True)
class SavedTracker:
    """A camera's tracker after a frame.

    Attributes:
        ref: Entry id of the last frame that was dealt with: processed, dropped or refused. Empty before the first.
        state: State of the tracker after the last frame that was processed, as `Tracker.to_state` returns it; None
            before the first.
        counting: State of counting at lines and in zones, as `count_scene` returns it; None without a scene.
        refused_ms: When the last frame that could not be processed was dealt with, by the clock; 0 if that is long ago.
        counted: The class that was counted, see `counted.Counted`.
        pace: How often the model has looked while people moved.
        problem: Why tracking begins again, if the text or the state was damaged.
    """

    ref: str = ""
    state: Any = None
    counting: Any = None
    refused_ms: int = 0
    counted: str = PERSON
    pace: Pace = field(default_factory=Pace)
    problem: str = ""

    @classmethod
    def from_text(cls, text: object) -> SavedTracker:
        """What `to_text` wrote; an empty one where there is no text, or where it is something else."""
        if not text:
            return cls()
        try:
            fields = json.loads(str(text))
            refused_ms, counted = int(fields.get("refused", 0)), str(fields.get("class", PERSON))
            pace = Pace.from_data(fields.get("pace"))
            saved = cls(fields["ref"], fields["state"], fields.get("counting"), refused_ms, counted, pace)
            saved.has("0-0")
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return cls(problem=f"this is not what was saved of a tracker, which begins again: {str(text)[:60]!r}")
        return saved

    def to_text(self) -> str:
        """The text: about half a kilobyte for each person."""
        fields = {"ref": self.ref, "state": self.state}
        fields |= {} if self.counting is None else {"counting": self.counting}
        fields |= {"refused": self.refused_ms} if self.refused_ms else {}
        fields |= {} if self.counted == PERSON else {"class": self.counted}
        pace = self.pace.to_data()
        fields |= {} if pace is None else {"pace": pace}
        return json.dumps(fields, separators=(",", ":"))

    def has(self, ref: str) -> bool:
        """Whether the frame with this entry id is the last one, or was added before it."""
        return bool(self.ref) and _order(ref) <= _order(self.ref)

    def tracker(self, settings: TrackerSettings, last_id: Callable[[], int]) -> Tracker:
        """The tracker, to go on with; a new one if its state is not known.

        Args:
            settings: Thresholds of the tracker.
            last_id: The last id that was given to a person. It is called only for a new tracker, which gives no id a
                second time.
        """
        if self.state is not None:
            try:
                return Tracker.from_state(self.state, settings)
            except TrackerStateError as error:
                self.problem = str(error)
        return Tracker(settings, next_id=last_id() + 1)


def _order(ref: str) -> tuple[int, int]:
    milliseconds, _, sequence = ref.partition("-")
    return int(milliseconds), int(sequence or 0)
