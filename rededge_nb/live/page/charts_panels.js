// The charts of a camera. Each is in a panel with a title and a legend; those of lines and zones only if there are some.

const ZERO_GAP_MS = 10000; // a shorter time without frames means zero frames, a longer one is a gap
const EDGE = { left: 46, right: 14, top: 8, bottom: 26 };
const STRIP = 36; // height of the strip with the dropped frames, in pixels
const COLUMN = 3; // width in pixels of the columns in which milliseconds are summarised

const people = {
  name: "people",
  title: ({ things }) => `${capital(things)} in view`,
  height: 170,
  draw(view, plotting) {
    const { store, range, theme, average } = view;
    const { frames } = store.tables;
    const buckets = store.tables[`people_${average}m`];
    const [mean, low, high] = ["avg", "min", "max"].map((each) => buckets.column(`people_${each}_${average}m`));
    const rows = visibleRows(frames, range);
    const held = visibleRows(buckets, range);
    const gap = longestStep(frames, rows);
    const top =
      Math.max(1, largest(frames, rows, ["people"]), largest(buckets, held, [`people_max_${average}m`])) * 1.12;
    const plot = plotting(top, { whole: true, ticks: 5 });
    const until = store.newest();
    plot.clipped(() => {
      const known = (index) => !Number.isNaN(mean[index]);
      plot.areas(
        steps(buckets, held, until, (index) => (known(index) ? [low[index], high[index]] : null)),
        theme.fill.band,
        BAND_ALPHA,
      );
      const values = frames.column("people");
      plot.lines(
        runs(frames, rows, gap, (index) => (Number.isNaN(values[index]) ? null : [frames.times[index], values[index]])),
        theme.line.people,
        1.2,
      );
      plot.lines(
        steps(buckets, held, until, (index) => (known(index) ? [mean[index]] : null)),
        theme.line.average,
        2.4,
      );
    });
    plot.timeAxis();
    const row = frames.at(view.cursor, gap);
    const bucket = view.cursor < until ? buckets.at(view.cursor) : -1;
    if (view.pointed) {
      plot.dot(frames.times[row], frames.column("people")[row], theme.line.people);
      plot.dot(view.cursor, mean[bucket], theme.line.average);
    }
    const averaged = frames.bucket ? `, mean of ${frames.bucket / 1000} s` : "";
    const value = view.pointed ? frames.column("people")[row] : view.latest(frames, "people");
    const [average_, low_, high_] = ["avg", "min", "max"].map((each) =>
      view.pointed ? buckets.column(`people_${each}_${average}m`)[bucket] : view.latest(buckets, `people_${each}_${average}m`),
    );
    return [
      { key: "people", shape: "line", color: theme.line.people, text: `each frame${averaged}`, value: count(value) },
      {
        key: "average",
        shape: "line",
        color: theme.line.average,
        text: `average, ${average} min`,
        value: number(average_),
      },
      {
        key: "band",
        shape: "area",
        color: theme.fill.band,
        text: `lowest to highest, ${average} min`,
        value: `${count(low_)} to ${count(high_)}`,
        wide: true,
      },
      ...(store.seen === null ? [] : [{ key: "seen", shape: "none", text: seenText(store), value: `${store.seen}` }]),
    ];
  },
};

const doubt = (reliable) => (reliable ? "" : " (not reliable: too few frames)");
const seenText = ({ recording, reliable }) =>
  (recording === null ? "seen today" : "seen in the recording") + doubt(reliable);

