"""The report of a pipeline run: one page that begins with the answer and continues with how it was computed."""

from __future__ import annotations

import html
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from rededge_nb.analytics.counted import Counted, counted_of
from rededge_nb.analytics.pace import LEAST_FPS
from rededge_nb.display.drawing import draw_detections
from rededge_nb.display.heatmap import draw_heatmap
from rededge_nb.pipeline.findings import Findings
from rededge_nb.pipeline.report_parts import Markup, drawn_over, image_tag, people_chart, table
from rededge_nb.reading.too_few_frames import doubt
from rededge_nb.time_zones import position_text

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_UNRELIABLE = "not reliable"
_MEANING = """<p class="note"><b>People seen</b> are the people whom the tracker followed in these frames, each counted
once, however long they stayed. The number counts visits, not different persons. Somebody who leaves the view and comes
back counts again, and so does somebody who was hidden for more than three seconds. Somebody whom the model never finds,
because they are small or hidden most of the time, is missing. Nobody is recognised. <b>People in view</b> is the number
of people in a single frame.</p>"""
_MEANING_OTHERWISE = """<p class="note"><b>{title}</b> are the {things} that the tracker followed in these frames, each
counted once, however long it stayed. One that leaves the view and comes back counts again, and so does one that was
hidden for more than three seconds. One that the model never finds, because it is small or hidden most of the time, is
missing.</p>"""


