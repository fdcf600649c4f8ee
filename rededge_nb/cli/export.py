"""Writing what was counted to a file: export."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rededge_nb.cli.base import camera_option, connected, directory_option, echo, examples


@click.command(
    epilog=examples(
        "rededge export --camera door --from 2026-03-01 --to 2026-04-01 --every 1d -o march.csv",
        "rededge export --what samples --series people --from 2026-03-01 -o people.parquet",
        "rededge export --what tracks --time-zone Europe/Berlin -o paths.jsonl",
        "rededge export --every 1h -o - --format csv | head",
    ),
)
@directory_option
@camera_option
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help="Beginning, such as 2026-03-01 or 2026-03-01T14:30; default: a day before --to, or the "
    "first sample of the last day.",
)
@click.option("--to", "end", metavar="TIME", help="End, which is not included; default: the newest sample.")
@click.option(
    "--what",
    type=click.Choice(["counts", "samples", "tracks"]),
    default="counts",
    show_default=True,
    help="Figures of each period, samples of series, or points of paths.",
)
@click.option("--every", default="15min", show_default=True, help="Length of a period: 10s, 15min, 1h, 1d or 1w.")
@click.option("--series", "names", multiple=True, help="Only this series, such as people; may be repeated.")
@click.option("--time-zone", metavar="NAME", help="Such as Europe/Berlin; default: that of this computer.")
@click.option("-o", "--output", required=True, metavar="FILE", help="File.csv, .jsonl or .parquet; `-` is the output.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", help="Format with `-o -`.")
def export(
    directory: Path | None,
    camera: str,
    start: str | None,
    end: str | None,
    what: str,
    every: str,
    names: tuple[str, ...],
    time_zone: str | None,
    output: str,
    form: str,
) -> None:
    """Write what a camera counted to a file: Parquet, CSV or JSON Lines.

    Times in the file state their time zone. The memory that this takes does not grow with the time that is exported.
    """
    from tqdm import tqdm

    from rededge_nb.connection import shard_of
    from rededge_nb.history import export as files
    from rededge_nb.history import export_rows
    from rededge_nb.history.by_period import time_span
    from rededge_nb.history.periods import parse_period
    from rededge_nb.reading.counted import counted_now
    from rededge_nb.reading.too_few_frames import too_few_frames
    from rededge_nb.time_zones import find_zone

    zone, period = find_zone(time_zone), parse_period(every)
    if output != "-":
        files.format_of(Path(output))
    with connected(directory) as client, shard_of(client, camera) as there:
        start_ms, end_ms = time_span(there, camera, start, end, zone)
        if what == "counts":
            parts = export_rows.count_rows(there, camera, start_ms, end_ms, period, zone)
        elif what == "samples":
            parts = export_rows.sample_rows(there, camera, start_ms, end_ms, names)
        else:
            parts = export_rows.track_rows(there, camera, start_ms, end_ms)
        few = too_few_frames(there, start_ms, end_ms - 1, camera=camera).get(camera)
        note = f"not reliable: {few.reason(counted_now(there))}" if few else ""
        if output == "-":
            files.write_text(sys.stdout.buffer, form, parts, zone)
            _echo_note(note)
            return
        form_of_bar = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}"
        with tqdm(total=1.0, desc=output, disable=None, bar_format=form_of_bar) as bar:  # only in a terminal
            rows = files.write_file(Path(output), parts, zone, progress=lambda share: bar.update(share - bar.n))
    echo(f"{rows} rows in {output}")
    _echo_note(note)


def _echo_note(note: str) -> None:
    """Print a note beside the output, if there is one."""
    if note:
        echo(note, err=True)
