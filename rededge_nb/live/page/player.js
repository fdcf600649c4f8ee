// The player of notebooks and of the web page: paints the frames that are sent, and draws their boxes over them.
// Nothing from Redis is ever parsed as HTML.

const RATE_WINDOW_MS = 2000;
const TEXT_INTERVAL_MS = 250;

export default () => {
  let receiver;
  return {
    initialize({ model }) {
      receiver = new FrameReceiver(model);
      return () => receiver.close();
    },
    render({ model, el }) {
      const view = new PlayerView(model, el, receiver);
      receiver.add(view);
      return () => receiver.remove(view);
    },
  };
};

// One view of the player: the frame, its boxes, the buttons, and the dialog with the frame in full size.
class PlayerView {
  constructor(model, el, receiver) {
    this.model = model;
    this.receiver = receiver;
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
      receiver.update();
    });
    this.sight.observe(this.root);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.stage);
    this.showState();
  }

  build(el) {
    this.image = make("canvas", "rededge-player-image");
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
    this.stage = make("div", "rededge-player-stage", this.image, this.overlay, this.count, this.mark, this.meter, this.tip);
    this.stage.append(this.notice);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "button");
    this.toggles = {
      paused: this.toggle("paused", "Pause", "Pause the video (space)"),
      boxes: this.toggle("boxes", "Boxes", "Show boxes (b)"),
      labels: this.toggle("labels", "Labels", "Show labels (l)"),
    };
    this.about = make("span", "rededge-player-about");
    this.bar = make("div", "rededge-player-bar", ...Object.values(this.toggles), this.about);
    this.root = make("div", "rededge-player", this.stage, this.bar);
    this.root.setAttribute("role", "group");
    // without this, JupyterLab would use keys such as b for its own commands
    this.root.dataset.lmSuppressShortcuts = "true";
    this.stage.addEventListener("click", () => this.openFullSize());
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
    if (event.key === "Escape" && this.fullSize) this.closeFullSize();
    else if (event.key === "Enter" && !onButton && !this.fullSize) this.openFullSize();
    else if (act && !(onButton && event.key === " ")) this.flip(act);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Image and boxes are drawn in one turn of the event loop, so that the screen never shows boxes of another frame.
  paint(frame, isNew) {
    this.frame = frame;
    const { width, height } = frame.bitmap;
    if (this.image.width !== width || this.image.height !== height) {
      this.image.width = width;
      this.image.height = height;
      this.root.style.setProperty("--rededge-aspect", `${width} / ${height}`);
      this.root.style.setProperty("--rededge-width", `${width}px`);
      this.root.style.setProperty("--rededge-ratio", width / height);
      this.root.classList.add("rededge-player-has-frame");
    }
    this.image.getContext("2d").drawImage(frame.bitmap, 0, 0);
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
    const scale = width / this.image.width;
    const pointed = this.pointer && boxAt(frame.boxes, this.pointer);
    this.drawn = frame.boxes;
    drawBoxes(context, frame, { scale, unit: ratio, labels: this.model.get("labels"), pointed });
    this.showTip(pointed);
  }

  point(event) {
    this.pointer = null;
    if (event && this.frame) {
      const shown = this.stage.getBoundingClientRect();
      const scale = this.image.width / shown.width;
      this.pointer = { x: (event.clientX - shown.left) * scale, y: (event.clientY - shown.top) * scale };
    }
    this.draw();
  }

  showTip(index) {
    this.tip.hidden = index === null;
    if (index === null) return;
    const [left, top, right, bottom] = this.frame.boxes[index];
    const size = `${Math.round(right - left)} × ${Math.round(bottom - top)} px`;
    this.tip.textContent = [labelOf(this.frame, index, true), size].join(" · ");
    const shown = this.stage.clientWidth / this.image.width;
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
    setText(this.notice, paused ? "" : this.receiver.notice);
    if (!frame) {
      setText(this.about, camera);
      this.stage.setAttribute("aria-label", `${camera}, no frame yet`);
      return;
    }
    const people = frame.boxes ? `${frame.people} ${frame.people === 1 ? "person" : "people"}` : "";
    setText(this.count, people);
    setText(this.mark, paused ? "paused" : frame.boxes ? "" : "no detections");
    // a change of text takes longer than painting a frame, and nobody reads 25 texts in a second
    const now = performance.now();
    if (now - this.textAt < TEXT_INTERVAL_MS && !paused) return;
    this.textAt = now;
    setText(this.meter, paused ? "" : this.reading());
    setText(this.about, `${camera} · frame ${frame.number} · ${clock(frame.ts)}`);
    this.stage.setAttribute("aria-label", `${camera}, ${people || "no detections"}; open the frame in full size`);
  }

  reading() {
    const now = Date.now();
    const recent = this.times.filter((time) => time >= now - RATE_WINDOW_MS).length;
    if (!this.frame.live || !recent) return `image of ${clock(this.frame.ts)}`;
    const spread = this.times.at(-1) - this.times[0];
    const rate = spread ? `${((1000 * (this.times.length - 1)) / spread).toFixed(1)} fps` : "";
    const middle = [...this.delays].sort((a, b) => a - b)[this.delays.length >> 1];
    const delay = middle < 0 ? "clocks differ" : middle < 10000 ? `${middle} ms` : `${Math.round(middle / 1000)} s`;
    return `capture → screen ${delay}${rate && ` · ${rate}`}`;
  }

  openFullSize() {
    if (!this.frame || this.fullSize) return;
    const { width, height } = this.image;
    const canvas = make("canvas", "rededge-player-full-image");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    context.drawImage(this.image, 0, 0);
    if (this.frame.boxes && this.model.get("boxes")) {
      drawBoxes(context, this.frame, { scale: 1, unit: 1, labels: this.model.get("labels"), pointed: null });
    }
    const close = make("button", "rededge-player-full-close", "Close");
    close.type = "button";
    close.title = "Close (Esc)";
    const { number, ts } = this.frame;
    const camera = `camera ${this.model.get("camera")}`;
    const about = [camera, `frame ${number}`, clock(ts), `${width} × ${height} px`, this.count.textContent]
      .filter(Boolean).join(" · ");
    const head = make("div", "rededge-player-full-head", make("span", "", about), close);
    this.fullSize = make("div", "rededge-player-full", head, make("div", "rededge-player-full-body", canvas));
    this.fullSize.setAttribute("role", "dialog");
    this.fullSize.setAttribute("aria-label", `${about}, full size`);
    this.fullSize.addEventListener("click", () => this.closeFullSize());
    this.root.style.setProperty("--rededge-full-height", `${height + 48}px`);
    this.root.classList.add("rededge-player-has-full");
    this.root.append(this.fullSize);
    close.focus({ preventScroll: true });
  }

  closeFullSize() {
    this.fullSize.remove();
    this.fullSize = null;
    this.root.classList.remove("rededge-player-has-full");
    this.stage.focus({ preventScroll: true });
  }
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour12: false });
}

function setText(element, text) {
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
