"""Parts of the report as HTML and SVG: the chart of people over time, frames with what was found on them, tables.

Everything is inside the page, and colours are variables of report.css, so that the page follows light, dark and print.
Labels of the chart are HTML over the SVG, because text in an SVG that is as wide as the page is too small on a phone.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.scene import Scene
from rededge_nb.display.colors import track_color
from rededge_nb.images import Image, encode_jpeg
from rededge_nb.reading.tracks import Track
from rededge_nb.time_zones import position_text

_WIDTH, _HEIGHT = 1000, 260
"""Units of the chart's SVG, which is stretched to the width of the page."""
_IMAGE_WIDTH = 960
_JPEG_QUALITY = 82
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


def people_chart(
    starts_s: NDArray[np.float64],
    period_s: float,
    mean: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    peak: tuple[float, int] | None = None,
    label: str = "People in view",
) -> str:
    """People over time: a line for the mean of each period, and a band from its lowest to its highest count.

    Args:
        starts_s: Where each period begins, in seconds of the video.
        period_s: Length of a period.
        mean: People in view, shape (n,); NaN where there were no frames.
        low: The lowest count in each period.
        high: The highest count in each period.
        peak: Seconds and people of the moment that is marked.
        label: What the chart shows, in words.
    """
    first, last = float(starts_s[0]), float(starts_s[-1] + period_s)
    top = _top(float(np.nanmax(high)))

    def x(seconds: float) -> float:
        return _WIDTH * (seconds - first) / (last - first)

    def y(people: float) -> float:
        return _HEIGHT * (1 - people / top)

    band, line = [], []
    for begin, end in _unbroken(mean):
        edges = [x(float(each)) for each in (*starts_s[begin:end], starts_s[end - 1] + period_s)]
        upper = [point for i in range(begin, end) for point in _step(edges, i - begin, y(float(high[i])))]
        lower = [point for i in range(begin, end) for point in _step(edges, i - begin, y(float(low[i])))]
        band.append(f"M{' L'.join(upper)} L{' L'.join(reversed(lower))} Z")
        line.append("M" + " L".join(p for i in range(begin, end) for p in _step(edges, i - begin, y(float(mean[i])))))
    ticks = range(0, int(top) + 1, max(1, int(top) // 4))
    rules = "".join(f'<line x1="0" x2="{_WIDTH}" y1="{y(each):.1f}" y2="{y(each):.1f}"/>' for each in ticks)
    labels = [f'<span class="y" style="top:{100 * y(each) / _HEIGHT:.2f}%">{each}</span>' for each in ticks]
    for at, major in _time_ticks(max(first, 0.0), last):
        kind = "x" if major else "x minor"
        labels.append(f'<span class="{kind}" style="left:{100 * x(at) / _WIDTH:.2f}%">{position_text(at)}</span>')
    if peak is not None:
        at, people = peak
        style = f"left:{100 * x(at) / _WIDTH:.2f}%;top:{100 * y(people) / _HEIGHT:.2f}%"
        side = "left" if x(at) > _WIDTH * 0.8 else "right"
        labels.append(f'<span class="peak {side}" style="{style}"><b>{people} at {position_text(at)}</b></span>')
    return (
        f'<div class="chart" role="img" aria-label="{html.escape(label)} over time, at most {np.nanmax(high):g}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<g class="rules">{rules}</g><path class="band" d="{" ".join(band)}"/>'
        f'<path class="mean" d="{" ".join(line)}"/></svg>{"".join(labels)}</div>'
        f'<p class="key"><i class="mean"></i> mean of {_length_text(period_s)}'
        f' <i class="band"></i> lowest to highest in this time</p>'
    )


def image_tag(image: Image, alt: str) -> str:
    """An image inside the page, not wider than the page needs."""
    height, width = image.shape[:2]
    if width > _IMAGE_WIDTH:
        size_wh = _IMAGE_WIDTH, round(height * _IMAGE_WIDTH / width)
        image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).reshape(size_wh[1], size_wh[0], 3)
    data = base64.b64encode(encode_jpeg(image, quality=_JPEG_QUALITY)).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def drawn_over(image: Image, tracks: Sequence[Track], scene: Scene) -> str:
    """Paths of people, and the lines and zones of the scene, over a grey frame."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    pale = np.clip(grey.astype(np.float32) * 0.7 + 60, 0, 255).astype(np.uint8)
    size = width / 360
    parts = []
    for zone in scene.zones:
        corners = " ".join(f"{a * width:.1f},{b * height:.1f}" for a, b in zone.points)
        center = np.mean(zone.points, axis=0)
        parts.append(f'<polygon class="zone" points="{corners}"/>')
        parts.append(_name(zone.name, float(center[0]) * width, float(center[1]) * height, size))
    for track in tracks:
        points = " ".join(f"{a * width:.1f},{b * height:.1f}" for a, b in track.path)
        if len(track.path) > 1:
            parts.append(f'<polyline points="{points}" stroke="#1c1612" stroke-width="{1.9 * size:.2f}"/>')
            color = track_color(track.id)
            parts.append(f'<polyline points="{points}" stroke="{color}" stroke-width="{1.1 * size:.2f}"/>')
    for line in scene.lines:
        (ax, ay), (bx, by) = line.a, line.b
        ends = f'x1="{ax * width:.1f}" y1="{ay * height:.1f}" x2="{bx * width:.1f}" y2="{by * height:.1f}"'
        parts.append(f'<line class="line" {ends} stroke-width="{1.4 * size:.2f}"/>')
        middle_x, middle_y = (ax + bx) / 2 * width, (ay + by) / 2 * height
        parts.append(_name(line.name, middle_x, middle_y, size))
    svg = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}</svg>'
    return f'<div class="over">{image_tag(pale, "Paths over a frame of the camera")}{svg}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers are aligned to the right. Values that are `Markup` stay as they are."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


class Markup(str):
    """HTML that `table` does not escape."""


def _cell(value: object) -> str:
    text = value if isinstance(value, Markup) else html.escape("-" if value is None else str(value))
    return f'<td class="number">{text}</td>' if isinstance(value, int | float) or value is None else f"<td>{text}</td>"


def _name(text: str, x: float, y: float, size: float) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{13 * size:.1f}">{html.escape(text)}</text>'


def _top(highest: float) -> int:
    """The upper end of the axis: a whole number with four or fewer equal steps."""
    top = max(1, int(np.ceil(highest)))
    return top if top <= 4 else -(-top // 4) * 4


def _unbroken(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Begin and end of each sequence without NaN."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~np.isnan(values), [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _step(edges: Sequence[float], at: int, y: float) -> tuple[str, str]:
    return f"{edges[at]:.1f},{y:.1f}", f"{edges[at + 1]:.1f},{y:.1f}"


def _time_ticks(first: float, last: float) -> list[tuple[float, bool]]:
    """At most nine positions, of which every second one is left out on a phone."""
    step = next((each for each in _TICK_STEPS_S if (last - first) / each <= 8), 86_400 * int(1 + last / 86_400 / 8))
    start = int(-(-first // step))
    return [(float(at * step), (at - start) % 2 == 0) for at in range(start, int(last // step) + 1)]


def _length_text(seconds: float) -> str:
    for length, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % length == 0:
            number = round(seconds / length)
            return f"each {name}" if number == 1 else f"each {number} {name}s"
    return f"each {seconds:g} seconds"
