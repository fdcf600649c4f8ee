"""The commands of `rededge pipeline`."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rededge_nb import settings
from rededge_nb.analytics.counted import counted_of
from rededge_nb.assets import NOTEBOOKS
from rededge_nb.cli.base import (
    camera_option,
    directory_option,
    echo,
    echo_json,
    end_like_ctrl_c,
    examples,
    json_option,
    parameters_option,
    value_of,
)
from rededge_nb.edge.processes import on_signals

if TYPE_CHECKING:
    from rededge_nb.pipeline.schedule_registry import ScheduleInfo


@click.group()
def pipeline() -> None:
    """Run the notebooks as a pipeline, and compare the runs."""


def run_options(command: Any) -> Any:
    """The options of a run, now or on a schedule."""
    for option in reversed(
        (
            directory_option,
            click.option(
                "--video",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Video file; default: the sample video.",
            ),
            camera_option,
            click.option(
                "--seconds", type=click.FloatRange(0, min_open=True), help="Use only the first seconds of the video."
            ),
            click.option(
                "-o",
                "--output",
                type=click.Path(path_type=Path, file_okay=False),
                default=Path("runs"),
                show_default=True,
                help="Folder in which each run makes a folder.",
            ),
            click.option(
                "--notebook",
                "notebooks",
                metavar="NAME|PATH",
                multiple=True,
                default=NOTEBOOKS,
                help="Run only this notebook: one of ours by its name, or your own by its path; may be repeated.",
            ),
            parameters_option,
            click.option("--keep", type=click.IntRange(1), help="Then remove all runs there but the newest KEEP."),
            click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds after which a run fails."),
            click.option("--retry", type=click.IntRange(0), default=0, help="Make a run that fails again, so often."),
            click.option(
                "--notify",
                metavar="URL",
                callback=lambda _context, _option, given: given or settings.notify_address(),
                help="Send a message there when the run has ended: https://, mqtt://, or an address of Apprise.",
            ),
            click.option(
                "--on",
                type=click.Choice(["failure", "always"]),
                default="failure",
                show_default=True,
                help="When to send it.",
            ),
        )
    ):
        command = option(command)
    return command


@pipeline.command(
    "run",
    epilog=examples(
        "rededge pipeline run",
        "rededge pipeline run --video door.mp4 --camera door -o runs --keep 30",
        "rededge pipeline run --seconds 10 --json | jq .people",
        "rededge pipeline run --notebook mine.ipynb -p minutes 10",
        "rededge pipeline run --sweep confidence=0.3,0.4,0.5",
        "rededge pipeline run --retry 2 --notify 'ntfys://ntfy.sh/${NTFY_TOPIC}'",
    ),
)
@run_options
@click.option(
    "--sweep",
    metavar="NAME=VALUE,...",
    callback=lambda _context, _option, given: None if given is None else _sweep(given),
    help="One run for each value of a parameter, of confidence or of iou, then their comparison.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and no progress.")
def run(as_json: bool, sweep: tuple[str, list[object]] | None, **options: Any) -> None:
    """Run the notebooks in order, and save them as .ipynb and HTML with a report."""
    from rededge_nb.pipeline.run import run_pipeline
    from rededge_nb.pipeline.sweep import run_sweep

    end_like_ctrl_c()
    # an interrupt may come while papermill starts a kernel, and the interpreter would complain about that at its end
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    if sweep is not None:
        name, values = sweep
        runs = run_sweep(
            name, values, started=lambda value: echo(f"{name}={value}", err=True), **options, progress=not as_json
        )
        if as_json:
            echo_json([each.summary | {"folder": str(each.folder)} for each in reversed(runs)])
        else:
            echo(runs.compare())
        return
    report = run_pipeline(**options, progress=not as_json)
    if as_json:
        echo_json(report.summary | {"folder": str(report.folder)})
        return
    echo(report.table())
    echo(f"\nreport: {report.index}")


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder in which the runs are.",
)


@pipeline.command(
    "list", epilog=examples("rededge pipeline list", "rededge pipeline list -o /var/lib/rededge/runs --json")
)
@output_option
@json_option
def list_runs(output: Path, as_json: bool) -> None:
    """List the runs, the newest first, and how each of them ended."""
    from rededge_nb.pipeline.runs import read_runs

    runs = read_runs(output)
    if as_json:
        echo_json([{"run": each.name, "outcome": each.outcome, **_short(each.summary)} for each in runs])
    else:
        echo(runs.table() if len(runs) else f"there are no runs in {output}")


@pipeline.command(
    "show", epilog=examples("rededge pipeline show latest", "rededge pipeline show 20260301-060000Z --json")
)
@click.argument("run")
@output_option
@json_option
def show_run(run: str, output: Path, as_json: bool) -> None:
    """Show the figures of a run; RUN is its name, or `latest`."""
    from rededge_nb.pipeline.report import as_table
    from rededge_nb.pipeline.runs import read_runs

    found = read_runs(output).named(run)
    if as_json:
        echo_json(found.summary | {"outcome": found.outcome, "folder": str(found.folder)})
        return
    echo(f"{found.name}: {found.outcome}")
    if "notebooks" in found.summary:
        echo(as_table(found.summary))
    if found.summary.get("error"):
        echo(found.summary["error"])


@pipeline.command(
    "compare",
    epilog=examples("rededge pipeline compare 20260301-060000Z latest", "rededge pipeline compare --json"),
)
@click.argument("runs", nargs=-1)
@output_option
@json_option
def compare_runs(runs: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Show the figures of RUNS side by side, or those of all runs; `latest` is the newest one."""
    from rededge_nb.pipeline.runs import read_runs

    found = read_runs(output)
    if as_json:
        chosen = [found.named(each) for each in runs] or list(reversed(found))
        echo_json({each.name: each.figures() for each in chosen})
    else:
        echo(found.compare(*runs))


