// Receiving frames: one receiver per browser page, whatever the number of views that show the player on it.
//
// A frame is decoded and confirmed once for all views. If frames arrive faster than they can be decoded, only the newest
// is kept. The sender counts on the confirmations: it has at most two frames on their way.

const REPORT_MS = 20000; // between two messages that tell the sender that the page is there

class FrameReceiver {
  constructor(model) {
    this.model = model;
    this.id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this.views = new Set();
    this.seen = false;
    this.next = null;
    this.last = null;
    this.working = false;
    this.restedAt = -Infinity;
    this.notice = "";
    this.silent = false;
    this.heardAt = performance.now();
    this.silenceMs = Infinity;
    this.sender = "the kernel";
    this.receive = (content, buffers) => this.onMessage(content, buffers);
    this.onVisibility = () => this.update();
    model.on("msg:custom", this.receive);
    document.addEventListener("visibilitychange", this.onVisibility);
    this.timer = setInterval(() => this.checkSilence(), 1000);
    this.reporter = setInterval(() => this.seen && this.send({ kind: "here" }), REPORT_MS);
  }

  close() {
    clearInterval(this.timer);
    clearInterval(this.reporter);
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

  // The sender needs to know when the first view becomes visible, and when the last one is hidden.
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
      // the kernel has ended: `checkSilence` will show that
    }
  }

  onMessage(content, buffers) {
    this.heardAt = performance.now();
    if (content.kind === "status") {
      this.silenceMs = content.heartbeat * 3000;
      this.sender = content.sender ?? this.sender;
      this.showNotice(content.notice, content.silent ?? false);
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
      await this.rest();
      this.send({ kind: "painted", seq: frame.seq });
    }
    this.working = false;
  }

  // While it is paused, the last frame stays, and a view without any gets one.
  stands() {
    return this.model.get("paused") && this.last !== null;
  }

  async show(frame) {
    if (this.stands()) return;
    try {
      frame.bitmap = await createImageBitmap(new Blob([frame.jpeg]));
    } catch {
      this.showNotice(`frame ${frame.ref} is not an image that a browser can show`, this.silent);
      return;
    }
    delete frame.jpeg;
    // it may have been paused meanwhile
    if (this.stands()) {
      frame.bitmap.close();
      return;
    }
    this.last?.bitmap.close();
    this.last = frame;
    for (const view of this.views) view.paint(frame, true);
  }

  // In a grid of cameras each gets fewer frames: a frame that is confirmed later is followed by a newer one later.
  async rest() {
    const interval = this.model.get("interval") ?? 0;
    const remaining = this.restedAt + interval - performance.now();
    if (interval && remaining > 0) await new Promise((resume) => setTimeout(resume, remaining));
    this.restedAt = performance.now();
  }

  // Silent: frames have stopped to arrive, so the last one does not show the present.
  showNotice(notice, silent) {
    if (notice === this.notice && silent === this.silent) return;
    this.notice = notice;
    this.silent = silent;
    for (const view of this.views) view.showState();
  }

  checkSilence() {
    const silence = performance.now() - this.heardAt;
    if (this.seen && !this.model.get("paused") && silence > this.silenceMs) {
      this.showNotice(`no message from ${this.sender} for ${Math.floor(silence / 1000)} s: is it still running?`, true);
    }
  }
}
