"""Video clips of what cameras saw: clip, clips."""

from __future__ import annotations

import re
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rededge_nb.cli.base import camera_option, connected, directory_option, echo, examples
from rededge_nb.edge.processes import on_signals
from rededge_nb.errors import NoDataError

if TYPE_CHECKING:
    import redis

    from rededge_nb.reading.events import Event


@click.command(
    epilog=examples(
        "rededge clip 1795494237431-0 --camera door -o door.mp4      an event of camera door",
        "rededge clip door/1795494237431-0 -o door.mp4               the same, by the id that receivers get",
        "rededge clip 2026-11-30T10:15:04 --before 10 --no-boxes     a time, in the time zone of this computer",
    ),
)
@click.argument("when")
@directory_option
@camera_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File [default: clip.mp4].")
@click.option("--before", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds before.")
@click.option("--after", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds after.")
@click.option("--boxes/--no-boxes", default=True, help="Draw boxes, tracks and trails; they are drawn by default.")
@click.option("--max-width", type=click.IntRange(2), help="Make wider frames smaller, to so many pixels.")
def clip(
    when: str,
    directory: Path | None,
    camera: str,
    output: Path | None,
    before: float,
    after: float,
    boxes: bool,
    max_width: int | None,
) -> None:
    """Save what a camera saw around WHEN as a video: an MP4 file that browsers play.

    WHEN is the id of an event, or a time. The frames must be in the camera's stream still, where they stay for a
    minute. Rules with `clip: true` save a clip of each alarm before that.
    """
    from rededge_nb.clips.clip import make_clip

    given, _, event_id = when.rpartition("/")
    camera = given or camera
    with connected(directory) as client:
        what = _event(client, camera, event_id) if re.fullmatch(r"\d+-\d+", event_id) else _time(when)
        made = make_clip(client, camera, what, before=before, after=after, boxes=boxes, max_width=max_width)
    echo(f"{made.save(output or Path('clip.mp4'))}: {made}")


def _event(client: redis.Redis, camera: str, event_id: str) -> Event:
    from rededge_nb.reading.events import read_events

    found = read_events(client, camera, start=event_id, end=event_id)
    if not found:
        raise NoDataError(f"camera {camera} has no event {event_id}: `--camera` names its camera")
    return found[0]


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither the id of an event, such as 1795494237431-0, nor a time, such as 2026-11-30T10:15:04",
            param_hint="WHEN",
        ) from None


@click.command(epilog=examples("rededge clips", "REDEDGE_CLIPS_SIZE=10gb REDEDGE_CLIPS_DAYS=90 rededge clips"))
@directory_option
def clips(directory: Path | None) -> None:
    """Save a clip of each alarm whose rule has `clip: true`, until Ctrl-C; the embedded server does this by itself.

    The clips are in REDEDGE_CLIPS_DIR, else in the folder `clips` of the state folder. Run this beside your own server
    (REDIS_URL).
    """
    from rededge_nb import settings
    from rededge_nb.clips import recorder
    from rededge_nb.clips.folder import clips_folder
    from rededge_nb.connection import resolve_url
    from rededge_nb.edge.server.state import StateFolder

    stop = threading.Event()
    on_signals(stop.set)
    url = resolve_url(directory=directory)
    state = StateFolder(directory or settings.state_dir())
    target = clips_folder(state.path)
    if state.path in target.parents:
        state.create()
    echo(f"clips are saved in {target}", err=True)
    recorder.run(url, target, stop, on_step=lambda _: None)
