// The page: selects the camera, and shows its player and charts, the same as in notebooks.

import charts from "./charts.js";
import { Link } from "./link.js";
import player from "./player.js";

const CAMERAS_MS = 5000;
const MINUTES = 5;

const find = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.kept = { boxes: true, labels: true };
    this.cameras = [];
    this.show(new URLSearchParams(location.search).get("camera") || "0");
    find("camera").addEventListener("change", (event) => this.choose(event.target.value));
    find("player").addEventListener("rededge-paint", (event) => this.count(event.detail));
    this.list();
    setInterval(() => document.hidden || this.list(), CAMERAS_MS);
  }

  choose(camera) {
    const address = new URL(location);
    address.searchParams.set("camera", camera);
    history.replaceState(null, "", address);
    for (const end of this.ends.reverse()) end();
    this.show(camera);
  }

  // Another camera gets a new player and new charts, so that nothing of the previous one is left.
  show(camera) {
    this.camera = camera;
    this.people = null;
    const link = new Link(camera);
    link.addEventListener("link", (event) => this.showConnection(event.detail));
    const video = link.model("player", { camera, paused: false, ...this.kept });
    video.on("change:boxes change:labels", () => {
      this.kept = { boxes: video.get("boxes"), labels: video.get("labels") };
    });
    this.video = video;
    this.ends = [() => link.close(), mount(player(), video, find("player"))];
    const state = link.model("charts", { camera, minutes: MINUTES, average: 1 });
    // the charts need the setup, which the server sends first
    const begin = () => {
      state.off("change:_setup", begin);
      this.ends.push(mount(charts(), state, find("charts")));
    };
    state.on("change:_setup", begin);
    for (const [id, path] of Object.entries({ mjpeg: "video", snapshot: "snapshot.jpg", detections: "api/detections" }))
      find(id).href = `${path}?camera=${encodeURIComponent(camera)}`;
    this.offer(this.cameras);
    this.title();
  }

  async list() {
    try {
      const answer = await fetch("api/cameras");
      if (answer.ok) this.offer((await answer.json()).cameras.map(({ id }) => id));
    } catch {
      // the page shows already that the connection is lost
    }
  }

  offer(cameras) {
    this.cameras = cameras;
    const chooser = find("camera");
    const known = [...chooser.options].map((option) => option.value);
    const ids = cameras.includes(this.camera) ? cameras : [...cameras, this.camera];
    if (ids.join("\n") !== known.join("\n")) chooser.replaceChildren(...ids.map((id) => new Option(id, id)));
    chooser.value = this.camera;
  }

  showConnection({ connected, reason }) {
    const state = find("state");
    state.dataset.state = connected ? "connected" : "lost";
    state.textContent = connected ? "connected" : `connection lost, trying again${reason && `: ${reason}`}`;
    if (!connected) {
      const notice = "the connection to the server is lost: trying again";
      this.video.receive({ kind: "status", notice, heartbeat: Infinity }, []);
    }
  }

  count({ people }) {
    if (people === this.people) return;
    this.people = people;
    this.title();
  }

  title() {
    const people = this.people === null || this.people === undefined ? "" : `(${this.people}) `;
    document.title = `${people}camera ${this.camera} · RedisEdge`;
  }
}

// Shows a widget as a notebook does; returns a function that removes it.
function mount(widget, model, place) {
  const endings = [widget.initialize?.({ model }), widget.render({ model, el: place })];
  return () => endings.reverse().forEach((end) => end?.());
}

new Page();
