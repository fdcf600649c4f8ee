// The three charts of a camera. Each is in a panel with a title and a legend.

const ZERO_GAP_MS = 10000; // a shorter time without frames means zero frames, a longer one is a gap
const EDGE = { left: 46, right: 14, top: 8, bottom: 26 };

const people = {
  name: "people",
  title: "People in view",
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
        0.22,
      );
      const values = frames.column("people");
      plot.lines(
        runs(frames, rows, gap, (index) => (Number.isNaN(values[index]) ? null : [frames.times[index], values[index]])),
        theme.line.people,
        1.2,
        0.85,
      );
      plot.lines(
        steps(buckets, held, until, (index) => (known(index) ? [mean[index]] : null)),
        theme.line.average,
        2.4,
      );
    });
    plot.timeAxis();
    const row = view.cursor === null ? frames.times.length - 1 : frames.at(view.cursor, gap);
    const bucket = view.cursor === null ? buckets.times.length - 1 : view.cursor < until ? buckets.at(view.cursor) : -1;
    const value = view.cursor === null ? frames.latest("people") : frames.column("people")[row];
    if (view.cursor !== null && row >= 0) plot.dot(frames.times[row], value, theme.line.people);
    if (view.cursor !== null && bucket >= 0) plot.dot(view.cursor, mean[bucket], theme.line.average);
    const averaged = frames.bucket ? `, mean of ${frames.bucket / 1000} s` : "";
    return [
      { key: "people", shape: "line", color: theme.line.people, text: `per frame${averaged}`, value: count(value) },
      {
        key: "average",
        shape: "line",
        color: theme.line.average,
        text: `average, ${average} min`,
        value: number(mean[bucket]),
      },
      {
        key: "band",
        shape: "area",
        color: theme.fill.band,
        text: `min to max, ${average} min`,
        value: `${count(low[bucket] ?? NaN)} to ${count(high[bucket] ?? NaN)}`,
        wide: true,
      },
    ];
  },
};

const rates = {
  name: "rates",
  title: "Frames per second",
  height: 190,
  draw(view, plotting) {
    const { store, range, theme } = view;
    const table = store.tables.rates;
    const [arrived, processed] = ["in_fps", "out_fps"].map((name) => table.column(name));
    const rows = visibleRows(table, range);
    const until = range.end;
    // if the series exists, a second without a sample is one in which no frame was processed
    const counted = !store.missing.includes("out_fps");
    const out = (index) => (counted && Number.isNaN(processed[index]) && !Number.isNaN(arrived[index]) ? 0 : processed[index]);
    const dropped = (index) => (arrived[index] > 0 ? Math.max(0, 100 * (1 - out(index) / arrived[index])) : NaN);
    const top = Math.max(1, largest(table, rows, ["in_fps", "out_fps"])) * 1.15;
    let most = 0;
    for (let index = rows.first; index < rows.last; index += 1) most = Math.max(most, dropped(index) || 0);
    const strip = 36;
    const plot = plotting(top, { bottom: EDGE.bottom + strip + 18 });
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
    const ceiling = [5, 10, 25, 50, 100].find((each) => each >= most);
    const below = plotting(ceiling, { top: this.height - EDGE.bottom - strip, ticks: 1, unit: "%" });
    below.clipped(() =>
      below.areas(
        steps(table, rows, until, (index) => (Number.isNaN(dropped(index)) ? null : [0, dropped(index)]), ZERO_GAP_MS),
        theme.fill.dropped,
        0.85,
      ),
    );
    below.timeAxis();
    const row = view.cursor === null ? table.times.length - 1 : table.at(view.cursor);
    if (view.cursor !== null && row >= 0) {
      plot.dot(view.cursor, arrived[row], theme.line.in_fps);
      plot.dot(view.cursor, out(row), theme.line.out_fps);
    }
    return [
      { key: "in_fps", shape: "line", color: theme.line.in_fps, text: "in", value: number(arrived[row]) },
      { key: "out_fps", shape: "line", color: theme.line.out_fps, text: "processed", value: number(out(row)) },
      {
        key: "dropped",
        shape: "area",
        color: theme.fill.dropped,
        text: "dropped",
        value: `${number(dropped(row), 0)} %`,
        wide: true,
      },
    ];
  },
};

