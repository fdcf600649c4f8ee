// Drawing of live charts: colours, axes, lines and areas.

function rgbOf(color) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => (value <= 10 ? value / 3295 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const BAND_ALPHA = 0.22;

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

// A colour that is made lighter on a dark ground, and darker on a light one, until it has this contrast.
function readable(color, ground, ratio) {
  let rgb = rgbOf(color);
  const toward = luminance(ground) < 0.2 ? 255 : 0;
  while (contrast(rgb, ground) < ratio) rgb = rgb.map((value) => value + (toward - value) * 0.06);
  return `rgb(${rgb.map(Math.round).join(",")})`;
}

class Theme {
  // The present theme of an element; `previous` itself if nothing has changed.
  static of(root, colors, previous) {
    const style = getComputedStyle(root);
    const inks = ["ground", "ink", "muted", "grid", "axis"].map((name) =>
      style.getPropertyValue(`--rededge-${name}`).trim(),
    );
    const key = [...inks, style.fontFamily].join();
    return previous?.key === key ? previous : new Theme(key, inks, style.fontFamily, colors);
  }

  constructor(key, inks, font, colors) {
    this.key = key;
    this.font = font;
    [this.ground, this.ink, this.muted, this.grid, this.axis] = inks;
    const ground = rgbOf(this.ground);
    const adapted = (ratio) =>
      Object.fromEntries(Object.entries(colors).map(([name, color]) => [name, readable(color, ground, ratio)]));
    this.fill = colors; // for areas that are drawn nearly transparent
    this.area = adapted(3);
    // lines are also drawn over a band, which on a dark ground is lighter than that
    this.line = adapted(luminance(ground) < 0.2 ? 5 : 3);
  }
}

function niceStep(span, count) {
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.8);
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].map((seconds) => seconds * 1000);

// `recording` is when it began, if the times are those of a recording.
function timeText(time, recording, seconds = true) {
  return recording === null ? clock(time, seconds) : positionText(time - recording);
}

function timeTicks({ start, end, span, recording }, width) {
  const step = TIME_STEPS.find((each) => (each / span) * width >= 72) ?? TIME_STEPS.at(-1);
  const ticks = [];
  if (recording !== null) {
    const first = Math.max(0, Math.ceil((start - recording) / step));
    for (let at = recording + first * step; at <= end; at += step) ticks.push({ at, text: timeText(at, recording) });
    return ticks;
  }
  const zone = new Date(end).getTimezoneOffset() * MINUTE_MS;
  for (let at = Math.ceil((start - zone) / step) * step + zone; at <= end; at += step) ticks.push(at);
  return ticks.map((at) => ({ at, text: clock(at, step < MINUTE_MS) }));
}

function number(value, digits = 1) {
  if (value === undefined || Number.isNaN(value)) return "–";
  const shown = Math.abs(value) >= 99.95 ? 0 : digits;
  return value.toFixed(shown);
}

const count = (value) => (Number.isInteger(value) ? String(value) : number(value));

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
}

