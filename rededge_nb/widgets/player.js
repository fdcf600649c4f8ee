// The browser's side of Player and of the web page: paints the JPEGs that are sent, draws their boxes over them, confirms them.
// Nothing from Redis is ever parsed as HTML.

const YELLOW = "rgb(255, 220, 60)";
const DARK = "rgb(18, 22, 28)";
const RATE_WINDOW_MS = 2000;
const TEXT_INTERVAL_MS = 250;

export default () => {
  let page;
  return {
    initialize({ model }) {
      page = new Page(model);
      return () => page.close();
    },
    render({ model, el }) {
      const view = new View(model, el, page);
      page.add(view);
      return () => page.remove(view);
    },
  };
};

// All views of a player in one browser page: a frame is received, decoded and confirmed once for all of them.
class Page {
  constructor(model) {
    this.model = model;
    this.id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this.views = new Set();
    this.seen = false;
    this.next = null;
    this.last = null;
    this.working = false;
    this.notice = "";
    this.heardAt = performance.now();
    this.patience = Infinity;
    this.sender = "the kernel";
    this.receive = (content, buffers) => this.onMessage(content, buffers);
    this.onVisibility = () => this.update();
    model.on("msg:custom", this.receive);
    document.addEventListener("visibilitychange", this.onVisibility);
    this.watch = setInterval(() => this.listen(), 1000);
  }

  close() {
    clearInterval(this.watch);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.model.off("msg:custom", this.receive);
    this.last?.bitmap?.close();
    this.next = this.last = null;
  }

  add(view) {
    this.views.add(view);
    if (this.last) view.paint(this.last, false);
  }

  remove(view) {
    this.views.delete(view);
    view.remove();
    this.update();
  }

  // The kernel is told when the first view comes in sight and when the last one leaves it.
  update() {
    const seen = !document.hidden && [...this.views].some((view) => view.inSight);
    if (seen === this.seen) return;
    this.seen = seen;
    this.heardAt = performance.now();
    this.send({ kind: seen ? "ready" : "hidden" });
  }

  send(content) {
    try {
      this.model.send({ ...content, page: this.id });
    } catch {
      // the kernel has ended: `listen` will say so
    }
  }

  onMessage(content, buffers) {
    this.heardAt = performance.now();
    if (content.kind === "status") {
      this.patience = content.heartbeat * 3000;
      this.sender = content.sender ?? this.sender;
      this.tell(content.notice);
    } else if (content.kind === "frame" && this.seen) {
      this.next = { ...content, jpeg: buffers[0] };
      this.work();
    }
  }

  async work() {
    if (this.working) return;
    this.working = true;
    while (this.next) {
      const frame = this.next;
      this.next = null;
      await this.show(frame);
      this.send({ kind: "painted", seq: frame.seq });
    }
    this.working = false;
  }

  async show(frame) {
    if (this.model.get("paused") && this.last) return;
    try {
      frame.bitmap = await createImageBitmap(new Blob([frame.jpeg]));
    } catch {
      this.tell(`frame ${frame.ref} is no picture that a browser can show`);
      return;
    }
    delete frame.jpeg;
    this.last?.bitmap.close();
    this.last = frame;
    for (const view of this.views) view.paint(frame, true);
  }

  tell(notice) {
    if (notice === this.notice) return;
    this.notice = notice;
    for (const view of this.views) view.showState();
  }

  listen() {
    const silent = performance.now() - this.heardAt;
    if (this.seen && !this.model.get("paused") && silent > this.patience) {
      this.tell(`nothing from ${this.sender} for ${Math.floor(silent / 1000)} s: does it still run?`);
    }
  }
}

