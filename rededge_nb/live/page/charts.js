// The view of live charts: its controls, its state, when it draws, and what it reports to the sender of samples.

const REPORT_MS = 20000;
const SILENT_MS = 5000;
const HEARTBEATS = 4; // that may be missing before the sender is called silent
const WAITING_MS = 4000;

// One view of the charts on a page; all views share one store of samples.
class ChartsView {
  constructor(store, model, el) {
    Object.assign(this, { store, model, el });
    this.page = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.fraction = null;
    this.cursor = null;
    this.seen = false;
    this.pending = 0;
    this.paints = 0;
    this.build();
    this.listen();
    store.views.add(this);
    this.update();
  }

  get setup() {
    return this.model.get("_setup");
  }

  get average() {
    return this.model.get("average");
  }

  // Whether the charts show the values at the cursor, instead of the latest ones.
  get pointed() {
    return this.cursor !== null;
  }

  // The latest value of a series; NaN when no samples are arriving.
  latest(table, name) {
    return this.silent ? NaN : (table.latest(name) ?? NaN);
  }

  build() {
    this.root = element("div", "rededge-charts");
    this.root.setAttribute("role", "group");
    this.root.tabIndex = -1;
    const bar = element("div", "rededge-charts-bar");
    this.name = element("span", "rededge-charts-name");
    this.status = element("span", "rededge-charts-status");
    this.times = element("span", "rededge-charts-times");
    const controls = element("div", "rededge-charts-controls");
    const averages = element("div", "rededge-charts-averages");
    averages.setAttribute("role", "group");
    averages.setAttribute("aria-label", "Average over");
    this.buttons = this.setup.averages.map((minutes) => {
      const button = element("button", "", `${minutes} min`);
      button.type = "button";
      button.dataset.average = minutes;
      button.addEventListener("click", () => this.change("average", minutes));
      averages.append(button);
      return button;
    });
    const window = element("label", "rededge-charts-window", "Window");
    this.slider = element("input");
    [this.slider.min, this.slider.max] = this.setup.minutes;
    Object.assign(this.slider, { type: "range", step: 1 });
    this.slider.addEventListener("input", () => this.preview(Number(this.slider.value)));
    this.slider.addEventListener("change", () => this.change("minutes", Number(this.slider.value)));
    // JupyterLab must not use the arrow keys for its own commands
    this.slider.addEventListener("keydown", (event) => event.stopPropagation());
    this.shownMinutes = element("output", "rededge-charts-minutes");
    window.append(this.slider, this.shownMinutes);
    controls.append(element("span", "rededge-charts-caption", "Average"), averages, window);
    bar.append(this.name, this.status, this.times, controls);
    this.notice = element("p", "rededge-charts-notice");
    this.notice.setAttribute("role", "status");
    this.panels = [people, crossings, zones, rates, milliseconds].map((chart) => new ChartPanel(this, chart));
    const always = this.panels.filter((panel) => !panel.chart.shown);
    this.root.append(bar, this.notice, ...always.map((panel) => panel.root));
    this.el.append(this.root);
  }

