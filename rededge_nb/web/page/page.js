// The page: one camera with its figures, player and charts, or all cameras in a grid. The widgets are those of notebooks.

import charts from "./charts.js";
import events from "./events.js";
import { Link, Model } from "./link.js";
import player from "./player.js";
import tiles from "./tiles.js";

const CAMERAS_MS = 5000;
const MINUTES = 5;
const ALL = "*"; // not a possible id of a camera
const MAX_GRID = 16;
const MAX_EVENTS = 50;
const SILENT_S = 10; // the list of cameras marks one without a frame for so long
const GRID_INTERVAL_MS = 150; // between two frames of a camera in the grid

const find = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.silentCameras = new Set();
    this.kept = { boxes: true, labels: true, trails: true, lines: true };
    this.cameras = null;
    this.ends = [];
    const query = new URLSearchParams(location.search);
    this.show(query.get("view") === "all" ? ALL : query.get("camera") || "0");
    find("camera").addEventListener("change", (event) => this.choose(event.target.value));
    find("player").addEventListener("rededge-paint", (event) => this.count(event.detail));
    find("player").addEventListener("rededge-silent", (event) => this.markSilent(event.detail));
    find("grid").addEventListener("rededge-open", (event) => this.choose(event.detail.camera));
    this.list();
    setInterval(() => document.hidden || this.list(), CAMERAS_MS);
  }

  choose(camera) {
    const address = new URL(location);
    address.search = "";
    if (camera === ALL) address.searchParams.set("view", "all");
    else address.searchParams.set("camera", camera);
    history.replaceState(null, "", address);
    this.show(camera);
  }

  // Another camera gets new widgets, so that nothing of the previous one is left.
  show(camera) {
    for (const end of this.ends.splice(0).reverse()) end();
    this.camera = camera;
    this.people = null;
    this.silent = false;
    const single = camera !== ALL;
    for (const id of ["tiles", "player", "charts"]) find(id).hidden = !single;
    find("grid").hidden = single;
    for (const id of ["mjpeg", "snapshot", "detections"]) find(id).hidden = !single;
    if (single) this.showCamera(camera);
    else this.showGrid();
    this.offer();
    this.title();
  }

  showCamera(camera) {
    const link = this.connect(camera);
    const video = link.model("player", { camera, paused: false, ...this.kept });
    const kept = Object.keys(this.kept);
    video.on(kept.map((name) => `change:${name}`).join(" "), () => {
      this.kept = Object.fromEntries(kept.map((name) => [name, video.get(name)]));
    });
    this.ends.push(mount(player(), video, find("player")));
    this.ends.push(mount(tiles(), link.model("tiles", { tiles: [] }), find("tiles")));
    this.ends.push(mount(events(), link.model("events", noEvents(false)), find("events")));
    const state = link.model("charts", { camera, minutes: MINUTES, average: 1 });
    // the charts need the setup, which the server sends first
    const begin = () => {
      state.off("change:_setup", begin);
      this.ends.push(mount(charts(), state, find("charts")));
    };
    state.on("change:_setup", begin);
    for (const [id, path] of Object.entries({ mjpeg: "video", snapshot: "snapshot.jpg", detections: "api/detections" }))
      find(id).href = `${path}?camera=${encodeURIComponent(camera)}`;
  }

  showGrid() {
    this.grid = (this.cameras ?? []).slice(0, MAX_GRID);
    const models = new Map();
    for (const camera of this.grid) {
      const cell = document.createElement("div");
      find("grid").append(cell);
      const link = this.connect(camera);
      models.set(camera, link.model("events", noEvents(true)));
      const video = link.model("player", {
        camera,
        compact: true,
        interval: GRID_INTERVAL_MS,
        paused: false,
        ...this.kept,
      });
      const end = mount(player(), video, cell);
      this.ends.push(() => {
        end();
        cell.remove();
      });
    }
    this.ends.push(mount(events(), joined(models), find("events")));
  }

  connect(camera) {
    const link = new Link(camera);
    link.addEventListener("link", (event) => this.showConnection(link, event.detail));
    this.ends.push(() => link.close());
    return link;
  }

  async list() {
    try {
      const answer = await fetch("api/cameras");
      if (!answer.ok) return;
      const { cameras } = await answer.json();
      this.cameras = cameras.map(({ id }) => id);
      const silent = cameras.filter((each) => each.silent || each.seconds_since_frame > SILENT_S);
      this.silentCameras = new Set(silent.map(({ id }) => id));
    } catch {
      return; // the page shows already that the connection is lost
    }
    if (this.camera === ALL && this.cameras.slice(0, MAX_GRID).join("\n") !== this.grid.join("\n")) this.show(ALL);
    this.offer();
  }

  offer() {
    const cameras = this.cameras ?? [];
    const chooser = find("camera");
    const shown = [...chooser.options].map((option) => option.value);
    const known = this.camera === ALL || cameras.includes(this.camera);
    const ids = [...(known ? [] : [this.camera]), ...cameras, ...(cameras.length > 1 || this.camera === ALL ? [ALL] : [])];
    if (ids.join("\n") !== shown.join("\n"))
      chooser.replaceChildren(...ids.map((id) => new Option("", id)));
    for (const option of chooser.options) {
      const id = option.value;
      const text = id === ALL ? "all cameras" : this.silentCameras.has(id) ? `${id} (silent)` : id;
      if (option.text !== text) option.text = text;
    }
    chooser.value = this.camera;
    const others = cameras.length ? `; the cameras are ${cameras.join(", ")}` : "";
    const notices = [
      this.cameras && !known ? `There is no camera ${this.camera} yet${others}.` : "",
      this.camera === ALL && cameras.length > MAX_GRID ? `${MAX_GRID} of ${cameras.length} cameras are shown.` : "",
    ];
    find("notice").textContent = notices.join("");
    find("notice").hidden = !find("notice").textContent;
  }

  showConnection(link, { connected, reason }) {
    const state = find("state");
    state.dataset.state = connected ? "connected" : "lost";
    state.textContent = connected ? "connected" : `connection lost, trying again${reason && `: ${reason}`}`;
    if (!connected) {
      const notice = "the connection to the server is lost: trying again";
      link.models.player.receive({ kind: "status", notice, silent: true, heartbeat: Infinity }, []);
    }
  }

  count({ people }) {
    if (people === this.people) return;
    this.people = people;
    this.title();
  }

  markSilent({ silent }) {
    this.silent = silent;
    this.title();
  }

  title() {
    const known = this.people !== null && this.people !== undefined;
    const people = this.silent ? "(silent) " : known ? `(${this.people}) ` : "";
    const shown = this.camera === ALL ? "all cameras" : `camera ${this.camera}`;
    document.title = `${people}${shown} · RedisEdge`;
  }
}

function noEvents(several) {
  return { events: [], alarms: [], editable: false, several };
}

// One model with the events of several cameras.
function joined(models) {
  const send = (content) => models.get(content.id.slice(0, content.id.lastIndexOf("/")))?.send(content);
  const all = new Model({ send }, "events", noEvents(true));
  const update = () => {
    const states = [...models.values()].map(({ state }) => state);
    const unique = (name) => new Map(states.flatMap((state) => state[name]).map((each) => [each.id, each]));
    const newest = (name) => [...unique(name).values()].sort((one, other) => other.ts - one.ts).slice(0, MAX_EVENTS);
    const editable = states.some((state) => state.editable);
    all.receive({ kind: "state", state: { events: newest("events"), alarms: newest("alarms"), editable } }, []);
  };
  for (const model of models.values()) {
    model.on("change:events", update);
    model.on("msg:custom", (content, buffers) => all.receive(content, buffers));
  }
  return all;
}

// Shows a widget as a notebook does; returns a function that removes it.
function mount(widget, model, place) {
  const endings = [widget.initialize?.({ model }), widget.render({ model, el: place })];
  return () => {
    endings.reverse().forEach((end) => end?.());
    place.replaceChildren();
  };
}

new Page();