const rates = {
  name: "rates",
  title: () => "Frames per second",
  height: 190,
  draw(view, plotting, height) {
    const { store, range, theme } = view;
    const table = store.tables.rates;
    const [arrived, processed] = ["in_fps", "out_fps"].map((name) => table.column(name));
    const rows = visibleRows(table, range);
    const until = range.end;
    // if the series exists, a second without a sample is one in which no frame was processed
    const counted = !store.missing.includes("out_fps");
    const out = (index) =>
      counted && Number.isNaN(processed[index]) && !Number.isNaN(arrived[index]) ? 0 : processed[index];
    const dropped = (index) => (arrived[index] > 0 ? Math.max(0, 100 * (1 - out(index) / arrived[index])) : NaN);
    const top = Math.max(1, largest(table, rows, ["in_fps", "out_fps"])) * 1.15;
    let most = 0;
    for (let index = rows.first; index < rows.last; index += 1) most = Math.max(most, dropped(index) || 0);
    // a low panel, as in a small window, has no room for both
    const withStrip = height - EDGE.top - EDGE.bottom - STRIP - 18 >= 30;
    const plot = plotting(top, { bottom: EDGE.bottom + (withStrip ? STRIP + 18 : 0) });
    plot.clipped(() => {
      const band = (index) =>
        arrived[index] > out(index) ? [out(index), arrived[index]] : Number.isNaN(arrived[index]) ? null : [0, 0];
      plot.areas(steps(table, rows, until, band, ZERO_GAP_MS), theme.fill.dropped, 0.25);
      const line = (column) =>
        steps(table, rows, until, (index) => (Number.isNaN(column(index)) ? null : [column(index)]), ZERO_GAP_MS);
      plot.lines(
        line((index) => arrived[index]),
        theme.line.in_fps,
        3.4,
      );
      plot.lines(line(out), theme.line.out_fps, 1.5);
    });
    let lowest = plot;
    if (withStrip) {
      const ceiling = [5, 10, 25, 50, 100].find((each) => each >= most);
      const below = (lowest = plotting(ceiling, { top: height - EDGE.bottom - STRIP, ticks: 1, unit: "%" }));
      const share = (index) => (Number.isNaN(dropped(index)) ? null : [0, dropped(index)]);
      below.clipped(() => below.areas(steps(table, rows, until, share, ZERO_GAP_MS), theme.area.dropped));
    }
    lowest.timeAxis();
    const row = view.pointed ? table.at(view.cursor) : view.silent ? -1 : table.times.length - 1;
    if (view.pointed) {
      plot.dot(view.cursor, arrived[row], theme.line.in_fps);
      plot.dot(view.cursor, out(row), theme.line.out_fps);
    }
    return [
      { key: "in_fps", shape: "line", color: theme.line.in_fps, text: "in", value: number(arrived[row]) },
      { key: "out_fps", shape: "line", color: theme.line.out_fps, text: "processed", value: number(out(row)) },
      {
        key: "dropped",
        shape: "area",
        color: theme.area.dropped,
        text: "dropped",
        value: `${number(dropped(row), 0)} %`,
        wide: true,
      },
    ];
  },
};

// Single frames vary so much that a line through them would hide everything. So each column of pixels shows the median of
// each step, stacked, and the 95th percentile of the total.
const milliseconds = {
  name: "steps",
  title: () => "Milliseconds per frame, step by step",
  height: 180,
  draw(view, plotting) {
    const { store, range, theme, setup } = view;
    const table = store.tables.frames;
    const names = [...setup.steps.map((step) => `prf_${step}`), "prf_total"];
    const summary = summarize(table, range, view.width, names);
    const stacked = (column) => setup.steps.reduce((sum, step) => sum + (column.median[`prf_${step}`] || 0), 0);
    const highest = (column) => Math.max(stacked(column), column.p95.prf_total || 0);
    const heights = summary.map(highest).sort((a, b) => a - b);
    // The highest columns do not count: a single slow frame would make all others look like zero.
    const high = heights[Math.floor(0.95 * (heights.length - 1))] || 1;
    const plot = plotting(high * 1.2, { ticks: 5 });
    const measured = (column) => stacked(column) > 0;
    plot.clipped(() => {
      const bases = summary.map(() => 0);
      for (const step of setup.steps) {
        const name = `prf_${step}`;
        plot.areas(
          connected(summary, (column, index) => {
            const low = bases[index];
            bases[index] += column.median[name] || 0;
            return measured(column) ? [low, bases[index]] : null;
          }),
          theme.area[step],
        );
      }
      const p95 = ({ p95: { prf_total: value } }) => (Number.isNaN(value) ? null : [value]);
      plot.lines(connected(summary, p95), theme.ink, 1.4);
    });
    const clipped = summary.filter((column) => highest(column) > plot.top);
    plot.marks(clipped.map((column) => (column.start + column.end) / 2));
    plot.timeAxis();
    // the newest column may be without a measured frame
    const shown = view.pointed
      ? summary.find(({ start, end }) => start <= view.cursor && view.cursor < end)
      : view.silent
        ? undefined
        : summary.findLast(measured);
    if (view.pointed) plot.dot(view.cursor, shown?.p95.prf_total, theme.ink);
    const items = setup.steps.map((step) => ({
      key: `prf_${step}`,
      shape: "area",
      color: theme.area[step],
      text: step,
      value: number(shown?.median[`prf_${step}`]),
    }));
    const total = shown?.median.prf_total;
    items.push(
      { key: "prf_total", shape: "none", text: "total, median", value: `${number(total)} ms`, wide: true },
      { key: "p95", shape: "line", color: theme.ink, text: "95 %", value: `${number(shown?.p95.prf_total)} ms`, wide: true },
    );
    if (clipped.length) {
      const value = `${number(Math.max(...clipped.map(highest)), 0)} ms`;
      items.push({ key: "clipped", shape: "mark", color: theme.ink, text: "higher, up to", value, wide: true });
    }
    return items;
  },
};

