// The player of notebooks and of the web page: paints the frames that are sent, and draws their boxes over them.
// Nothing from Redis is ever parsed as HTML.

const RATE_WINDOW_MS = 2000;
const TEXT_INTERVAL_MS = 250;
const PAUSE = {
  attribute: "paused",
  text: "Pause picture",
  hint: "Pause the picture; the capture and the gear continue",
  key: " ",
  keyName: "space",
  icon: "M3 2h3.5v12H3zM9.5 2H13v12H9.5z",
};

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

// One view of the player: the frame, what is drawn over it, the buttons, and the dialog with the frame in full size.
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
    this.silent = false;
    this.toggles = [PAUSE, ...LAYERS.flatMap((layer) => layer.toggles ?? [])];
    this.attributes = this.toggles.map(({ attribute }) => `change:${attribute}`).join(" ");
    this.build(el);
    this.update = () => {
      this.draw();
      this.showState();
    };
    model.on(`${this.attributes} change:camera`, this.update);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries.at(-1).isIntersecting;
      receiver.update();
    });
    this.sight.observe(this.root);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.stage);
    this.place = model.get("compact") ? new GridPlace(this.root) : null;
    this.showState();
  }

  build(el) {
    this.image = make("canvas", "rededge-player-image");
    this.overlay = make("canvas", "rededge-player-overlay");
    this.count = make("div", "rededge-player-count");
    this.mark = make("div", "rededge-player-mark");
    const badges = make("div", "rededge-player-badges", this.count, this.mark);
    this.tip = make("div", "rededge-player-tip");
    this.notice = make("div", "rededge-player-notice");
    this.notice.setAttribute("role", "status");
    for (const each of [this.count, this.mark, this.tip, this.notice]) each.hidden = true;
    this.stage = make("div", "rededge-player-stage", this.image, this.overlay, badges, this.tip, this.notice);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "button");
    this.buttons = new Map(this.toggles.map((toggle) => [toggle.attribute, this.button(toggle)]));
    this.about = make("span", "rededge-player-about");
    this.about.title =
      "Delay: from the capture of the frame (camera's clock) to its painting (this computer's clock). " +
      `Rate: frames painted per second. Times: ${TIME_ZONE}; of a recording, the position in it.`;
    this.bar = make("div", "rededge-player-bar", ...this.buttons.values(), this.about);
    this.root = make("div", "rededge-player", this.stage, this.bar);
    this.root.classList.toggle("rededge-player-compact", Boolean(this.model.get("compact")));
    this.root.setAttribute("role", "group");
    // without this, JupyterLab would use keys such as b for its own commands
    this.root.dataset.lmSuppressShortcuts = "true";
    this.stage.addEventListener("click", () => this.open());
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => this.point(null));
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    el.append(this.root);
    this.editor = new SceneEditor(this);
    this.bar.insertBefore(this.editor.open, this.about);
    this.root.append(this.editor.bar);
  }

  remove() {
    this.sight.disconnect();
    this.sizes.disconnect();
    clearTimeout(this.textTimer);
    this.editor.remove();
    this.model.off(`${this.attributes} change:camera`, this.update);
    this.inSight = false;
    this.dialog?.close();
    this.root.remove();
    this.place?.remove();
  }

  button({ attribute, text, hint, key, keyName, icon }) {
    const className = `rededge-player-toggle rededge-player-toggle-${attribute}`;
    const button = make("button", className, drawIcon(icon), make("span", "", text));
    button.type = "button";
    button.title = `${hint} (${keyName ?? key})`;
    button.addEventListener("click", () => this.toggle(attribute));
    return button;
  }

  toggle(attribute) {
    this.model.set(attribute, !this.model.get(attribute));
    this.model.save_changes();
  }

  onKey(event) {
    if (this.editor.active && this.editor.onKey(event)) return;
    const pressed = this.toggles.find(({ key }) => key === event.key);
    const onButton = event.target.closest("button");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && !onButton) this.open();
    else if (pressed && !(onButton && event.key === " ")) this.toggle(pressed.attribute);
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
      this.root.style.setProperty("--rededge-frame-width", `${width}px`);
      this.root.style.setProperty("--rededge-ratio", width / height);
      // for the columns of a page, where the charts take what the picture leaves
      this.root.closest(".rededge-beside")?.style.setProperty("--rededge-shown-ratio", width / height);
      this.root.classList.add("rededge-player-has-frame");
      this.place?.arrange();
    }
    this.image.getContext("2d").drawImage(frame.bitmap, 0, 0);
    this.draw();
    if (isNew) this.measure(frame);
    this.showState();
    if (!isNew) return;
    this.paints += 1;
    const { ref, number, live, people, boxes, colors, trails } = frame;
    const drawn = boxes && this.model.get("boxes") ? boxes : [];
    const seen = { ref, number, live, people, boxes, colors, trails, detected: Boolean(boxes) };
    const detail = { ...seen, drawn, paints: this.paints, latency: this.latency };
    this.root.dispatchEvent(new CustomEvent("rededge-paint", { bubbles: true, detail }));
  }

  measure(frame) {
    const now = Date.now();
    this.latency = now - (frame.read ?? frame.ts);
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
    if (!this.frame) return;
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
    const pointed = this.drawLayers(context, width / this.image.width, ratio);
    this.showTip(pointed);
  }

  drawLayers(context, scale, unit) {
    const { frame, model, editor } = this;
    const pointed = this.pointer && !editor?.active && frame.boxes && model.get("boxes") ? boxAt(frame.boxes, this.pointer) : null;
    for (const layer of LAYERS) layer.draw(context, { frame, model, editor, scale, unit, pointed });
    return pointed;
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
    const texts = [labelOf(this.frame, index, true), presenceOf(this.frame, index), size];
    this.tip.textContent = texts.filter(Boolean).join(" · ");
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
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(Boolean(model.get(name))));
    setText(this.notice, paused ? "" : this.receiver.notice);
    const silent = this.receiver.silent && !paused;
    if (silent !== this.silent) {
      this.silent = silent;
      this.root.classList.toggle("rededge-player-silent", silent);
      this.root.dispatchEvent(new CustomEvent("rededge-silent", { bubbles: true, detail: { silent } }));
    }
    const action = model.get("compact") ? "show this camera" : "open the frame in full size";
    setText(this.mark, !frame ? "" : paused ? "paused" : silent ? "silent" : "");
    if (!frame) {
      setText(this.count, model.get("compact") ? model.get("camera") : "");
      setText(this.about, camera);
      this.stage.setAttribute("aria-label", `${camera}, no frame yet`);
      return;
    }
    const badge = frame.boxes ? frame.amount : "no detections";
    setText(this.count, model.get("compact") ? `${model.get("camera")} · ${badge}` : badge);
    // a change of text takes longer than painting a frame, and nobody reads 25 texts in a second
    const now = performance.now();
    clearTimeout(this.textTimer);
    if (now - this.textAt < TEXT_INTERVAL_MS && !paused && !silent) {
      // the text must be that of the frame, also if no other one follows
      this.textTimer = setTimeout(() => this.showState(), TEXT_INTERVAL_MS);
      return;
    }
    this.textAt = now;
    const about = [camera, `frame ${frame.number}`, shownTime(frame), paused ? "" : this.reading()];
    setText(this.about, about.filter(Boolean).join(" · "));
    this.stage.setAttribute("aria-label", `${camera}, ${silent ? "silent, last frame with " : ""}${badge}; ${action}`);
  }

  // Delay and rate of the frames that are arriving; empty if none are.
  reading() {
    const now = Date.now();
    const recent = this.times.filter((time) => time >= now - RATE_WINDOW_MS).length;
    if (!this.frame.live || !recent) return "";
    const spread = this.times.at(-1) - this.times[0];
    const rate = spread ? ` · ${((1000 * (this.times.length - 1)) / spread).toFixed(1)} fps` : "";
    const median = [...this.delays].sort((a, b) => a - b)[this.delays.length >> 1];
    const delay = median < 0 ? "clocks differ" : median < 10000 ? `${median} ms` : `${Math.round(median / 1000)} s`;
    return `delay ${delay}${rate}`;
  }

  // In a grid of cameras a click selects the camera.
  open() {
    if (this.editor.active) return;
    if (!this.model.get("compact")) return this.openFullSize();
    this.receiver.send({ kind: "open" });
    const detail = { camera: this.model.get("camera") };
    this.root.dispatchEvent(new CustomEvent("rededge-open", { bubbles: true, detail }));
  }

  // A modal dialog lies above the whole page, in JupyterLab, too; the browser keeps the focus in it and closes it on Esc.
  openFullSize() {
    if (!this.frame || this.dialog) return;
    const { width, height } = this.image;
    const canvas = make("canvas", "rededge-player-full-image");
    canvas.width = width;
    canvas.height = height;
    canvas.style.setProperty("--rededge-ratio", width / height);
    const context = canvas.getContext("2d");
    context.drawImage(this.image, 0, 0);
    this.pointer = null;
    this.drawLayers(context, 1, 1);
    const close = make("button", "rededge-player-toggle", "Close");
    close.type = "button";
    close.title = "Close (Esc)";
    const { number } = this.frame;
    const camera = `camera ${this.model.get("camera")}`;
    const about = [camera, `frame ${number}`, shownTime(this.frame), `${width} × ${height} px`, this.count.textContent].join(" · ");
    const head = make("div", "rededge-player-full-head", make("span", "", about), close);
    const dialog = make("dialog", "rededge-player-full", head, canvas);
    dialog.setAttribute("aria-label", `${about}, full size`);
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      this.dialog = null;
      this.stage.focus({ preventScroll: true });
    });
    document.body.append(dialog);
    this.dialog = dialog;
    dialog.showModal();
  }
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

function drawIcon(path) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  shape.setAttribute("fill-rule", "evenodd");
  drawing.append(shape);
  return drawing;
}
