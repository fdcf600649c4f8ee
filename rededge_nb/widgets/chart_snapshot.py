"""The charts as an image, for where no browser shows them live: a saved notebook, a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import PIL.Image
import redis
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rededge_nb import schema
from rededge_nb.display import plots, scene_plots
from rededge_nb.display.axes import show_positions
from rededge_nb.edge.client import blocking_client
from rededge_nb.errors import NoDataError, SceneError
from rededge_nb.images import Image
from rededge_nb.live import chart_data
from rededge_nb.reading import series as time_series
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.present import present_of
from rededge_nb.reading.scenes import Crossings, ZoneVisits, read_crossings, read_zones
from rededge_nb.reading.series import Series

_INCHES = (9.0, 2.6)
_DPI = 90


def draw_charts(client: redis.Redis, camera: str, *, minutes: float, average: int) -> bytes:
    """The present charts of a camera as PNG.

    Args:
        client: Defines the server to connect to.
        camera: Camera id.
        minutes: Time that the charts show.
        average: Minutes of the averages of people.

    Raises:
        NoDataError: there are no samples.
        ServerUnavailableError: the server went away.
    """
    window_ms = round(minutes * schema.MINUTE_MS)
    with blocking_client(client) as own:
        counted = counted_now(own)
        newest = chart_data.newest_samples(own, camera, counted)
        newest_ms = max((at for at in newest.values() if at), default=0)
        if not newest_ms:
            raise NoDataError(f"camera {camera} has no samples yet: start a capture")
        present = present_of(own, camera)
        recording_ms, last_ms = present.recording.start_ms if present.recording else None, present.last_ms
        start_ms, _ = chart_data.window_of(present.clock_ms, present.newest_of(newest_ms), window_ms, recording_ms)

        def read(*names: str, bucket_ms: int | None = None, since_ms: int = start_ms) -> dict[str, Series]:
            there = [name for name in names if name in newest]
            if not there:
                return {}
            found = time_series.read_many(
                own,
                camera,
                [chart_data.series_of(name, counted) for name in there],
                start_ms=since_ms,
                end_ms=last_ms,
                aggregation="avg" if bucket_ms else None,
                bucket_ms=bucket_ms,
            )
            return {name: found[chart_data.series_of(name, counted)] for name in there}

        frames = read(*chart_data.FRAME_SERIES)
        if max((len(each) for each in frames.values()), default=0) > chart_data.MAX_SAMPLES:
            frames = read(*chart_data.FRAME_SERIES, bucket_ms=chart_data.bucket_for(window_ms))
        rates = read(schema.IN_FPS, schema.OUT_FPS)
        bucket_ms = average * schema.MINUTE_MS
        since_ms = max(0, start_ms - start_ms % bucket_ms)
        compactions = [schema.compaction_name(each, average) for each in ("avg", "min", "max")]
        averages = read(*compactions, since_ms=since_ms)
        crossings, zones = _of_scene(own, camera, start_ms, last_ms)
    rendered = partial(_rendered, recording_ms=recording_ms)
    images = []
    people = frames.get(schema.PEOPLE)
    if people is not None and len(people):
        average_of, low, high = map(averages.get, compactions)
        images.append(rendered(lambda ax: plots.plot_people(people, average=average_of, low=low, high=high, ax=ax)))
    if len(rates) == 2 and len(rates[schema.IN_FPS]):
        images.append(rendered(lambda ax: plots.plot_rates(rates[schema.IN_FPS], rates[schema.OUT_FPS], ax=ax)))
    if any(len(each) for name, each in frames.items() if name != schema.PEOPLE):
        images.append(rendered(lambda ax: plots.plot_steps(frames, ax=ax)))
    if crossings:
        images.append(rendered(lambda ax: scene_plots.plot_crossings(crossings, ax=ax)))
    if zones:
        images.append(rendered(lambda ax: scene_plots.plot_zones(zones, ax=ax)))
    if not images:
        raise NoDataError(f"camera {camera} has no samples in the last {minutes:g} min: start a capture")
    file = io.BytesIO()
    # 64 colours are enough for charts, and make the file a third as large: notebooks are saved with it
    PIL.Image.fromarray(np.vstack(images)).quantize(64).save(file, "png", optimize=True)
    return file.getvalue()


def _of_scene(
    client: redis.Redis, camera: str, start_ms: int, end_ms: int | None
) -> tuple[list[Crossings], list[ZoneVisits]]:
    """Lines and zones; none if the scene cannot be read, which the player reports."""
    try:
        span = {"start_ms": start_ms, "end_ms": end_ms}
        return read_crossings(client, camera, **span), read_zones(client, camera, **span)
    except SceneError:
        return [], []


def _rendered(plot: Callable[[Axes], object], *, recording_ms: int | None) -> Image:
    """A plot of times as an image; with positions, if the times are those of a recording."""
    # Not made with pyplot: Jupyter shows (and for that resizes) all of pyplot's figures at the end of every cell and
    # of every message from a widget, which may be in another thread.
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    plot(axes)
    if recording_ms is not None:
        show_positions(axes, recording_ms)
    file = io.BytesIO()
    # the whole figure, whatever rcParams say about margins: the images must have the same width
    figure.savefig(file, format="png", dpi=_DPI, facecolor="white", bbox_inches=figure.bbox_inches)
    return np.asarray(PIL.Image.open(file).convert("RGB"))