def _short(summary: dict[str, Any]) -> dict[str, Any]:
    counted = counted_of(summary)
    names = ("started", "seconds", "source", "camera", *counted.fields, counted.series, "error")
    return {name: summary.get(name) for name in names}


def _sweep(text: str) -> tuple[str, list[object]]:
    name, equals, values = text.partition("=")
    if not equals or not name.strip():
        raise click.BadParameter(f"{text!r} has no name and values: write it as confidence=0.3,0.4,0.5")
    return name.strip(), [value_of(each.strip()) for each in values.split(",")]


@pipeline.command(
    epilog=examples(
        'rededge pipeline schedule "*/15 * * * *" --video /srv/door.mp4 --keep 96',
        'rededge pipeline schedule "0 6 * * mon-fri" --now -o /var/lib/rededge/runs',
        "rededge pipeline schedule --list -o /var/lib/rededge/runs",
        "rededge pipeline schedule --pause 1",
    ),
)
@click.argument("cron", required=False)
@run_options
@click.option("--now", is_flag=True, help="Make the first run immediately.")
@click.option("--list", "listed", is_flag=True, help="List the schedules that make runs in the folder OUTPUT.")
@click.option("--pause", metavar="NUMBER", help="Let one of them make no runs.")
@click.option("--resume", metavar="NUMBER", help="Let it make runs again.")
@click.option("--remove", metavar="NUMBER", help="End it; a run that goes on is finished before.")
def schedule(
    cron: str | None,
    now: bool,
    listed: bool,
    pause: str | None,
    resume: str | None,
    remove: str | None,
    **options: Any,
) -> None:
    """Run the pipeline at the times of a cron expression, until Ctrl-C or SIGTERM.

    CRON is minute, hour, day of month, month, day of week, in local time, as in crontab(5). There is one run at a
    time. If times pass during a run, or while the machine sleeps, one run makes up for all of them. Each run is a
    process of its own. A log line says when it starts and how it ends.
    """
    from rededge_nb.pipeline import schedule_registry as registry
    from rededge_nb.pipeline.schedule import RunCommand, Scheduler, cron_schedule

    output: Path = options["output"]
    chosen = [bool(cron), listed, *(each is not None for each in (pause, resume, remove))]
    if sum(chosen) != 1:
        raise click.UsageError("give a cron expression, or one of --list, --pause, --resume and --remove")
    if listed:
        _show_schedules(registry.list_schedules(output))
    elif pause is not None:
        registry.pause_schedule(output, pause)
    elif resume is not None:
        registry.resume_schedule(output, resume)
    elif remove is not None:
        registry.remove_schedule(output, remove)
    if not cron:
        return
    next_time, command = cron_schedule(cron), RunCommand(**options)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
    with registry.RegisteredSchedule(output, cron, command.words) as control:
        scheduler = Scheduler(next_time, command, now=now, control=control)
        on_signals(scheduler.stop)
        scheduler.run()


def _show_schedules(schedules: list[ScheduleInfo]) -> None:
    from rededge_nb.display.tables import Table

    rows = [
        (
            each.id,
            each.cron,
            "paused" if each.paused else "active",
            f"{datetime.fromtimestamp(each.started).astimezone():%Y-%m-%d %H:%M:%S %z}",
            f"{each.pid} on {each.host}",
            each.words,
        )
        for each in schedules
    ]
    header = ("number", "cron", "state", "since", "process", "options")
    echo(Table(header, rows) if rows else "no schedule makes runs there")
