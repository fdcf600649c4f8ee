"""People with ids, from the boxes of one frame after the other.

    tracker = Tracker.from_state(json.loads(saved)) if saved else Tracker()
    result = tracker.step(boxes, ts_ms, (width, height))  # boxes: (x1, y1, x2, y2, confidence)
    saved = json.dumps(tracker.to_state(), separators=(",", ":"))

In each frame detections and people are paired:

1. Detections of high confidence with everyone, by the overlap of slightly grown boxes (C-BIoU), weighted by the
   confidence; then those that are left with boxes that are grown further. Yang et al., WACV 2023,
   https://arxiv.org/abs/2211.14317.
2. Detections of low confidence with people who were detected in the frame before (ByteTrack's second pass). Zhang et
   al., ECCV 2022, https://arxiv.org/abs/2110.06864.
3. People who are lost, nearer to where they were last seen than where they are expected: someone who slows down, stops
   or turns behind a post. This extends the observation-centric recovery of OC-SORT. Cao et al., CVPR 2023,
   https://arxiv.org/abs/2203.14360.
4. What is left starts a new track, which becomes a person after some detections.

Where people are expected says a Kalman filter (`kalman`), which starts again after a gap (OC-SORT's re-update).

Every time is in seconds and comes from the frames, so the tracker does the same at 5 and at 30 frames a second, when
frames are missing, and when the rate changes. People who walk need 3.5 frames a second or more: between slower frames
they move further than their own width, and get new ids (`pace` notices that). Where frames are half a second or more
apart, everybody in one is a person at once: the people in each frame are right then, and the number of people seen for
the first time is far too high.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rededge_nb.analytics import tracker_state
from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.detections import Colours, Detection, checked_detections
from rededge_nb.analytics.pairing import pair
from rededge_nb.analytics.paths import PathPoint
from rededge_nb.analytics.rematch import count_returned, gone_from
from rededge_nb.analytics.track import Track
from rededge_nb.analytics.tracker_results import FinishedTrack, FrameResult, Person, Restart
from rededge_nb.analytics.tracker_settings import ONE_SIZE, TWO_SIZES, ColourSettings, TrackerSettings
from rededge_nb.analytics.tracker_state import State
from rededge_nb.errors import ConfigurationError, TrackerStateError

__all__ = [
    "ONE_SIZE",
    "TWO_SIZES",
    "Box",
    "ColourSettings",
    "FinishedTrack",
    "FrameResult",
    "PathPoint",
    "Person",
    "Restart",
    "Tracker",
    "TrackerSettings",
    "TrackerStateError",
]

FAR = 0.5
"""Somebody is elsewhere if they are further away than this share of their width."""
SAME_ASPECT = 0.02
"""Frames whose aspect ratios differ by no more than this share show the same, at another resolution."""


class Tracker:
    """Follows the people in the frames of one camera.

    Frames come in the order of their times. The tracker does not know whether it gets the same frame twice: whoever
    keeps the state keeps the id of the last frame with it, in one transaction, and skips a frame that is there already.

    Args:
        settings: `TWO_SIZES` or `ONE_SIZE`, depending on the model, or settings of your own.
        next_id: The first id that is given to a person. Where a state was lost, continue after the last id that is
            known, so that no id is used twice.
    """

    def __init__(self, settings: TrackerSettings = TWO_SIZES, *, next_id: int = 1) -> None:
        if next_id < 1:
            raise ConfigurationError(f"next_id is {next_id}: ids are whole numbers from 1")
        self.settings = settings
        self._noise = settings.noise()
        self._state = State(next_id)
        self._moved = False

    @classmethod
    def from_state(cls, state: Any, settings: TrackerSettings = TWO_SIZES) -> Tracker:
        """Continues with a saved state.

        Args:
            state: What `to_state` returned, directly or through JSON.
            settings: Need not be those that the state was made with.

        Raises:
            TrackerStateError: The state is damaged, or has a format that this version does not know.
        """
        tracker = cls(settings)
        tracker._state = tracker_state.from_json(state)
        return tracker

    def to_state(self) -> dict[str, Any]:
        """All that the tracker remembers, as data for JSON; a run that is saved and continued gives the same results.

        About 0.4 kB for each person; not more than 64 kB for sixty.
        """
        return tracker_state.to_json(self._state)

    @property
    def last_ms(self) -> int | None:
        """Time of the last frame in milliseconds; None before the first."""
        return self._state.last_ms

    @property
    def next_id(self) -> int:
        """The id that the next person gets."""
        return self._state.next_id

    def step(
        self,
        boxes: Iterable[Sequence[float]],
        ts_ms: int,
        frame_wh: tuple[int, int],
        colours: Sequence[Colours | None] | None = None,
    ) -> FrameResult:
        """Takes in the detections of one frame.

        Args:
            boxes: `(x1, y1, x2, y2, confidence)` for each detection, in pixels of the frame, after non-maximum
                suppression. Boxes without an area are left out. A NumPy array of shape (n, 5) works, too.
            ts_ms: Time of the frame in milliseconds.
            frame_wh: Width and height of the frame in pixels.
            colours: Colours of each detection, or None for those without, for the estimate of different people.

        Raises:
            ConfigurationError: A box, confidence, size or the number of colours is wrong. The state has not changed.
        """
        detections = checked_detections(boxes, colours)
        ts_ms, frame_wh = int(ts_ms), _checked_size(frame_wh)
        state, settings = self._state, self.settings
        restarted = self._why_restart(ts_ms, frame_wh)
        ended = restarted == "pause" and bool(state.tracks and detections)
        finished = self._end_tracks(ts_ms, everyone=restarted is not None)
        if restarted in ("order", "frame size"):
            state.gone.clear()
        apart = state.last_ms is not None and ts_ms - state.last_ms >= settings.apart_s * 1000
        at_once = state.last_ms is None or restarted is not None or apart
        self._change_size(frame_wh)
        previous_ms = ts_ms if state.last_ms is None else state.last_ms
        for track in state.tracks:
            track.predict((ts_ms - previous_ms) / 1000, previous_ms, self._noise)
        pairs, unmatched = pair(state.tracks, detections, frame_wh, settings)
        found = {id(track) for track, _ in pairs}
        new_ones = [each for each in unmatched if each.confidence >= settings.new_confidence]
        self._moved = ended or _has_moved(state.tracks, pairs, previous_ms, someone_new=bool(new_ones))
        back = sum(track.rejoined for track, _ in pairs)
        for track, detection in pairs:
            track.detect(detection, ts_ms, settings.restart_motion_s, self._noise)
            track.rejoined = False
        # what is no person yet must be detected in each frame
        state.tracks = [track for track in state.tracks if track.id or id(track) in found]
        state.tracks += [Track.started(detection, ts_ms, self._noise) for detection in new_ones]
        state.last_ms, state.frame_wh = ts_ms, frame_wh
        new = self._confirm(ts_ms, at_once)
        self._extend_paths(ts_ms)
        return FrameResult(
            self._people(ts_ms),
            tuple(track.id for track in new),
            self._different(new, ts_ms, back),
            finished,
            restarted,
        )

    @property
    def follows(self) -> bool:
        """Whether somebody is followed, or may become somebody who is."""
        return bool(self._state.tracks)

    @property
    def moved(self) -> bool:
        """Whether people in the last frame of `step` are elsewhere than in the frame before it.

        Somebody is further away than half of their width; or somebody is lost, and somebody is new; or everybody is
        new after a pause.
        """
        return self._moved

    @property
    def unsettled(self) -> bool:
        """Whether somebody in the last frame is no person yet, or was expected and not detected."""
        return any(not track.id or track.last_ms != self._state.last_ms for track in self._state.tracks)

    def still(self, ts_ms: int) -> FrameResult:
        """Takes in a frame in which nothing has moved since the last one: everybody is where they were.

        Args:
            ts_ms: Time of the frame in milliseconds. It is not before the last frame, and within the memory.

        Raises:
            ConfigurationError: There is no frame before, or it is too far away. The state has not changed.
        """
        self._check_continues(ts_ms)
        state = self._state
        finished = self._end_tracks(ts_ms, everyone=False)
        for track in state.tracks:
            if track.last_ms == state.last_ms:
                track.last_ms = ts_ms
        state.last_ms = ts_ms
        self._extend_paths(ts_ms)
        return FrameResult(self._people(ts_ms), (), None, finished, None)

    def expected(self, ts_ms: int) -> FrameResult:
        """Where people are expected in a frame that nobody has looked at. The state does not change.

        Args:
            ts_ms: As in `still`.

        Raises:
            ConfigurationError: As in `still`.
        """
        last_ms, state = self._check_continues(ts_ms), self._state
        seconds = (ts_ms - last_ms) / 1000
        people = tuple(
            Person(track.id, track.box_after(seconds), 0.0, track.first_ms)
            for track in self._shown(last_ms)
            if track.is_inside(state.frame_wh, seconds)
        )
        return FrameResult(people, (), None, (), None)

    def finish(self) -> tuple[FinishedTrack, ...]:
        """Ends every track, for a camera that is switched off. Ids go on from where they are."""
        finished = self._end_tracks(0, everyone=True)
        self._state = State(self._state.next_id)
        return finished

    def _why_restart(self, ts_ms: int, frame_wh: tuple[int, int]) -> Restart | None:
        state = self._state
        if state.last_ms is None:
            return None
        if ts_ms < state.last_ms:
            return "order"
        if ts_ms - state.last_ms > self.settings.memory_s * 1000:
            return "pause"
        (width, height), (old_width, old_height) = frame_wh, state.frame_wh
        if abs(width * old_height / (height * old_width) - 1) > SAME_ASPECT:
            return "frame size"
        return None

    def _end_tracks(self, ts_ms: int, *, everyone: bool) -> tuple[FinishedTrack, ...]:
        """Removes the tracks that were not detected for too long, and returns the people among them."""
        state, oldest_ms = self._state, ts_ms - self.settings.memory_s * 1000
        ended = state.tracks if everyone else [track for track in state.tracks if track.last_ms < oldest_ms]
        if ended:
            state.tracks = [] if everyone else [track for track in state.tracks if track.last_ms >= oldest_ms]
        people = [track for track in ended if track.id]
        if self.settings.colours:
            state.gone += [gone_from(track) for track in people if track.colours and not track.rejoined]
        return tuple(
            FinishedTrack(track.id, track.first_ms, track.last_ms, track.path.points(track.first_ms))
            for track in people
        )

    def _change_size(self, frame_wh: tuple[int, int]) -> None:
        """Brings what is remembered to another resolution of the same view."""
        state = self._state
        if state.frame_wh == frame_wh or state.last_ms is None:
            return
        x_scale, y_scale = frame_wh[0] / state.frame_wh[0], frame_wh[1] / state.frame_wh[1]
        for track in state.tracks:
            track.scale(x_scale, y_scale)
        state.gone = [
            each._replace(x=each.x * x_scale, y=each.y * y_scale, height=each.height * y_scale) for each in state.gone
        ]

    def _confirm(self, ts_ms: int, at_once: bool) -> list[Track]:
        """Gives ids to those who are people by now."""
        settings, new = self.settings, []
        for track in self._state.tracks:
            if track.id:
                continue
            lasts = track.detections >= 2 and ts_ms - track.first_ms >= settings.confirm_s * 1000
            if at_once or lasts or track.detections >= settings.confirm_detections:
                track.id = self._state.next_id
                self._state.next_id += 1
                new.append(track)
        return new

    def _extend_paths(self, ts_ms: int) -> None:
        width, height = self._state.frame_wh
        for track in self._state.tracks:
            if track.last_ms == ts_ms:
                x1, _, x2, y2 = track.box
                track.path.add(ts_ms - track.first_ms, (x1 + x2) / 2 / width, y2 / height)

    def _shown(self, ts_ms: int) -> list[Track]:
        """Everybody who is counted: detected now, or a moment ago and not gone over the rim of the frame."""
        oldest_ms, frame_wh = ts_ms - self.settings.coast_s * 1000, self._state.frame_wh
        return [
            track
            for track in self._state.tracks
            if track.id and track.last_ms >= oldest_ms and (track.last_ms == ts_ms or track.is_inside(frame_wh))
        ]

    def _people(self, ts_ms: int) -> tuple[Person, ...]:
        return tuple(Person(track.id, track.box, track.confidence, track.first_ms) for track in self._shown(ts_ms))

    def _check_continues(self, ts_ms: int) -> int:
        """The time of the last frame, if a frame at `ts_ms` can continue from it."""
        last_ms = self._state.last_ms
        if last_ms is None or self._why_restart(ts_ms, self._state.frame_wh) is not None:
            raise ConfigurationError(f"a frame at {ts_ms} ms does not continue from the last one, at {last_ms} ms")
        return last_ms

    def _different(self, new: Sequence[Track], ts_ms: int, back: int) -> int | None:
        settings, state = self.settings.colours, self._state
        if settings is None:
            return None
        state.gone = [each for each in state.gone if ts_ms - each.last_ms <= settings.memory_s * 1000]
        lost = [track for track in state.tracks if track.id and track.last_ms < ts_ms]
        return len(new) + back - count_returned(new, lost, state.gone, settings)


def _has_moved(
    tracks: Sequence[Track], pairs: Sequence[tuple[Track, Detection]], previous_ms: int, *, someone_new: bool
) -> bool:
    """Whether people are elsewhere than in the frame before; called before tracks take in their detections."""
    there_before = sum(track.last_ms == previous_ms for track in tracks)
    still_there = [(track, detection) for track, detection in pairs if track.last_ms == previous_ms]
    if someone_new and len(still_there) < there_before:
        return True
    return any(track.distance(detection) > FAR * track.width() for track, detection in still_there)


def _checked_size(frame_wh: tuple[int, int]) -> tuple[int, int]:
    width, height = frame_wh
    if not (width >= 2 and height >= 2):
        raise ConfigurationError(f"frame_wh is {frame_wh}: the frame's width and height in pixels are needed")
    return int(width), int(height)
