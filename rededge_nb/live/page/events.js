// Active alarms and the newest events, in notebooks and on the web page. Everything from Redis is set as text: nothing in
// it is read as HTML.

const ANSWER_MS = 30000;
const FILTERS = {
  kind: {
    label: "Kind",
    options: {
      "": ["all events", () => true],
      alarms: ["alarms", (event) => event.alarm !== ""],
      lines: ["lines", (event) => event.kind === "line_crossed"],
      zones: ["zones", (event) => event.kind.startsWith("zone_")],
      system: ["system", (event) => !/^(alarm_|line_|zone_)/.test(event.kind)],
    },
  },
  severity: {
    label: "Severity",
    options: {
      "": ["any severity", () => true],
      warning: ["warnings and alarms", (event) => event.severity !== "info"],
      alarm: ["alarms only", (event) => event.severity === "alarm"],
    },
  },
};

const element = (tag, className, ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

// When it happened: in a recording, the position.
const timeOf = ({ ts, position }) => {
  if (position !== null) return positionText(1000 * position);
  const at = new Date(ts);
  const time = at.toLocaleTimeString([], { hour12: false });
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
};

const atTime = (event) => (event.position === null ? timeOf(event) : `at ${timeOf(event)}`);

class EventList {
  constructor(model, el) {
    this.model = model;
    this.filter = { kind: "", severity: "" };
    this.waiting = null;
    this.dialog = new EventDialog(() => this.onDialogClosed());
    this.build(el);
    this.draw = () => this.drawAll();
    this.receive = (content, buffers) => this.onMessage(content, buffers);
    this.changes = "change:events change:alarms change:editable change:several";
    model.on(this.changes, this.draw);
    model.on("msg:custom", this.receive);
    this.draw();
  }

  build(el) {
    const filters = Object.entries(FILTERS).map(([name, { label, options }]) => {
      const select = element("select");
      select.setAttribute("aria-label", label);
      for (const [value, [text]] of Object.entries(options)) select.append(new Option(text, value));
      select.addEventListener("change", () => {
        this.filter[name] = select.value;
        this.drawEvents();
      });
      return select;
    });
    this.heading = element("h4", "", "Events");
    this.alarms = element("ul", "rededge-events-alarms");
    this.alarms.setAttribute("aria-label", "Active alarms");
    this.alarms.setAttribute("aria-live", "assertive");
    this.message = element("div", "rededge-events-message");
    this.message.setAttribute("role", "status");
    this.list = element("ul", "rededge-events-list");
    this.list.setAttribute("aria-label", "Newest events");
    this.empty = element("div", "rededge-events-empty");
    const head = element("div", "rededge-events-head", this.heading, ...filters);
    const body = element("div", "rededge-events-body", head, this.message, this.list, this.empty);
    // a page may place the alarms elsewhere than the list
    this.root = element("section", "rededge-events", this.alarms, body);
    this.root.setAttribute("aria-label", "Events");
    // without this, JupyterLab would use the keys for its own commands
    this.root.dataset.lmSuppressShortcuts = "true";
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    el.append(this.root);
  }

  remove() {
    this.model.off(this.changes, this.draw);
    this.model.off("msg:custom", this.receive);
    clearTimeout(this.timer);
    this.dialog.root.close();
    this.root.remove();
  }

  drawAll() {
    this.drawAlarms();
    this.drawEvents();
  }

  // Active alarms stay here until they are cleared or acknowledged.
  drawAlarms() {
    const open = this.model.get("alarms").filter(({ acknowledged }) => acknowledged === null);
    this.keepingFocus(this.alarms, () => this.alarms.replaceChildren(...open.map((alarm) => this.alarmItem(alarm))));
    this.alarms.hidden = !open.length;
  }

  alarmItem(alarm) {
    const about = this.about(alarm);
    const text = element("span", "rededge-events-text", about);
    const item = element("li", "rededge-events-alarm", text, element("span", "rededge-events-time", `since ${timeOf(alarm)}`));
    item.dataset.severity = alarm.severity;
    if (alarm.frame || alarm.clip) item.append(this.button("Show", `Show: ${about}`, `show ${alarm.id}`, () => this.open(alarm)));
    if (this.model.get("editable"))
      item.append(this.button("Acknowledge", `Acknowledge: ${about}`, `ok ${alarm.id}`, () => this.ask("acknowledge", alarm)));
    return item;
  }

  button(text, name, id, onClick) {
    const button = element("button", "", text);
    button.type = "button";
    button.dataset.id = id;
    button.setAttribute("aria-label", name);
    button.addEventListener("click", onClick);
    return button;
  }

  drawEvents() {
    const all = this.model.get("events");
    const chosen = Object.entries(FILTERS).map(([name, { options }]) => options[this.filter[name]][1]);
    const shown = all.filter((event) => chosen.every((accepts) => accepts(event)));
    this.keepingFocus(this.list, () => this.list.replaceChildren(...shown.map((event) => this.eventItem(event))));
    this.list.hidden = !shown.length;
    this.empty.textContent = shown.length ? "" : all.length ? "no event passes the filter" : "no events yet: draw lines and zones, and add rules";
    this.empty.hidden = Boolean(shown.length);
  }

  eventItem(event) {
    const image = element("span", "rededge-events-image");
    if (event.image) {
      const small = element("img");
      small.alt = "";
      small.src = `data:image/jpeg;base64,${event.image}`;
      image.append(small);
    }
    const text = element("span", "rededge-events-text", this.about(event));
    const time = element("span", "rededge-events-time", atTime(event));
    const row = element("button", "rededge-events-row", image, text, time);
    row.type = "button";
    row.dataset.id = event.id;
    row.dataset.kind = event.kind;
    row.dataset.severity = event.severity;
    const shows = event.clip ? "clip" : event.frame ? "frame" : "";
    if (event.track !== null) text.append(" ", element("span", "rededge-events-track", `#${event.track}`));
    if (event.clip) text.append(" ", element("span", "rededge-events-badge", "clip"));
    row.setAttribute("aria-label", [this.about(event), time.textContent, event.severity, shows && `show the ${shows}`].filter(Boolean).join(", "));
    if (shows) row.addEventListener("click", () => this.open(event));
    else row.setAttribute("aria-disabled", "true");
    return element("li", "", row);
  }

  about(event) {
    if (!event.camera) return event.text;
    const camera = this.model.get("several") || event.kind.startsWith("camera_") ? `camera ${event.camera}: ` : "";
    return `${camera}${event.text}`;
  }

  // Drawing makes new elements, and the one with the focus must not lose it.
  keepingFocus(list, draw) {
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const { scrollTop } = list;
    draw();
    list.scrollTop = scrollTop;
    if (focused === null) return;
    const buttons = [...list.querySelectorAll("button")];
    buttons.find(({ dataset }) => dataset.id === focused)?.focus({ preventScroll: true });
  }

  onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!(event.key in steps)) return;
    const rows = [...this.list.querySelectorAll("button")];
    rows[rows.indexOf(document.activeElement) + steps[event.key]]?.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  open(event) {
    this.opened = event;
    this.dialog.open(`${this.about(event)} · ${atTime(event)}`);
    this.ask("open", event);
  }

  ask(kind, { id }) {
    this.message.textContent = "";
    this.waiting = id;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.say("no answer: is the kernel or the server busy?"), ANSWER_MS);
    try {
      this.model.send({ kind, id });
    } catch {
      this.say("no answer: the kernel has ended");
    }
  }

  onMessage(content, buffers) {
    if (content.id !== this.waiting) return;
    clearTimeout(this.timer);
    this.waiting = null;
    if (content.kind === "refused") return this.say(content.reason);
    if (content.kind !== "opened" || !this.dialog.root.open) return;
    const about = this.about(this.opened);
    if (content.show === "clip") this.dialog.showClip(buffers[0], about);
    else if (content.show === "frame") this.dialog.showFrame(buffers[0], about);
    else this.dialog.showText(content.reason);
  }

  say(text) {
    if (this.dialog.root.open) this.dialog.showText(text);
    else this.message.textContent = text;
  }

  onDialogClosed() {
    const rows = [...this.root.querySelectorAll("button")];
    rows.find(({ dataset }) => dataset.id?.endsWith(this.opened?.id))?.focus({ preventScroll: true });
  }
}

// The kernel sends only those events that are new or have changed, and the ids of all.
function merge(model, { kind, events, ids }) {
  if (kind !== "changes") return;
  const known = new Map([...model.get("events"), ...events].map((event) => [event.id, event]));
  if (ids.every((id) => known.has(id))) model.set("events", ids.map((id) => known.get(id)));
  else model.send({ kind: "missing" });
}

export default () => ({
  // also while no view of the model is on the page
  initialize({ model }) {
    const receive = (content) => merge(model, content);
    model.on("msg:custom", receive);
    return () => model.off("msg:custom", receive);
  },
  render({ model, el }) {
    const list = new EventList(model, el);
    return () => list.remove();
  },
});