// One plot area in a canvas: its scales, its grid, and functions that draw lines and areas.
class Plot {
  constructor(context, theme, box, range, top, { ticks = 4, whole = false, unit = "" } = {}) {
    Object.assign(this, { context, theme, box, range });
    this.top = top;
    const step = Math.max(niceStep(top, ticks), whole ? 1 : 0);
    context.font = `11px ${theme.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let value = 0; value <= top * 1.0001; value += step) {
      const y = Math.round(this.y(value)) + 0.5;
      context.strokeStyle = value ? theme.grid : theme.axis;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(box.left, y);
      context.lineTo(box.left + box.width, y);
      context.stroke();
      context.fillStyle = theme.muted;
      context.fillText(`${+value.toPrecision(6)}${unit}`, box.left - 8, y);
    }
  }

  x(time) {
    return this.box.left + ((time - this.range.start) / this.range.span) * this.box.width;
  }

  y(value) {
    return this.box.top + this.box.height * (1 - value / this.top);
  }

  timeAxis() {
    const { context, theme, box } = this;
    context.textBaseline = "top";
    context.fillStyle = theme.muted;
    for (const { at, text } of timeTicks(this.range, box.width)) {
      const x = this.x(at);
      const half = context.measureText(text).width / 2;
      if (x - half < 2 || x + half > box.left + box.width + 12) continue;
      context.textAlign = "center";
      context.fillText(text, x, box.top + box.height + 7);
      context.strokeStyle = theme.axis;
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, box.top + box.height);
      context.lineTo(Math.round(x) + 0.5, box.top + box.height + 4);
      context.stroke();
    }
  }

  clipped(draw) {
    const { context, box } = this;
    context.save();
    context.beginPath();
    context.rect(box.left, box.top - 2, box.width, box.height + 3);
    context.clip();
    draw();
    context.restore();
  }

  // `runs` is a list of connected points [[time, value], …]; a single point is drawn as a dot.
  lines(runs, color, width, alpha = 1, dash = []) {
    const { context } = this;
    context.save();
    context.globalAlpha = alpha;
    context.setLineDash(dash);
    context.strokeStyle = context.fillStyle = color;
    context.lineWidth = width;
    context.lineJoin = context.lineCap = "round";
    for (const run of runs) {
      context.beginPath();
      if (run.length === 1) {
        context.arc(this.x(run[0][0]), this.y(run[0][1]), width + 0.6, 0, 7);
        context.fill();
        continue;
      }
      run.forEach(([time, value], index) => context[index ? "lineTo" : "moveTo"](this.x(time), this.y(value)));
      context.stroke();
    }
    context.restore();
  }

  // The same for areas: [[time, low, high], …].
  areas(runs, color, alpha = 1) {
    const { context } = this;
    context.save();
    context.globalAlpha = alpha;
    context.fillStyle = color;
    for (let run of runs) {
      if (run.length === 1)
        run = [
          [run[0][0] - this.range.span / 800, ...run[0].slice(1)],
          [run[0][0] + this.range.span / 800, ...run[0].slice(1)],
        ];
      context.beginPath();
      run.forEach(([time, , high], index) => context[index ? "lineTo" : "moveTo"](this.x(time), this.y(high)));
      for (let index = run.length - 1; index >= 0; index -= 1)
        context.lineTo(this.x(run[index][0]), this.y(run[index][1]));
      context.fill();
    }
    context.restore();
  }

  // Triangles at the upper edge: there are values above it.
  marks(times) {
    const { context, box } = this;
    context.fillStyle = this.theme.ink;
    for (const time of times) {
      const x = this.x(time);
      context.beginPath();
      context.moveTo(x, box.top - 5);
      context.lineTo(x - 3.5, box.top + 1);
      context.lineTo(x + 3.5, box.top + 1);
      context.fill();
    }
  }

  dot(time, value, color) {
    if (time === undefined || value === undefined || Number.isNaN(value) || value > this.top) return;
    const { context } = this;
    context.beginPath();
    context.arc(this.x(time), this.y(value), 3.5, 0, 7);
    context.fillStyle = color;
    context.fill();
    context.strokeStyle = this.theme.ground;
    context.lineWidth = 1.5;
    context.stroke();
  }
}

// The rows in the window, and one more at each side so that lines reach the edges.
function visibleRows(table, { start, end }) {
  const first = Math.max(0, table.after(start - (table.bucket || 0)) - 1);
  return { first, last: Math.min(table.times.length, table.after(end) + 1) };
}

// The longest time between two rows that are connected by a line. A longer one is a gap.
function longestStep(table, { first, last }) {
  const steps = [];
  for (let index = first + 1; index < last; index += 1) steps.push(table.times[index] - table.times[index - 1]);
  if (!steps.length) return 2000;
  steps.sort((a, b) => a - b);
  return Math.max(2000, 4 * steps[steps.length >> 1], 3 * table.bucket);
}

// Connected points of rows: `point(index)` returns one, or null. A gap, or a null, starts a new run.
function runs(table, rows, gap, point) {
  const found = [];
  let run = null;
  for (let index = rows.first; index < rows.last; index += 1) {
    const next = point(index);
    if (next === null) {
      run = null;
      continue;
    }
    if (!run || table.times[index] - table.times[index - 1] > gap) found.push((run = []));
    run.push(next);
  }
  return found;
}

// The same for buckets, as steps: a value applies from the start of its bucket to its end, but not beyond `until`.
// After a gap of at most `zeroGap`, the values were zero.
function steps(table, rows, until, values, zeroGap = 0) {
  const found = [];
  let run = null;
  let previous = 0;
  for (let index = rows.first; index < rows.last; index += 1) {
    const value = values(index);
    const from = table.times[index];
    if (value === null || from >= until) {
      run = null;
      continue;
    }
    if (run && from > previous) {
      if (from - previous <= zeroGap) {
        const zero = value.map(() => 0);
        run.push([previous, ...zero], [from, ...zero]);
      } else run = null;
    }
    if (!run) found.push((run = []));
    previous = from + table.bucket;
    run.push([from, ...value], [Math.min(previous, until), ...value]);
  }
  return found;
}

// Medians and 95th percentiles of rows that are drawn in the same few pixels: [{ start, end, gap, median, p95 }, …].
// `gap` is whether a column is separate from the one before.
function summarize(table, range, width, names) {
  const rows = visibleRows(table, range);
  const longest = longestStep(table, rows);
  const typical = (longest / 4) * 1.5;
  // aligned to multiples of its length, so that columns do not flicker while the chart moves
  const length = Math.max((COLUMN * range.span) / Math.max(1, width), Math.min(typical, longest));
  const columns = [];
  let column = null;
  for (let index = rows.first; index < rows.last; index += 1) {
    const time = table.times[index];
    const start = Math.floor(time / length) * length;
    if (!column || column.start !== start) {
      const gap = !column || time - table.times[index - 1] > longest;
      if (column && !gap) column.end = start;
      columns.push((column = { start, end: start + length, gap, values: names.map(() => []) }));
    }
    names.forEach((name, at) => {
      const value = table.column(name)[index];
      if (!Number.isNaN(value)) column.values[at].push(value);
    });
  }
  const at = (sorted, fraction) => (sorted.length ? sorted[Math.round(fraction * (sorted.length - 1))] : NaN);
  for (const each of columns) {
    const sorted = each.values.map((values) => values.sort((a, b) => a - b));
    each.median = Object.fromEntries(names.map((name, index) => [name, at(sorted[index], 0.5)]));
    each.p95 = Object.fromEntries(names.map((name, index) => [name, at(sorted[index], 0.95)]));
    delete each.values;
  }
  return columns;
}

// Columns as runs of steps for `lines` and `areas`; `values` returns an array, or null.
function connected(columns, values) {
  const found = [];
  let run = null;
  columns.forEach((column, index) => {
    const value = values(column, index);
    if (value === null) {
      run = null;
      return;
    }
    if (!run || column.gap) found.push((run = []));
    run.push([column.start, ...value], [column.end, ...value]);
  });
  return found;
}

function largest(table, rows, names) {
  let most = 0;
  for (const name of names) {
    const column = table.column(name);
    for (let index = rows.first; index < rows.last; index += 1) if (column[index] > most) most = column[index];
  }
  return most;
}

function inside(table, { start, end }) {
  return table.after(end) - table.after(start - Math.max(1, table.bucket));
}
