"""Comparing what was found with the truth: score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rededge_nb.cli.base import camera_option, connected, directory_option, echo, echo_json, examples, json_option
from rededge_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from rededge_nb.analytics.scored_frames import Flag0

Content = TypeVar("Content")


@click.command(
    epilog=examples(
        "rededge capture my.mp4 --camera test --pace asap",
        "rededge score labels.txt --camera test",
        "rededge score counts.csv --camera test          only counts: the columns frame and people",
        "rededge score labels.txt found.txt              a file instead of a camera",
        note="The truth is in MOT format (frame, id, left, top, width, height, flag; the first frame is 1) or CSV.",
    ),
)
@directory_option
@camera_option
@click.argument("truth", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("found", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Rate of the source: number frames by time.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames of the truth; default: up to its last box.")
@click.option("--only-labelled", is_flag=True, help="Score only the frames in which the truth has a box.")
@click.option(
    "--flag0",
    type=click.Choice(["ignore", "keep", "drop"]),
    default="ignore",
    show_default=True,
    help="What becomes of people with flag 0.",
)
@click.option("--confidence", type=click.FloatRange(0, 1), default=0.0, help="Boxes below it are not counted.")
@json_option
def score(
    directory: Path | None,
    camera: str,
    truth: Path,
    found: Path | None,
    fps: float | None,
    frames: int | None,
    only_labelled: bool,
    flag0: Flag0,
    confidence: float,
    as_json: bool,
) -> None:
    """Compare what a camera's gear wrote, or a file, with the truth: counts, boxes and ids.

    If the camera has lines or zones, crossings and stays are compared, too.
    """
    from rededge_nb.reading import scores

    expected, scene = _parsed(truth, scores.parse_truth), None
    if found is not None:
        actual = _parsed(found, scores.parse_found)
    else:
        with connected(directory) as client:
            actual = scores.read_numbered(client, camera, fps=fps)
            scene = scores.read_scored_scene(client, camera, fps=fps)
    result = scores.score(
        expected,
        actual,
        frames=frames,
        only_labelled=only_labelled,
        flag0=flag0,
        confidence=confidence,
        scene=scene,
    )
    if as_json:
        echo_json(result.as_dict())
    else:
        rows = result.as_rows()
        width = max(len(name) for name, _ in rows)
        echo("\n".join(f"{name:<{width}}  {value}" for name, value in rows))


def _parsed(file: Path, parse: Callable[[str], Content]) -> Content:
    try:
        return parse(file.read_text())
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not text: MOT format or CSV is needed") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
