// The editor of the scene, on the stage of the player: draw, move, name, reverse, delete and undo; one button saves.
//
// Mouse and touch use the same pointer events: drag a line, tap the corners of a zone. With the keyboard, arrow keys move
// a cross, the space bar sets a point, Enter closes a zone. Nothing is stored before `Save`, which sends the whole scene
// with the version that the editing began with: the other side refuses it if somebody else has saved meanwhile.

const NEAR = 14; // CSS pixels within which a pointer is on a point or line
const STEP = 0.02; // of the frame, with the arrow keys; a quarter of it with Shift
const TOOLS = { line: "lines", zone: "zones", mask: "masks" };
const NAME = /^[A-Za-z0-9_.-]{1,32}$/;

class SceneEditor {
  constructor(view) {
    this.view = view;
    this.model = view.model;
    this.active = false;
    this.reset();
    this.open = make("button", "rededge-player-toggle rededge-player-edit", "Edit lines and zones");
    this.open.type = "button";
    this.open.addEventListener("click", () => (this.active ? this.cancel() : this.begin()));
    this.bar = this.build();
    this.bar.hidden = true;
    this.onState = () => this.show();
    this.onReply = (content) => this.receive(content);
    this.model.on("change:scene change:editable", this.onState);
    this.model.on("msg:custom", this.onReply);
    const stage = view.stage;
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
      stage.addEventListener(kind, (event) => this.active && this.onPointer(event));
    stage.addEventListener("dblclick", () => this.active && this.finish());
    this.show();
  }

  remove() {
    this.model.off("change:scene change:editable", this.onState);
    this.model.off("msg:custom", this.onReply);
  }

  reset() {
    this.scene = null;
    this.version = 0;
    this.tool = null;
    this.draft = [];
    this.cursor = null;
    this.selected = null;
    this.drag = null;
    this.history = [];
    this.changed = false;
    this.said = "";
  }

  build() {
    const button = (name, text, title, action) => {
      const made = make("button", `rededge-player-toggle rededge-player-edit-${name}`, text);
      made.type = "button";
      made.title = title;
      made.addEventListener("click", () => {
        action();
        if (this.active) this.view.stage.focus({ preventScroll: true });
      });
      return made;
    };
    this.tools = new Map(
      Object.keys(TOOLS).map((tool) => [
        tool,
        button(tool, tool[0].toUpperCase() + tool.slice(1), HINTS[tool], () => this.choose(tool)),
      ]),
    );
    this.items = make("select", "rededge-player-edit-items");
    this.items.title = "What is selected";
    this.items.setAttribute("aria-label", "selected line, zone or mask");
    this.items.addEventListener("change", () => this.select(this.items.value ? JSON.parse(this.items.value) : null));
    const field = (name, label) => {
      const input = make("input", `rededge-player-edit-${name}`);
      input.maxLength = 32;
      input.size = 10;
      input.title = input.placeholder = label;
      input.setAttribute("aria-label", label);
      input.addEventListener("change", () => this.rename(name, input.value.trim()));
      return input;
    };
    this.fields = { name: field("name", "name"), forward: field("forward", "name of the arrow's direction") };
    this.fields.backward = field("backward", "name of the other direction");
    this.finishing = button("finish", "Close zone", "Close the zone (Enter)", () => this.finish());
    this.reversing = button("reverse", "Reverse", "Exchange the two sides of the line (r)", () => this.reverse());
    this.deleting = button("delete", "Delete", "Delete what is selected (Delete)", () => this.delete());
    this.undoing = button("undo", "Undo", "Undo the last change (Ctrl+Z)", () => this.undo());
    this.saving = button("save", "Save", "Save: in force with the next frame", () => this.save());
    this.canceling = button("cancel", "Cancel", "Leave without saving", () => this.cancel());
    this.text = make("span", "rededge-player-edit-text");
    this.text.setAttribute("role", "status");
    const { name, forward, backward } = this.fields;
    const first = [...this.tools.values(), this.finishing, this.items, name, forward, backward];
    const bar = make("div", "rededge-player-bar rededge-player-edit-bar", ...first, this.reversing, this.deleting);
    bar.append(this.undoing, this.saving, this.canceling, this.text);
    return bar;
  }