const DRAWN_COLORS = 6;
const drawnColor = (theme, index) => theme.line[`drawn${index % DRAWN_COLORS}`];

// Crossings are added up from the left edge of the chart: forward is a solid line, backward a dashed one.
const crossings = {
  name: "crossings",
  title: ({ things, reliable }) => `${capital(things)} ${things === "people" ? "who" : "that"} crossed, in this time${doubt(reliable)}`,
  height: 150,
  shown: (store) => Boolean(store.tables.crossings),
  draw(view, plotting) {
    const { store, range, theme } = view;
    const table = store.tables.crossings;
    const first = table.after(range.start - 1);
    const directions = store.lines.flatMap(([name, forward, backward], index) => [
      { line: name, way: forward, column: `line:${name}:forward`, color: drawnColor(theme, index), dash: [] },
      { line: name, way: backward, column: `line:${name}:backward`, color: drawnColor(theme, index), dash: [4, 4] },
    ]);
    const until = view.pointed ? view.cursor : range.end;
    const begin = Math.max(range.start, store.tables.frames.times[visibleRows(store.tables.frames, range).first] ?? 0);
    for (const direction of directions) {
      const values = table.column(direction.column) ?? [];
      const points = [[begin, 0]];
      let total = 0;
      direction.value = 0;
      for (let index = first; index < table.times.length && table.times[index] <= range.end; index += 1) {
        if (!values[index]) continue;
        points.push([table.times[index], total], [table.times[index], (total += values[index])]);
        if (table.times[index] <= until) direction.value = total;
      }
      points.push([Math.max(range.start, Math.min(store.now(), range.end)), total]);
      Object.assign(direction, { points, total });
    }
    const top = Math.max(1, ...directions.map(({ total }) => total)) * 1.12;
    const plot = plotting(top, { whole: true, ticks: 4 });
    plot.clipped(() => directions.forEach(({ points, color, dash }) => plot.lines([points], color, 1.8, 1, dash)));
    plot.timeAxis();
    return directions.map(({ line, way, color, dash, column, value }) => ({
      key: column,
      shape: dash.length ? "dashed" : "line",
      color,
      text: `${line}: ${way}`,
      value: count(value),
    }));
  },
};

const zones = {
  name: "zones",
  title: ({ things }) => `${capital(things)} in zones`,
  height: 150,
  shown: (store) => Boolean(store.tables.zones),
  draw(view, plotting) {
    const { store, range, theme } = view;
    const table = store.tables.zones;
    const rows = visibleRows(table, range);
    const gap = longestStep(table, rows);
    const plot = plotting(Math.max(1, largest(table, rows, table.names)) * 1.12, { whole: true, ticks: 4 });
    const at = view.pointed ? table.at(view.cursor, gap) : -1;
    return table.names.map((name, index) => {
      const values = table.column(name);
      const color = drawnColor(theme, index);
      const point = (row) => (Number.isNaN(values[row]) ? null : [table.times[row], values[row]]);
      plot.clipped(() => plot.lines(runs(table, rows, gap, point), color, 1.4));
      if (index === 0) plot.timeAxis();
      if (view.pointed) plot.dot(table.times[at], values[at], color);
      const value = view.pointed ? values[at] : view.latest(table, name);
      return { key: name, shape: "line", color, text: name.slice(5, -7), value: count(value ?? NaN) };
    });
  },
};

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function element(tag, className, text) {
  const created = document.createElement(tag);
  if (className) created.className = className;
  if (text !== undefined) created.textContent = text;
  return created;
}