class View {
  constructor(model, el, page) {
    this.model = model;
    this.page = page;
    this.frame = null;
    this.inSight = false;
    this.paints = 0;
    this.times = [];
    this.delays = [];
    this.textAt = -Infinity;
    this.pointer = null;
    this.build(el);
    this.redraw = () => this.draw();
    this.restate = () => this.showState();
    model.on("change:boxes change:labels", this.redraw);
    model.on("change:boxes change:labels change:paused change:camera", this.restate);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries.at(-1).isIntersecting;
      page.update();
    });
    this.sight.observe(this.root);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.stage);
    this.showState();
  }

  build(el) {
    this.picture = make("canvas", "rededge-player-picture");
    this.overlay = make("canvas", "rededge-player-overlay");
    this.count = make("div", "rededge-player-count");
    this.mark = make("div", "rededge-player-mark");
    this.meter = make("div", "rededge-player-meter");
    this.meter.title =
      "Time from the capture of the frame (camera's clock) to its painting (this computer's clock), " +
      "and frames painted per second";
    this.tip = make("div", "rededge-player-tip");
    this.notice = make("div", "rededge-player-notice");
    this.notice.setAttribute("role", "status");
    this.stage = make("div", "rededge-player-stage", this.picture, this.overlay, this.count, this.mark, this.meter, this.tip);
    this.stage.append(this.notice);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "button");
    this.toggles = {
      paused: this.toggle("paused", "Pause", "Stop and go on (space)"),
      boxes: this.toggle("boxes", "Boxes", "Show boxes (b)"),
      labels: this.toggle("labels", "Labels", "Show labels (l)"),
    };
    this.about = make("span", "rededge-player-about");
    this.bar = make("div", "rededge-player-bar", ...Object.values(this.toggles), this.about);
    this.root = make("div", "rededge-player", this.stage, this.bar);
    this.root.setAttribute("role", "group");
    // otherwise JupyterLab takes keys such as b for commands of its own
    this.root.dataset.lmSuppressShortcuts = "true";
    this.stage.addEventListener("click", () => this.openStill());
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => this.point(null));
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    el.append(this.root);
  }

  remove() {
    this.sight.disconnect();
    this.sizes.disconnect();
    this.model.off("change:boxes change:labels", this.redraw);
    this.model.off("change:boxes change:labels change:paused change:camera", this.restate);
    this.inSight = false;
    this.root.remove();
  }

  toggle(name, text, hint) {
    const button = make("button", `rededge-player-toggle rededge-player-toggle-${name}`, icon(name), make("span", "", text));
    button.type = "button";
    button.title = hint;
    button.addEventListener("click", () => this.flip(name));
    return button;
  }

  flip(name) {
    this.model.set(name, !this.model.get(name));
    this.model.save_changes();
  }

  onKey(event) {
    const act = { " ": "paused", p: "paused", b: "boxes", l: "labels" }[event.key];
    const onButton = event.target.closest("button");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && this.still) this.closeStill();
    else if (event.key === "Enter" && !onButton && !this.still) this.openStill();
    else if (act && !(onButton && event.key === " ")) this.flip(act);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Picture and boxes are drawn in one turn of the event loop, so that no screen ever shows those of two frames.
  paint(frame, isNew) {
    this.frame = frame;
    const { width, height } = frame.bitmap;
    if (this.picture.width !== width || this.picture.height !== height) {
      this.picture.width = width;
      this.picture.height = height;
      this.root.style.setProperty("--rededge-aspect", `${width} / ${height}`);
      this.root.style.setProperty("--rededge-width", `${width}px`);
      this.root.style.setProperty("--rededge-ratio", width / height);
      this.root.classList.add("rededge-player-has-frame");
    }
    this.picture.getContext("2d").drawImage(frame.bitmap, 0, 0);
    this.draw();
    if (isNew) this.measure(frame);
    this.showState();
    if (!isNew) return;
    this.paints += 1;
    const { ref, number, live } = frame;
    const detail = { ref, number, live, detected: Boolean(frame.boxes), people: frame.people, drawn: this.drawn, paints: this.paints, latency: this.latency };
    this.root.dispatchEvent(new CustomEvent("rededge-paint", { bubbles: true, detail }));
  }

  measure(frame) {
    const now = Date.now();
    this.latency = now - frame.ts;
    if (!frame.live) {
      this.times = [];
      this.delays = [];
      return;
    }
    this.times.push(now);
    this.delays.push(this.latency);
    while (this.times[0] < now - RATE_WINDOW_MS) {
      this.times.shift();
      this.delays.shift();
    }
  }

  draw() {
    const frame = this.frame;
    if (!frame) return;
    const ratio = window.devicePixelRatio || 1;
    const shown = this.stage.getBoundingClientRect();
    const width = Math.round(shown.width * ratio);
    const height = Math.round(shown.height * ratio);
    if (this.overlay.width !== width || this.overlay.height !== height) {
      this.overlay.width = width;
      this.overlay.height = height;
    }
    const context = this.overlay.getContext("2d");
    context.clearRect(0, 0, width, height);
    this.drawn = [];
    if (!frame.boxes || !this.model.get("boxes")) return this.showTip(null);
    const scale = width / this.picture.width;
    const pointed = this.pointer && boxAt(frame.boxes, this.pointer);
    this.drawn = drawBoxes(context, frame, { scale, unit: ratio, labels: this.model.get("labels"), pointed });
    this.showTip(pointed);
  }

  point(event) {
    this.pointer = null;
    if (event && this.frame) {
      const shown = this.stage.getBoundingClientRect();
      const scale = this.picture.width / shown.width;
      this.pointer = { x: (event.clientX - shown.left) * scale, y: (event.clientY - shown.top) * scale };
    }
    this.draw();
  }

  showTip(index) {
    this.tip.hidden = index === null;
    if (index === null) return;
    const [left, top, right, bottom] = this.frame.boxes[index];
    const size = `${Math.round(right - left)} × ${Math.round(bottom - top)} px`;
    this.tip.textContent = [label(this.frame, index, true), size].join(" · ");
    const shown = this.stage.clientWidth / this.picture.width;
    const x = Math.min(Math.max(0, this.pointer.x * shown + 14), this.stage.clientWidth - this.tip.offsetWidth - 4);
    const y = Math.min(Math.max(0, this.pointer.y * shown + 18), this.stage.clientHeight - this.tip.offsetHeight - 4);
    this.tip.style.transform = `translate(${x}px, ${y}px)`;
  }

  showState() {
    const { frame, model } = this;
    const camera = `camera ${model.get("camera")}`;
    const paused = model.get("paused");
    this.root.setAttribute("aria-label", camera);
    for (const [name, button] of Object.entries(this.toggles)) button.setAttribute("aria-pressed", String(model.get(name)));
    say(this.notice, paused ? "" : this.page.notice);
    if (!frame) {
      say(this.about, camera);
      this.stage.setAttribute("aria-label", `${camera}, no frame yet`);
      return;
    }
    const people = frame.boxes ? `${frame.people} ${frame.people === 1 ? "person" : "people"}` : "";
    say(this.count, people);
    say(this.mark, paused ? "paused" : frame.boxes ? "" : "no detections");
    // a change of text costs more than painting a frame, and nobody reads 25 in a second
    const now = performance.now();
    if (now - this.textAt < TEXT_INTERVAL_MS && !paused) return;
    this.textAt = now;
    say(this.meter, paused ? "" : this.reading());
    say(this.about, `${camera} · frame ${frame.number} · ${clock(frame.ts)}`);
    this.stage.setAttribute("aria-label", `${camera}, ${people || "no detections"}; open the frame in full size`);
  }

  reading() {
    const now = Date.now();
    const recent = this.times.filter((time) => time >= now - RATE_WINDOW_MS).length;
    if (!this.frame.live || !recent) return `still of ${clock(this.frame.ts)}`;
    const spread = this.times.at(-1) - this.times[0];
    const rate = spread ? `${((1000 * (this.times.length - 1)) / spread).toFixed(1)} fps` : "";
    const middle = [...this.delays].sort((a, b) => a - b)[this.delays.length >> 1];
    const delay = middle < 0 ? "clocks differ" : middle < 10000 ? `${middle} ms` : `${Math.round(middle / 1000)} s`;
    return `capture → screen ${delay}${rate && ` · ${rate}`}`;
  }

  openStill() {
    if (!this.frame || this.still) return;
    const { width, height } = this.picture;
    const canvas = make("canvas", "rededge-player-still-picture");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    context.drawImage(this.picture, 0, 0);
    if (this.frame.boxes && this.model.get("boxes")) {
      drawBoxes(context, this.frame, { scale: 1, unit: 1, labels: this.model.get("labels"), pointed: null });
    }
    const close = make("button", "rededge-player-still-close", "Close");
    close.type = "button";
    close.title = "Close (Esc)";
    const { number, ts } = this.frame;
    const camera = `camera ${this.model.get("camera")}`;
    const about = [camera, `frame ${number}`, clock(ts), `${width} × ${height} px`, this.count.textContent]
      .filter(Boolean).join(" · ");
    const head = make("div", "rededge-player-still-head", make("span", "", about), close);
    this.still = make("div", "rededge-player-still", head, make("div", "rededge-player-still-body", canvas));
    this.still.setAttribute("role", "dialog");
    this.still.setAttribute("aria-label", `${about}, full size`);
    this.still.addEventListener("click", () => this.closeStill());
    this.root.style.setProperty("--rededge-still-height", `${height + 48}px`);
    this.root.classList.add("rededge-player-has-still");
    this.root.append(this.still);
    close.focus({ preventScroll: true });
  }

  closeStill() {
    this.still.remove();
    this.still = null;
    this.root.classList.remove("rededge-player-has-still");
    this.stage.focus({ preventScroll: true });
  }
}

