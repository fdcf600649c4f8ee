// One WebSocket to the server, and models on top of it that player.js and charts.js use as they do in notebooks.

const RETRY_MS = [500, 1000, 2000, 4000];
const SILENCE_MS = 10000;

export class Link extends EventTarget {
  constructor(camera) {
    super();
    this.camera = camera;
    this.models = {};
    this.tries = 0;
    this.closed = false;
    this.heardAt = Date.now();
    this.open();
    this.watch = setInterval(() => this.check(), 1000);
  }

  model(name, state) {
    return (this.models[name] = new Model(this, name, state));
  }

  open() {
    const address = new URL("live", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.onOpen();
    this.socket.onmessage = (event) => this.onMessage(event.data);
    this.socket.onclose = (event) => this.onClose(event.reason);
    this.heardAt = Date.now();
  }

  onOpen() {
    this.tries = 0;
    this.frames = 0;
    this.send({ to: "page", kind: "watch", camera: this.camera, minutes: this.models.charts?.get("minutes") });
    Object.values(this.models).forEach((model) => model.resume());
    this.report(true, "");
  }

  onClose(reason) {
    if (this.closed) return;
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.report(false, reason);
    setTimeout(() => this.closed || this.open(), wait);
  }

  // A message is the length of a JSON object, the object, then binary data.
  onMessage(data) {
    this.heardAt = Date.now();
    const length = new DataView(data).getUint32(0);
    const content = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    // frames are the same for all pages, so each page numbers them itself
    if (content.kind === "frame") content.seq = this.frames += 1;
    this.models[content.to]?.receive(content, [new Uint8Array(data, 4 + length)]);
    // the charts are sent only new samples, so any message tells them that the server is there
    if (content.to !== "charts") this.models.charts?.receive({ kind: "alive" }, []);
  }

  // A connection may be dead although neither end was notified.
  check() {
    const open = this.socket.readyState === WebSocket.OPEN;
    const expecting = Object.values(this.models).some((model) => model.seen);
    if (!open || !expecting) this.heardAt = open ? Date.now() : this.heardAt;
    else if (Date.now() - this.heardAt > SILENCE_MS) this.socket.close();
  }

  send(content) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(content));
  }

  close() {
    this.closed = true;
    clearInterval(this.watch);
    this.socket.close();
  }

  report(connected, reason) {
    this.dispatchEvent(new CustomEvent("link", { detail: { connected, reason } }));
  }
}

export class Model {
  constructor(link, name, state) {
    this.link = link;
    this.name = name;
    this.state = state;
    this.changed = {};
    this.listeners = new Map();
    this.seen = false;
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.changed[name] = value;
    this.trigger(`change:${name}`);
    if (name === "paused") this.report(value || !this.seen ? "hidden" : "ready");
  }

  save_changes() {
    this.link.send({ to: this.name, kind: "set", ...this.changed });
    this.changed = {};
  }

  on(events, listener) {
    for (const event of events.split(" ")) {
      if (!this.listeners.has(event)) this.listeners.set(event, new Set());
      this.listeners.get(event).add(listener);
    }
  }

  off(events, listener) {
    for (const event of events.split(" ")) this.listeners.get(event)?.delete(listener);
  }

  trigger(event, ...values) {
    for (const listener of this.listeners.get(event) ?? []) listener(...values);
  }

  send(content) {
    if (["ready", "visible", "hidden"].includes(content.kind)) this.seen = content.kind !== "hidden";
    if (content.kind === "ready" && this.state.paused) return;
    this.link.send({ ...content, to: this.name });
  }

  // On a new connection the server does not know yet what the page shows.
  resume() {
    if (this.seen && !this.state.paused) this.report("ready");
  }

  report(kind) {
    this.link.send({ to: this.name, kind });
  }

  receive(content, buffers) {
    if (content.kind !== "state") return this.trigger("msg:custom", content, buffers);
    Object.assign(this.state, content.state);
    for (const name of Object.keys(content.state)) this.trigger(`change:${name}`);
  }
}
