"""Where people were in a time, drawn over a frame of the camera."""

from __future__ import annotations

import numpy as np
import redis

from rededge_nb.analytics.presence import seconds_in_cells
from rededge_nb.display.drawing import draw_notice
from rededge_nb.display.heatmap import draw_heatmap, grid_of
from rededge_nb.errors import NoDataError
from rededge_nb.images import Image
from rededge_nb.reading.frames import latest_frame
from rededge_nb.reading.too_few_frames import UNRELIABLE
from rededge_nb.reading.tracks import read_tracks

_WITHOUT_A_FRAME_WH = (960, 540)


def heatmap_image(client: redis.Redis, camera: object, start_ms: int, end_ms: int, image: Image | None = None) -> Image:
    """A heat map of the time that people spent in each place, over a frame.

    It says so at its lower edge if the model saw too few frames to follow people.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start_ms: What was before is left out.
        end_ms: What was after is left out.
        image: What it is drawn over, uint8 of shape (height, width, 3), BGR; default: the newest frame, or a grey area
            if the camera has none.

    Returns:
        uint8 of the shape of the image, BGR.

    Raises:
        NoDataError: nobody was in view.
    """
    tracks = read_tracks(client, camera, start_ms=start_ms, end_ms=end_ms)
    if not tracks:
        raise NoDataError(f"nobody was in view of camera {camera} in this time: ask for a longer one")
    if image is None:
        try:
            image = latest_frame(client, camera).image()
        except NoDataError:
            width, height = _WITHOUT_A_FRAME_WH
            image = np.full((height, width, 3), 128, np.uint8)
    paths = ((track.times_ms, track.path) for track in tracks)
    drawn = draw_heatmap(image, seconds_in_cells(paths, grid_of(image), start_ms=start_ms, end_ms=end_ms))
    return draw_notice(drawn, UNRELIABLE) if any(track.too_few_frames for track in tracks) else drawn