  begin() {
    const scene = this.model.get("scene");
    if (!this.model.get("editable") || !scene || !this.view.frame) return;
    this.reset();
    this.scene = structuredClone(scene);
    this.version = scene.version ?? 0;
    this.active = true;
    this.say("Choose Line or Zone, or select what is there.");
    this.view.stage.focus({ preventScroll: true });
  }

  cancel() {
    this.active = false;
    this.reset();
    this.show();
  }

  choose(tool) {
    this.finish();
    this.tool = this.tool === tool ? null : tool;
    this.draft = [];
    this.selected = null;
    this.cursor = null;
    this.say(this.tool ? HINTS[this.tool] : "");
  }

  select(selected) {
    this.tool = null;
    this.draft = [];
    this.selected = selected;
    this.show();
  }

  item() {
    return this.selected && this.scene[this.selected.part][this.selected.at];
  }

  pointsOfSelected() {
    return this.item() ? pointsOf(this.selected.part, this.item()) : [];
  }

  // The scene before a change is kept, so that the change can be undone.
  keep() {
    this.history.push(JSON.stringify(this.scene));
    this.changed = true;
  }

  undo() {
    if (this.draft.length) this.draft.pop();
    else if (this.history.length) {
      this.scene = JSON.parse(this.history.pop());
      this.selected = null;
      this.changed = this.history.length > 0;
    }
    this.show();
  }

  replace(item) {
    this.scene[this.selected.part][this.selected.at] = item;
  }

  rename(what, value) {
    const item = this.item();
    if (!item || item[what] === value) return;
    if (!NAME.test(value)) return this.say("A name has 1 to 32 letters, digits, '_', '-' or '.'.");
    const names = SCENE_PARTS.flatMap((part) => this.scene[part].map((each) => each.name));
    if (what === "name" && names.includes(value)) return this.say(`There is a ${value} already.`);
    this.keep();
    for (const rule of what === "name" ? this.scene.rules : [])
      for (const key of ["line", "zone"]) if (rule[key] === item.name) rule[key] = value;
    this.replace({ ...item, [what]: value });
    this.say("");
  }

  reverse() {
    if (this.selected?.part !== "lines") return;
    this.keep();
    this.replace({ ...this.item(), a: this.item().b, b: this.item().a });
    this.show();
  }

  delete() {
    if (!this.item()) return;
    this.keep();
    this.scene[this.selected.part].splice(this.selected.at, 1);
    this.select(null);
  }

  // The draft becomes a line, zone or mask; an unfinished one is thrown away.
  finish() {
    const part = TOOLS[this.tool];
    const enough = this.draft.length >= (this.tool === "line" ? 2 : 3);
    if (part && enough) {
      this.keep();
      const names = SCENE_PARTS.flatMap((each) => this.scene[each].map((item) => item.name));
      let number = 1;
      while (names.includes(`${this.tool}-${number}`)) number += 1;
      const name = `${this.tool}-${number}`;
      const directions = { name, forward: "forward", backward: "backward" };
      const item = { line: directions, zone: { name }, mask: { name, style: "black" } }[this.tool];
      this.scene[part].push(withPoints(part, item, this.draft));
      this.select({ part, at: this.scene[part].length - 1 });
      this.cursor = null;
      this.say("Give it a name, then save.");
    }
    this.draft = [];
    this.show();
  }

  add(point) {
    const last = this.draft.at(-1);
    if (last && this.distance(last, point) < 3) return;
    if (this.tool !== "line" && this.draft.length >= 3 && this.distance(this.draft[0], point) < NEAR) return this.finish();
    this.draft.push(point);
    if (this.tool === "line" && this.draft.length === 2) this.finish();
    else this.show();
  }