def rows_of(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of a run, each as name and text."""
    if "frames" not in summary:
        return [("frames", "none: the run has captured nothing"), *_recorded_rows(summary)]
    counted = counted_of(summary)
    things, frames, people = counted.plural, summary["frames"], summary[counted.series]
    few = summary.get("too_few_frames")
    rows = [
        *([("NOT RELIABLE", few["reason"])] if few else []),
        ("frames in", str(frames["in"])),
        ("processed", str(frames["processed"])),
        ("dropped", str(frames["dropped"])),
        ("failed", str(frames["failed"])),
        (f"{things} seen", "-" if people["seen"] is None else str(people["seen"])),
        (f"{things} in view, mean", _number(people["mean"], 2)),
        (f"{things} in view, min to max", f"{_number(people['min'], 0)} to {_number(people['max'], 0)}"),
        ("frames per second", _number(summary["frames_per_second"], 1)),
    ]
    for line, counts in summary.get("lines", {}).items():
        rows.append((f"line {line}", ", ".join(f"{count} {direction}" for direction, count in counts.items())))
    for zone, figures in summary.get("zones", {}).items():
        most, stay = _number(figures["people_max"], 0), _number(figures["stay_median_s"], 1)
        rows.append((f"zone {zone}, most {things} / median stay", f"{most} / {stay} s"))
    for step, figures in summary["ms_per_step"].items():
        rows.append((f"ms {step}, median / p95", f"{_number(figures['median'], 1)} / {_number(figures['p95'], 1)}"))
    rows.append(("duration", f"{summary['seconds']} s"))
    return [*rows, *_recorded_rows(summary)]


def as_table(summary: dict[str, Any]) -> str:
    """Format the figures as aligned text."""
    rows = rows_of(summary)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>14}" for name, value in rows)


def write_index(folder: Path, summary: dict[str, Any], findings: Findings | None) -> Path:
    """Write index.html. It needs no other file; the links at its end lead to the notebooks in the same folder.

    Args:
        folder: The folder of the run.
        summary: The content of summary.json.
        findings: What the captures found out; None if the run has captured nothing.
    """
    title = html.escape(counted_of(summary).title(f"counted in {summary['source']}"))
    body = [f"<h1>{title}</h1>", f'<p class="about">{html.escape(_about(summary))}</p>']
    if summary["error"]:
        body.append(f'<p class="failed">{html.escape(summary["error"])}</p>')
    if findings is not None and "frames" in summary:
        body += _answer(summary, findings)
    body += _how_it_was_computed(summary)
    style = files("rededge_nb.pipeline").joinpath("report.css").read_text()
    index = folder / "index.html"
    index.write_text(_PAGE.format(title=title, style=style, body="\n".join(body)))
    return index


def _about(summary: dict[str, Any]) -> str:
    started = summary["started"].replace("T", " ")
    return f"Camera {summary['camera']}; run of {started} ({summary['time_zone']}); {summary['outcome']}"


def _answer(summary: dict[str, Any], findings: Findings) -> Iterator[str]:
    counted, peak = counted_of(summary), findings.peak
    people, few = summary[counted.series], summary.get("too_few_frames")
    yield f'<p class="answer">{html.escape(_sentence(summary, findings))}</p>'
    if few:
        yield f'<p class="failed">{html.escape(_too_few(few, findings, counted))}</p>'
    tiles = [(counted.title("seen"), _number(people["seen"], 0), _UNRELIABLE if few else "each visit counts once")]
    if peak is not None:
        tiles.append(("Most at once", str(peak.people), _at(findings, peak.ts_ms)))
    tiles.append(("In view on average", _number(people["mean"], 1), f"{_number(people['min'], 0)} at the least"))
    for line, counts in summary["lines"].items():
        directions = ", ".join(f"{count} {direction}" for direction, count in counts.items())
        directions += f"; {_UNRELIABLE}" if few else ""
        tiles.append((f"Crossed {line}", str(sum(counts.values())), directions))
    cells = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{value}<small>{html.escape(note)}</small></dd></div>"
        for name, value, note in tiles
    )
    yield f'<dl class="tiles">{cells}</dl>'
    if peak is not None:
        over = f"in view over the time of the {'video' if findings.recorded else 'capture'}"
        yield f"<h2>{html.escape(counted.title(over))}</h2>"
        yield _chart(findings)
        yield from _pictures(findings)
    yield from _lines_and_zones(summary)
    if counted.is_people:
        yield _MEANING
    else:
        yield _MEANING_OTHERWISE.format(title=html.escape(counted.title("seen")), things=html.escape(counted.plural))


def _sentence(summary: dict[str, Any], findings: Findings) -> str:
    counted, peak = counted_of(summary), findings.peak
    seen = summary[counted.series]["seen"]
    length = position_text(findings.position(findings.end_ms))
    what = f"{length} minutes" if length.count(":") == 1 else f"{length} hours"
    if peak is None:
        return f"No frame of these {what} was processed, so nobody could be counted."
    were = "was" if seen == 1 else "were"
    begin = counted.title("were counted") if seen is None else f"{counted.amount(seen)} {were} seen"
    return f"{begin} in {what} of video. There were at most {peak.people} at once, {_at(findings, peak.ts_ms)}."


def _too_few(few: dict[str, Any], findings: Findings, counted: Counted) -> str:
    first, last = max(few["first_ms"], findings.start_ms), min(few["last_ms"], findings.end_ms)
    between = f"between {position_text(findings.position(first))} and {position_text(findings.position(last))}"
    return (
        f"Not reliable: {few['reason']}. This was so {between}. Count again with at least {LEAST_FPS} frames a second, "
        f"better 5 or more: with a higher --fps, fewer cameras, or a faster model. {counted.title('in view')} are not "
        "affected."
    )


def _at(findings: Findings, ts_ms: int) -> str:
    return f"at {position_text(findings.position(ts_ms))}"


def _chart(findings: Findings) -> str:
    figures, peak, counted = findings.counts.figures, findings.peak, findings.counts.counted
    return people_chart(
        (findings.counts.edges_ms[:-1] - findings.start_ms) / 1000,
        findings.period_s,
        *(figures[f"{counted.series}_{name}"] for name in ("mean", "min", "max")),
        label=counted.title("in view"),
        peak=None if peak is None else (findings.position(peak.ts_ms), peak.people),
    )


def _pictures(findings: Findings) -> Iterator[str]:
    peak, background, things = findings.peak, findings.background, html.escape(findings.counts.counted.plural)
    if peak is not None and peak.image is not None and peak.detections is not None:
        drawn = draw_detections(peak.image, peak.detections, confidence=False, people=False)
        caption = f"{peak.people} in view {_at(findings, peak.ts_ms)}"
        yield f"<h2>The moment with the most {things}</h2>"
        yield f"<figure>{image_tag(drawn, caption)}<figcaption>{caption}</figcaption></figure>"
    elif peak is not None:
        yield f'<p class="note">The frame with the most {things} has left its stream, so it cannot be shown.</p>'
    if background is None or not findings.tracks:
        return
    presence = findings.presence()
    yield f'<h2>Where {things} were</h2><div class="pictures">'
    heat = image_tag(draw_heatmap(background, presence), f"Heat map of where {things} were")
    total = f"{np.sum(presence) / 60:.1f} minutes of all {things} together"
    unsure = doubt(each.too_few_frames for each in findings.tracks)
    caption = f"Time spent in each place, {total}; the brightest is the longest{unsure}"
    yield f"<figure>{heat}<figcaption>{caption}</figcaption></figure>"
    number = f"{len(findings.tracks)} path{'' if len(findings.tracks) == 1 else 's'}"
    way = "walked" if findings.counts.counted.is_people else "moved"
    paths = drawn_over(background, findings.tracks, findings.scene)
    yield f"<figure>{paths}<figcaption>Where {things} {way}: {number}{unsure}</figcaption></figure></div>"


def _lines_and_zones(summary: dict[str, Any]) -> Iterator[str]:
    counted = counted_of(summary)
    if summary.get("too_few_frames") and (summary["lines"] or summary["zones"]):
        yield '<p class="failed">Crossings and stays are not reliable: the model saw too few frames, see above.</p>'
    if summary["lines"]:
        yield "<h2>Lines: who crossed them</h2>" if counted.is_people else "<h2>Lines: crossings</h2>"
        rows = [(line, name, count) for line, counts in summary["lines"].items() for name, count in counts.items()]
        yield table(("line", "direction", counted.plural), rows)
    if summary["zones"]:
        who = "who was in them, and for how long" if counted.is_people else "how many were in them, and for how long"
        yield f"<h2>Zones: {who}</h2>"
        header = ("zone", "most at once", "on average", "stays that ended", "median stay")
        yield table(
            header,
            [
                (
                    zone,
                    _number(each["people_max"], 0),
                    _number(each["people_mean"], 1),
                    _number(each["stays"], 0),
                    "-" if each["stay_median_s"] is None else f"{each['stay_median_s']:.1f} s",
                )
                for zone, each in summary["zones"].items()
            ],
        )


def _how_it_was_computed(summary: dict[str, Any]) -> Iterator[str]:
    yield "<hr><h2>How it was computed</h2>"
    yield table(("figure", "value"), rows_of(summary))
    if "video" in summary:
        first = summary["video"]["first_frame"]
        yield f'<p class="note">Positions such as 0:42 count from {first}, the time of the first frame in Redis.</p>'
    yield "<h2>Notebooks</h2>"
    rows = [
        (
            Markup(f'<a href="{quote(step["notebook"])}.html">{html.escape(step["notebook"])}</a>'),
            step["outcome"],
            f"{step['seconds']} s",
            Markup(f'<a href="{quote(step["notebook"])}.ipynb">.ipynb</a>'),
        )
        for step in summary["notebooks"]
    ]
    yield table(("notebook", "outcome", "duration", "file"), rows)
    versions = ", ".join(f"{name} {value}" for name, value in summary["versions"].items())
    yield f'<footer>{html.escape(versions)}. All figures: <a href="summary.json">summary.json</a></footer>'


def _recorded_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in summary.get("recorded", {}).items()]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