const milliseconds = {
  name: "steps",
  title: "Milliseconds per frame, step by step",
  height: 180,
  draw(view, plotting) {
    const { store, range, theme, setup } = view;
    const table = store.tables.frames;
    const rows = visibleRows(table, range);
    const gap = longestStep(table, rows);
    const columns = setup.steps.map((step) => table.column(`prf_${step}`));
    const tops = columns.map(() => []);
    const sums = [];
    for (let index = rows.first; index < rows.last; index += 1) {
      let sum = 0;
      columns.forEach((column, step) => {
        sum += column[index] || 0;
        tops[step][index] = sum;
      });
      if (sum) sums.push(sum);
    }
    // The highest values do not count: a single slow frame would make all others look like zero.
    const high = sums.sort((a, b) => a - b)[Math.floor(0.98 * (sums.length - 1))] ?? 1;
    const plot = plotting(high * 1.25, { ticks: 5 });
    const measured = (index) => tops.at(-1)[index] > 0;
    plot.clipped(() => {
      columns.forEach((_, step) =>
        plot.areas(
          runs(table, rows, gap, (index) =>
            measured(index) ? [table.times[index], step ? tops[step - 1][index] : 0, tops[step][index]] : null,
          ),
          theme.fill[setup.steps[step]],
          0.95,
        ),
      );
      const total = table.column("prf_total");
      plot.lines(
        runs(table, rows, gap, (index) => (Number.isNaN(total[index]) ? null : [table.times[index], total[index]])),
        theme.ink,
        0.8,
        0.45,
      );
    });
    plot.timeAxis();
    const row = view.cursor === null ? table.times.length - 1 : table.at(view.cursor, gap);
    const value = (name) => (view.cursor === null ? table.latest(name) : table.column(name)[row]);
    if (view.cursor !== null && row >= 0) plot.dot(table.times[row], value("prf_total"), theme.ink);
    return [
      ...setup.steps.map((step) => ({
        key: `prf_${step}`,
        shape: "area",
        color: theme.fill[step],
        text: step,
        value: number(value(`prf_${step}`)),
      })),
      {
        key: "prf_total",
        shape: "line",
        color: theme.ink,
        text: "total",
        value: `${number(value("prf_total"))} ms`,
        wide: true,
      },
    ];
  },
};

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
    this.title = element("div", "rededge-charts-title", chart.title);
    this.legend = element("div", "rededge-charts-legend");
    head.append(this.title, this.legend);
    this.canvas = element("canvas", "rededge-charts-canvas");
    this.canvas.style.height = `${chart.height}px`;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.root.append(head, this.canvas);
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
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (!width) return;
    const [wide, high] = [Math.round(width * ratio), Math.round(chart.height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, chart.height);
    const plotting = (top, options = {}) => {
      const from = options.top ?? EDGE.top;
      const box = {
        left: EDGE.left,
        top: from,
        width: width - EDGE.left - EDGE.right,
        height: chart.height - from - (options.bottom ?? EDGE.bottom),
      };
      return new Plot(context, theme, box, range, top, options);
    };
    const items = chart.draw(view, plotting);
    if (view.cursor !== null) this.drawCursor(context, width);
    this.showLegend(items);
  }

  drawCursor(context, width) {
    const { view, chart } = this;
    const { theme } = view;
    const x = Math.round(EDGE.left + view.fraction * (width - EDGE.left - EDGE.right)) + 0.5;
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, EDGE.top);
    context.lineTo(x, chart.height - EDGE.bottom);
    context.stroke();
    context.setLineDash([]);
    const text = clock(view.cursor);
    const wide = context.measureText(text).width + 12;
    const left = Math.min(Math.max(x - wide / 2, 0), width - wide);
    context.fillStyle = theme.ink;
    context.beginPath();
    context.roundRect(left, chart.height - EDGE.bottom + 4, wide, 18, 4);
    context.fill();
    context.fillStyle = theme.ground;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, left + wide / 2, chart.height - EDGE.bottom + 13.5);
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
      parts.swatch.style.setProperty("--rededge-color", item.color);
      if (parts.text.textContent !== item.text) parts.text.textContent = item.text;
      if (parts.value.textContent !== item.value) parts.value.textContent = item.value;
    }
    const when = this.view.cursor === null ? "latest" : `at ${clock(this.view.cursor)}`;
    this.canvas.setAttribute(
      "aria-label",
      `${this.chart.title}, ${when}: ${items.map((item) => `${item.text} ${item.value}`).join(", ")}`,
    );
  }
}
