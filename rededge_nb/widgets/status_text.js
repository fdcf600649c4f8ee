// A line of text with a level. It is always set as text: nothing in it is read as HTML.

const HEARTBEATS = 3; // missed before the kernel is said to be silent, as in the player and the charts
const REPORT_MS = 20000; // between two messages that tell the kernel that a page is there

function render({ model, el }) {
  const line = document.createElement("div");
  line.className = "rededge-status-text";
  line.setAttribute("role", "status");
  el.append(line);
  let heardAt = performance.now();

  const draw = () => {
    const heartbeat = 1000 * model.get("heartbeat");
    const unheard = performance.now() - heardAt;
    const silent = heartbeat > 0 && unheard > HEARTBEATS * heartbeat;
    const text = silent
      ? `no message from the kernel for ${Math.floor(unheard / 1000)} s: is it still running?`
      : model.get("text");
    if (line.textContent !== text) line.textContent = text;
    // for what else is on the page: its figures are not those of the present
    line.toggleAttribute("data-silent", silent);
    line.dataset.level = silent ? "warning" : model.get("level");
    line.hidden = !text;
  };
  const hear = () => {
    heardAt = performance.now();
    draw();
  };
  const report = () => {
    try {
      if (model.get("heartbeat") > 0) model.send({ kind: "here" });
    } catch {
      // the kernel has ended: `draw` will show that
    }
  };
  model.on("change:text change:level msg:custom", hear);
  const timers = model.get("heartbeat") > 0 ? [setInterval(draw, 1000), setInterval(report, REPORT_MS)] : [];
  document.addEventListener("visibilitychange", report);
  report();
  draw();
  return () => {
    timers.forEach(clearInterval);
    document.removeEventListener("visibilitychange", report);
    model.off("change:text change:level msg:custom", hear);
  };
}

export default { render };
