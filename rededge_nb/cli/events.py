"""The command `rededge events`."""

from __future__ import annotations

from pathlib import Path

import click

from rededge_nb.cli.base import connected, directory_option, echo, echo_json, end_like_ctrl_c, examples, json_option


@click.command(
    epilog=examples(
        "rededge events --limit 50                               the newest 50 events of all cameras",
        "rededge events --camera door --severity alarm --follow  each alarm of camera door as it is raised",
        "rededge events --kind line_crossed --json | jq .direction",
        "rededge events --active                                 the alarms that are not over",
    ),
)
@directory_option
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be repeated.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind, such as line_crossed; may be repeated.")
@click.option(
    "--severity",
    type=click.Choice(["info", "warning", "alarm"]),
    default="info",
    show_default=True,
    help="Only events that are at least as severe.",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many events at most.")
@click.option("--active", is_flag=True, help="The alarms that were raised and are not over.")
@click.option("--follow", is_flag=True, help="Go on with each event that arrives, until Ctrl-C.")
@json_option
def events(
    directory: Path | None,
    cameras: tuple[str, ...],
    kinds: tuple[str, ...],
    severity: str,
    limit: int,
    active: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """List what happened: crossings, entries, exits, alarms, silent cameras. The newest event is the last one.

    Times are those of this computer; in a recording, positions such as "at 0:42". `rededge clip` saves a video of an
    event by its id, the text in brackets. With --json each event is an object on a line of its own.
    """
    from rededge_nb.analytics.events import KINDS
    from rededge_nb.analytics.fields import nearest
    from rededge_nb.monitoring import events as monitoring
    from rededge_nb.time_zones import find_zone

    if active and (follow or kinds):
        raise click.UsageError("--active lists alarms as they are now: leave out --follow and --kind")
    for kind in kinds:
        if kind not in KINDS:
            raise click.BadParameter(f"{kind!r} is unknown; {nearest(kind, KINDS)}", param_hint="--kind")
    zone = find_zone()
    if follow:
        end_like_ctrl_c()
    with connected(directory) as client:
        if active:
            found = iter(monitoring.alarms_now(client, cameras, severity=severity)[-limit:])
        else:
            found = monitoring.newest_events(
                client, cameras, kinds=kinds, severity=severity, limit=limit, follow=follow
            )
        nothing = True
        for event in found:
            nothing = False
            if as_json:
                echo_json(monitoring.as_dict(event), one_line=True)
            else:
                echo(monitoring.as_line(event, zone))
    if nothing:
        echo("no alarm is active" if active else "there are no such events", err=True)