// Draws the boxes of a frame and returns them, each as it was in the frame.
function drawBoxes(context, frame, { scale, unit, labels, pointed }) {
  const line = 2 * unit * Math.max(1, Math.min(context.canvas.width, context.canvas.height) / (unit * 720));
  const rectangles = frame.boxes.map((box) => box.map((value) => value * scale));
  const stroke = (box, color, width) => {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  };
  context.lineJoin = "round";
  // a dark line around the bright one keeps it visible on any background
  for (const box of rectangles) stroke(box, "rgba(18, 22, 28, 0.75)", line * 2);
  const drawn = rectangles.map((box, index) => {
    stroke(box, YELLOW, line);
    return frame.boxes[index];
  });
  if (labels) drawLabels(context, frame, rectangles, unit);
  if (pointed !== null) {
    const box = rectangles[pointed];
    context.fillStyle = "rgba(255, 220, 60, 0.18)";
    context.fillRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
    stroke(box, "white", line * 1.5);
  }
  return drawn;
}

// A label stands where it hides no other one, if there is such a place, and is short at a narrow box.
function drawLabels(context, frame, rectangles, unit) {
  const size = Math.round(11 * unit);
  const pad = 4 * unit;
  const high = size + pad;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const width = (text) => context.measureText(text).width + 2 * pad;
  const placed = [];
  const free = (x, y, wide) =>
    placed.every((one) => x >= one.x + one.wide || one.x >= x + wide || y >= one.y + high || one.y >= y + high);
  rectangles.forEach(([left, top, right, bottom], index) => {
    const long = label(frame, index, true);
    const text = width(long) * 0.6 <= right - left ? long : label(frame, index, false);
    const wide = width(text);
    const x = Math.min(Math.max(0, left), context.canvas.width - wide);
    const spots = [top - high, top, bottom, bottom - high].filter((y) => y >= 0 && y + high <= context.canvas.height);
    const y = spots.find((spot) => free(x, spot, wide)) ?? spots[0] ?? 0;
    placed.push({ x, y, wide });
    context.fillStyle = YELLOW;
    context.fillRect(x, y, wide, high);
    context.fillStyle = DARK;
    context.fillText(text, x + pad, y + high / 2 + unit * 0.5);
  });
}

function label(frame, index, long) {
  const value = frame.confidence[index];
  const percent = value === null ? "" : `${Math.round(value * 100)}%`;
  return long || !percent || frame.tracked ? `${frame.names[index]} ${percent}`.trim() : percent;
}

// The smallest box at a point of the frame.
function boxAt(boxes, { x, y }) {
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  return boxes.reduce((best, box, index) => {
    const inside = x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    return inside && (best === null || area(box) < area(boxes[best])) ? index : best;
  }, null);
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour12: false });
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const ICONS = {
  paused: "M3 2h3.5v12H3zM9.5 2H13v12H9.5z",
  boxes: "M1 1h5v2H3v3H1zM10 1h5v5h-2V3h-3zM1 10h2v3h3v2H1zM13 10h2v5h-5v-2h3z",
  labels: "M1 3h9l5 5-5 5H1zM4 7v2h2V7z",
};

function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  path.setAttribute("fill-rule", "evenodd");
  drawing.append(path);
  return drawing;
}
