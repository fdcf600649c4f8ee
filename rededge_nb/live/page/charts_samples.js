// The samples of live charts: received once per page, and drawn by every view on it.
// (front_end.py joins all charts*.js to one module.)

const KEEP = 1.6; // so many windows of samples are kept: a window that is made a little wider is filled at once
const MINUTE_MS = 60000;
const SHORTEST_MS = 10000; // the charts of a recording show at least so much time

class Table {
  constructor({ name, columns, bucket_ms }) {
    this.name = name;
    this.names = columns;
    this.bucket = bucket_ms;
    this.times = [];
    this.columns = columns.map(() => []);
  }

  put(time, values) {
    const { times, columns } = this;
    let at = times.length;
    if (at && time <= times[at - 1]) at = this.after(time - 1);
    const known = times[at] === time;
    times.splice(at, known ? 1 : 0, time);
    columns.forEach((column, index) => column.splice(at, known ? 1 : 0, values[index]));
  }

  // Index of the first row later than a time.
  after(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  forget(time) {
    const count = Math.max(0, this.after(time) - 1);
    if (count < 500) return;
    this.times.splice(0, count);
    this.columns.forEach((column) => column.splice(0, count));
  }

  column(name) {
    return this.columns[this.names.indexOf(name)];
  }

  latest(name) {
    return this.column(name).findLast((value) => !Number.isNaN(value));
  }

  // Index of the row that contains a time, or is at most `maxGap` away; -1 if there is none.
  at(time, maxGap) {
    const index = this.after(time) - 1;
    if (this.bucket) return index >= 0 && time < this.times[index] + this.bucket ? index : -1;
    const next = index + 1;
    const near =
      next < this.times.length && (index < 0 || this.times[next] - time < time - this.times[index]) ? next : index;
    return near >= 0 && Math.abs(this.times[near] - time) <= maxGap ? near : -1;
  }
}

class SampleStore {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.tables = null;
    this.order = [];
    this.recording = null; // when the recording began that the camera was last fed with; null for a live source
    this.things = "people"; // what is counted, in words
    this.clockOffset = 0; // milliseconds by which the server's clock is ahead of this browser's
    this.createdAt = Date.now();
    this.heardAt = Date.now();
    this.onMessage = (content, buffers) => this.receive(content, buffers);
    model.on("msg:custom", this.onMessage);
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
  }

  receive(content, buffers) {
    this.heardAt = Date.now();
    if (content.kind === "history") {
      this.order = content.tables.map((table) => new Table(table));
      this.tables = Object.fromEntries(this.order.map((table) => [table.name, table]));
      this.base = content.base;
      this.minutes = content.minutes;
      this.camera = content.camera;
      this.missing = content.missing;
      this.lines = content.lines ?? [];
      this.recording = content.recording ?? null;
      this.things = content.things;
      this.reliable = content.reliable;
      this.unpack(
        buffers[0],
        content.tables.map((table) => table.rows),
      );
    } else if (content.kind === "new" && this.tables) {
      // a message was lost, and its samples with it: ask for the whole history
      if (content.seq !== this.seq + 1) this.views.forEach((view) => view.seen && view.send("ready"));
      this.unpack(buffers[0], content.rows);
    } else return;
    this.seen = content.seen ?? null;
    this.seq = content.seq;
    this.clockOffset = content.now - Date.now();
    this.views.forEach((view) => view.schedule());
  }

  // Rows are four bytes a field: milliseconds since the base as an integer, then the values.
  unpack(buffer, counts) {
    const data = new DataView(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
    let offset = 0;
    this.order.forEach((table, index) => {
      const width = table.names.length;
      for (let row = 0; row < counts[index]; row += 1) {
        const values = table.names.map((_, column) => data.getFloat32(offset + 4 + 4 * column, true));
        table.put(this.base + data.getInt32(offset, true), values);
        offset += 4 + 4 * width;
      }
      table.forget(this.newest() - this.minutes * MINUTE_MS * KEEP);
    });
  }

  newest() {
    const { frames, rates } = this.tables;
    return Math.max(frames.times.at(-1) ?? 0, (rates.times.at(-1) ?? -rates.bucket) + rates.bucket);
  }

  now() {
    return Date.now() + this.clockOffset;
  }

  // The window ends now, but a time without samples fills at most a quarter of it. That of a recording ends with its
  // newest sample, and begins with it if it is shorter (chart_data.py computes the same).
  range(minutes) {
    const window = minutes * MINUTE_MS;
    const { recording } = this;
    const newest = Math.max(this.newest(), recording ?? 0); // its first sample may not be there yet
    const now = this.now();
    if (recording !== null) {
      const start = Math.max(recording, newest - window);
      const end = Math.max(newest, start + Math.min(window, SHORTEST_MS));
      return { start, end, span: end - start, recording };
    }
    const end = newest ? newest + Math.min(Math.max(0, now - newest), window / 4) : now;
    return { start: end - window, end, span: window, recording };
  }
}