class ChartPanel {
  constructor(view, chart) {
    this.view = view;
    this.chart = chart;
    this.root = element("section", "rededge-charts-panel");
    const head = element("div", "rededge-charts-head");
    this.title = element("div", "rededge-charts-title", chart.title(view.store));
    this.legend = element("div", "rededge-charts-legend");
    head.append(this.title, this.legend);
    this.plot = element("div", "rededge-charts-plot");
    this.plot.style.setProperty("--rededge-chart-height", `${chart.height}px`);
    this.canvas = element("canvas", "rededge-charts-canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    // until it is in sight and drawn
    this.canvas.setAttribute("aria-label", this.title.textContent);
    this.plot.append(this.canvas);
    this.root.append(head, this.plot);
    this.items = new Map();
    const left = EDGE.left;
    const fraction = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return (event.clientX - box.left - left) / (box.width - left - EDGE.right);
    };
    this.canvas.addEventListener("pointermove", (event) => view.point(fraction(event)));
    this.canvas.addEventListener("pointerdown", (event) => view.point(fraction(event)));
    this.canvas.addEventListener("pointerleave", () => view.point(null));
    this.canvas.addEventListener("blur", () => view.point(null));
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      view.point(step ? (view.fraction ?? 1) + step * (event.shiftKey ? 0.05 : 0.005) : null);
    });
  }

  draw() {
    const { view, canvas, chart } = this;
    const { theme, range } = view;
    if (!this.place()) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    view.width = width - EDGE.left - EDGE.right;
    const plotting = (top, options = {}) => {
      const from = options.top ?? EDGE.top;
      const box = { left: EDGE.left, top: from, width: view.width, height: height - from - (options.bottom ?? EDGE.bottom) };
      return new Plot(context, theme, box, range, top, options);
    };
    const title = chart.title(view.store);
    if (this.title.textContent !== title) this.title.textContent = title;
    const items = chart.draw(view, plotting, height);
    if (view.pointed) this.drawCursor(context, width, height);
    this.showLegend(items);
  }

  // A panel that has nothing to show is not on the page; otherwise it is before the next one that is.
  place() {
    const { view, chart, root } = this;
    if (chart.shown && !chart.shown(view.store)) {
      root.remove();
      return false;
    }
    const later = view.panels.slice(view.panels.indexOf(this) + 1);
    if (!root.parentNode) later.find((panel) => panel.root.parentNode).root.before(root);
    return true;
  }

  drawCursor(context, width, height) {
    const { view } = this;
    const { theme } = view;
    const x = Math.round(EDGE.left + view.fraction * (width - EDGE.left - EDGE.right)) + 0.5;
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, EDGE.top);
    context.lineTo(x, height - EDGE.bottom);
    context.stroke();
    context.setLineDash([]);
    const text = timeText(view.cursor, view.range.recording);
    const wide = context.measureText(text).width + 12;
    const left = Math.min(Math.max(x - wide / 2, 0), width - wide);
    context.fillStyle = theme.ink;
    context.beginPath();
    context.roundRect(left, height - EDGE.bottom + 4, wide, 18, 4);
    context.fill();
    context.fillStyle = theme.ground;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, left + wide / 2, height - EDGE.bottom + 13.5);
  }

  showLegend(items) {
    if ([...this.items.keys()].join() !== items.map((item) => item.key).join()) {
      this.items.clear();
      this.legend.replaceChildren(
        ...items.map((item) => {
          const entry = element("span", "rededge-charts-entry");
          const parts = {
            swatch: element("span", `rededge-charts-swatch rededge-charts-${item.shape}`),
            text: element("span", "rededge-charts-text"),
            value: element("span", `rededge-charts-value${item.wide ? " rededge-charts-wide" : ""}`),
          };
          entry.dataset.key = item.key;
          entry.append(parts.swatch, parts.text, parts.value);
          this.items.set(item.key, parts);
          return entry;
        }),
      );
    }
    for (const item of items) {
      const parts = this.items.get(item.key);
      parts.swatch.style.setProperty("--rededge-color", item.color ?? "transparent");
      if (parts.text.textContent !== item.text) parts.text.textContent = item.text;
      if (parts.value.textContent !== item.value) parts.value.textContent = item.value;
    }
    const when = this.view.pointed ? `at ${timeText(this.view.cursor, this.view.range.recording)}` : "latest";
    this.canvas.setAttribute(
      "aria-label",
      `${this.title.textContent}, ${when}: ${items.map((item) => `${item.text} ${item.value}`).join(", ")}`,
    );
  }
}