  listen() {
    this.redraw = () => this.schedule();
    this.readModel = () => this.update();
    this.model.on("change:_notice change:_setup", this.redraw);
    this.model.on("change:minutes change:average change:camera", this.readModel);
    this.resized = new ResizeObserver(this.redraw);
    this.resized.observe(this.root);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries.at(-1).isIntersecting;
      this.reportVisibility();
    });
    this.sight.observe(this.root);
    this.onVisibility = () => this.reportVisibility();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.drawTimer = setInterval(this.redraw, 1000);
    this.reportTimer = setInterval(() => this.seen && this.send("visible"), REPORT_MS);
  }

  close() {
    if (this.seen) this.send("hidden");
    this.store.views.delete(this);
    this.model.off("change:_notice change:_setup", this.redraw);
    this.model.off("change:minutes change:average change:camera", this.readModel);
    this.resized.disconnect();
    this.sight.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearInterval(this.drawTimer);
    clearInterval(this.reportTimer);
    cancelAnimationFrame(this.pending);
    this.root.remove();
  }

  reportVisibility() {
    const seen = Boolean(this.inSight) && document.visibilityState === "visible";
    if (seen === this.seen) return;
    this.seen = seen;
    this.store.heardAt = Date.now();
    // "ready" asks for the history; a later view draws the samples that the store has already
    this.send(!seen ? "hidden" : this.store.tables ? "visible" : "ready");
    this.schedule();
  }

  send(kind) {
    this.attempt(() => this.model.send({ kind, page: this.page }));
  }

  change(name, value) {
    this.model.set(name, value);
    this.attempt(() => this.model.save_changes());
    this.update();
  }

  attempt(sending) {
    try {
      sending();
    } catch {
      // the kernel has ended: what is drawn stays
    }
  }

  update() {
    this.preview(this.model.get("minutes"));
    this.slider.value = this.minutes;
    this.buttons.forEach((button) =>
      button.setAttribute("aria-pressed", String(Number(button.dataset.average) === this.average)),
    );
  }

  preview(minutes) {
    this.minutes = minutes;
    this.shownMinutes.textContent = `${+minutes.toFixed(1)} min`;
    this.slider.setAttribute("aria-valuetext", `${+minutes.toFixed(1)} minutes`);
    this.schedule();
  }

  point(fraction) {
    this.fraction = fraction === null ? null : Math.min(1, Math.max(0, fraction));
    this.schedule();
  }

  schedule() {
    if (!this.pending && this.seen) this.pending = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.pending = 0;
    const { store } = this;
    const camera = this.model.get("camera");
    this.name.textContent = `Camera ${camera}`;
    this.root.setAttribute("aria-label", `Charts of camera ${camera}`);
    this.showState();
    if (!store.tables) return;
    this.theme = Theme.of(this.root, this.setup.colors, this.theme);
    this.range = store.range(this.minutes);
    this.cursor = this.fraction === null ? null : this.range.start + this.fraction * this.range.span;
    this.panels.forEach((panel) => panel.draw());
    this.paints += 1;
    this.publish();
  }

  showState() {
    const { store } = this;
    const notice = this.model.get("_notice");
    const newest = store.tables ? store.newest() : 0;
    const silence = store.now() - newest;
    const unheard = Date.now() - store.heardAt;
    const recorded = store.recording !== null;
    this.silent = !recorded && silence > SILENT_MS;
    const times = recorded ? "positions in the recording" : `times: ${TIME_ZONE}`;
    if (this.times.textContent !== times) this.times.textContent = times;
    let [state, text] = ["live", "live"];
    if (!store.tables)
      [state, text] = [
        "idle",
        Date.now() - store.createdAt > WAITING_MS
          ? `waiting for ${this.setup.sender}: is it busy, or has it ended?`
          : `waiting for ${this.setup.sender}`,
      ];
    else if (this.seen && unheard > HEARTBEATS * 1000 * this.setup.heartbeat)
      [state, text] = ["silent", `no message from ${this.setup.sender} for ${duration(unheard)}: is it still running?`];
    else if (!newest) [state, text] = ["idle", notice ? "no samples" : "no samples yet: are capture and gear running?"];
    else if (recorded) [state, text] = ["idle", "recording"];
    else if (this.silent) [state, text] = ["silent", `no samples for ${duration(silence)}: are capture and gear running?`];
    this.status.dataset.state = state;
    if (this.status.textContent !== text) this.status.textContent = text;
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
    this.notice.hidden = !notice;
  }

  // For tests, and for the developer tools of the browser.
  publish() {
    const samples = {};
    const latest = {};
    for (const table of this.store.order) {
      for (const name of table.names) {
        samples[name] = inside(table, this.range);
        latest[name] = table.latest(name) ?? null;
      }
    }
    Object.assign(this.root.dataset, {
      camera: this.store.camera,
      minutes: this.minutes,
      samples: JSON.stringify(samples),
      latest: JSON.stringify(latest),
      colors: JSON.stringify(this.theme),
      start: this.range.start,
      end: this.range.end,
      paints: this.paints,
    });
  }
}

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new SampleStore(model);
      return () => store.close();
    },
    render({ model, el }) {
      const view = new ChartsView(store, model, el);
      return () => view.close();
    },
  };
};