  save() {
    this.finish();
    this.say("Saving …");
    const rounded = (value) => Math.round(value * 1e5) / 1e5;
    const scene = JSON.parse(JSON.stringify(this.scene), (_, value) => (typeof value === "number" ? rounded(value) : value));
    this.view.receiver.send({ kind: "save", scene, version: this.version });
  }

  receive(content) {
    const { receiver } = this.view;
    if (!this.active || (content.page && content.page !== receiver.id)) return;
    if (content.kind === "saved") {
      this.cancel();
      this.view.stage.dispatchEvent(new CustomEvent("rededge-saved", { bubbles: true, detail: content }));
    } else if (content.kind === "refused") this.say(`Not saved: ${content.reason}`);
  }

  onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.target.closest("input, select")) return event.key !== "Escape";
    if ((event.ctrlKey || event.metaKey) && event.key === "z") this.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return false;
    else if (event.target.closest("button") && [" ", "Enter"].includes(event.key)) return true;
    else if (moves[event.key]) this.move(moves[event.key], event.shiftKey ? STEP / 4 : STEP);
    else if (event.key === " " && this.tool) this.add([...(this.cursor ??= [0.5, 0.5])]);
    else if (event.key === "Enter") this.finish();
    else if (event.key === "Delete" || event.key === "Backspace") this.delete();
    else if (event.key === "r") this.reverse();
    else if (event.key === "Escape") this.escape();
    else return true;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  escape() {
    if (this.draft.length || this.tool || this.selected) this.select(null);
    else if (!this.changed) this.cancel();
    else this.say("There are changes: save them, or cancel.");
  }

  // The arrow keys move the cross while something is drawn, and otherwise what is selected.
  move([dx, dy], step) {
    if (this.tool) {
      const [x, y] = this.cursor ?? [0.5, 0.5];
      this.cursor = [within(x + dx * step), within(y + dy * step)];
    } else if (this.item()) {
      this.keep();
      this.shift(this.pointsOfSelected(), dx * step, dy * step);
    }
    this.show();
  }

  shift(points, dx, dy) {
    const least = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
    const most = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
    const by = [dx, dy].map((value, axis) => Math.min(Math.max(value, -least[axis]), 1 - most[axis]));
    const moved = points.map((point) => [within(point[0] + by[0]), within(point[1] + by[1])]);
    this.replace(withPoints(this.selected.part, this.item(), moved));
  }

  onPointer(event) {
    const shown = this.view.stage.getBoundingClientRect();
    const point = [within((event.clientX - shown.left) / shown.width), within((event.clientY - shown.top) / shown.height)];
    event.preventDefault();
    if (event.type === "pointerdown" && event.button === 0) this.press(event, point);
    else if (event.type === "pointermove") this.pull(point);
    else if (event.type === "pointerup") this.release(point);
    else if (event.type === "pointercancel") this.drag = null;
    this.show();
  }

  press(event, point) {
    this.view.stage.focus({ preventScroll: true });
    this.view.stage.setPointerCapture(event.pointerId);
    if (this.tool) {
      this.drag = { start: point, drawing: true };
      this.add(point);
      return;
    }
    const handle = this.pointsOfSelected().findIndex((each) => this.distance(each, point) < NEAR);
    const found = handle >= 0 ? this.selected : this.find(point);
    this.selected = found;
    if (found) this.drag = { start: point, handle, points: structuredClone(this.pointsOfSelected()), kept: false };
  }

  pull(point) {
    if (this.tool) {
      this.cursor = point;
      return;
    }
    const { drag } = this;
    if (!drag || (!drag.kept && this.distance(drag.start, point) < 3)) return;
    if (!drag.kept) this.keep();
    drag.kept = true;
    if (drag.handle < 0) return this.shift(drag.points, point[0] - drag.start[0], point[1] - drag.start[1]);
    const points = drag.points.map((each, at) => (at === drag.handle ? point : each));
    this.replace(withPoints(this.selected.part, this.item(), points));
  }

  release(point) {
    const { drag } = this;
    this.drag = null;
    // a line may be dragged, too, instead of two taps
    if (drag?.drawing && this.tool === "line" && this.distance(drag.start, point) > NEAR) this.add(point);
  }

  // The line whose segment is near, or the zone or mask around the point.
  find(point) {
    for (const part of SCENE_PARTS)
      for (const [at, item] of this.scene[part].entries()) {
        const points = pointsOf(part, item);
        const near = points.some((each, i) => this.beside(each, points[(i + 1) % points.length], point) < NEAR);
        if (near || (part !== "lines" && isInside(points, point))) return { part, at };
      }
    return null;
  }

  // Distances are in CSS pixels.
  distance(a, b) {
    const { clientWidth, clientHeight } = this.view.stage;
    return Math.hypot((a[0] - b[0]) * clientWidth, (a[1] - b[1]) * clientHeight);
  }

  beside(a, b, point) {
    const { clientWidth: width, clientHeight: height } = this.view.stage;
    const [dx, dy] = [(b[0] - a[0]) * width, (b[1] - a[1]) * height];
    const along = ((point[0] - a[0]) * width * dx + (point[1] - a[1]) * height * dy) / (dx * dx + dy * dy || 1);
    const part = Math.min(Math.max(along, 0), 1);
    return this.distance([a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])], point);
  }

  say(text) {
    this.said = text;
    this.show();
  }

  show() {
    const { active, model, view } = this;
    const editable = Boolean(model.get("editable"));
    this.open.hidden = active || !model.get("scene");
    this.open.disabled = !editable;
    this.open.title = editable ? "Draw lines and zones on the video" : "You may look, but not change anything";
    this.bar.hidden = !active;
    view.root.classList.toggle("rededge-player-editing", active);
    if (active) this.showBar();
    view.draw();
  }

  showBar() {
    const item = this.item();
    for (const [tool, button] of this.tools) button.setAttribute("aria-pressed", String(tool === this.tool));
    const shown = SCENE_PARTS.flatMap((part) => this.scene[part].map((each, at) => [each.name, JSON.stringify({ part, at })]));
    const options = [["select …", ""], ...shown].map(([name, value]) => new Option(name, value));
    this.items.replaceChildren(...options);
    this.items.value = this.selected ? JSON.stringify(this.selected) : "";
    for (const [name, input] of Object.entries(this.fields)) {
      input.hidden = !item || (name !== "name" && this.selected.part !== "lines");
      if (item && document.activeElement !== input) input.value = item[name] ?? "";
    }
    this.finishing.hidden = !this.tool || this.tool === "line" || this.draft.length < 3;
    this.reversing.hidden = this.selected?.part !== "lines";
    this.deleting.hidden = !item;
    this.undoing.disabled = !this.history.length && !this.draft.length;
    this.saving.disabled = !this.changed && !this.draft.length;
    const newer = this.model.get("scene")?.version ?? 0;
    const conflict = newer === this.version ? "" : `Somebody else has saved version ${newer}: cancel to load it. `;
    setText(this.text, conflict + this.said);
  }
}

const HINTS = {
  line: "Drag a line, or tap its two ends. Keys: arrows, space.",
  zone: "Tap the corners, then the first one again. Keys: arrows, space, Enter.",
  mask: "Tap the corners of what must not be stored, then the first one again.",
};

function within(value) {
  return Math.min(Math.max(value, 0), 1);
}

function isInside(points, [x, y]) {
  return points.reduce((inside, [x1, y1], at) => {
    const [x2, y2] = points[(at + 1) % points.length];
    return y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1) ? !inside : inside;
  }, false);
}
