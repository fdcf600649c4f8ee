// What is drawn over the frame: layers, of which the detections are the first.
//
// To add a layer, append it to LAYERS in a file of its own (front_end.py joins all player*.js to one module). `draw` gets
// the canvas context and { frame, model, scale, unit, pointed }: `scale` is canvas pixels per pixel of the frame, `unit`
// is canvas pixels per CSS pixel, `pointed` is the index of the box under the pointer or null. `toggles` are buttons that
// switch an attribute of the model.

const YELLOW = "rgb(255, 220, 60)";
const DARK = "rgb(18, 22, 28)";
const CROWD = 8; // with more people, confidences would cover them: they are shown only at the box under the pointer

const LAYERS = [
  {
    draw: (context, view) => view.frame.boxes && view.model.get("boxes") && drawBoxes(context, view),
    toggles: [
      {
        attribute: "boxes",
        text: "Boxes",
        hint: "Show boxes",
        key: "b",
        icon: "M1 1h5v2H3v3H1zM10 1h5v5h-2V3h-3zM1 10h2v3h3v2H1zM13 10h2v5h-5v-2h3z",
      },
      { attribute: "labels", text: "Labels", hint: "Show labels", key: "l", icon: "M1 3h9l5 5-5 5H1zM4 7v2h2V7z" },
    ],
  },
];

function drawBoxes(context, { frame, model, scale, unit, pointed }) {
  const line = 2 * unit * Math.max(1, Math.min(context.canvas.width, context.canvas.height) / (unit * 720));
  const rectangles = frame.boxes.map((box) => box.map((value) => value * scale));
  const stroke = (box, color, width) => {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  };
  context.lineJoin = "round";
  // a dark line around the bright one keeps it visible on any background
  for (const box of rectangles) stroke(box, "rgba(18, 22, 28, 0.75)", line * 2);
  rectangles.forEach((box, index) => {
    // somebody who is not seen at the moment, and is shown where they are expected
    context.setLineDash(frame.tracked && frame.confidence[index] === 0 ? [3 * line, 2 * line] : []);
    stroke(box, colorOf(frame, index), line);
  });
  context.setLineDash([]);
  if (model.get("labels")) drawLabels(context, frame, rectangles, unit);
  if (pointed === null) return;
  const box = rectangles[pointed];
  context.fillStyle = "rgba(255, 220, 60, 0.18)";
  context.fillRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  stroke(box, "white", line * 1.5);
}

// Each label is placed where it covers no other label, if there is such a place. At a narrow box, and in a crowd, it is
// short.
function drawLabels(context, frame, rectangles, unit) {
  const size = Math.round(11 * unit);
  const pad = 4 * unit;
  const height = size + pad;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const widthOf = (text) => context.measureText(text).width + 2 * pad;
  const placed = [];
  const isFree = (x, y, width) =>
    placed.every((other) => x >= other.x + other.width || other.x >= x + width || Math.abs(y - other.y) >= height);
  rectangles.forEach(([left, top, right, bottom], index) => {
    const long = labelOf(frame, index, true);
    const crowded = frame.boxes.length > CROWD;
    const text = widthOf(long) * 0.6 <= right - left && !crowded ? long : labelOf(frame, index, false);
    if (!text || (crowded && !frame.tracked)) return;
    const width = widthOf(text);
    const x = Math.min(Math.max(0, left), context.canvas.width - width);
    const places = [top - height, top, bottom, bottom - height].filter(
      (y) => y >= 0 && y + height <= context.canvas.height,
    );
    const y = places.find((place) => isFree(x, place, width)) ?? places[0] ?? 0;
    placed.push({ x, y, width });
    context.fillStyle = colorOf(frame, index);
    context.fillRect(x, y, width, height);
    context.fillStyle = DARK;
    context.fillText(text, x + pad, y + height / 2 + unit * 0.5);
  });
}

const colorOf = (frame, index) => frame.colors?.[index] ?? YELLOW;

function labelOf(frame, index, long) {
  const value = frame.confidence[index];
  const percent = value === null || (frame.tracked && value === 0) ? "" : `${Math.round(value * 100)}%`;
  if (long || !percent) return `${frame.names[index]} ${percent}`.trim();
  return frame.tracked ? frame.names[index] : percent;
}

// A time of a frame: in a recording, the position.
function timeOf(frame, time = frame.ts) {
  return frame.position === undefined ? clock(time) : positionText(1000 * frame.position + time - frame.ts);
}

function shownTime(frame) {
  return frame.position === undefined ? timeOf(frame) : `at ${timeOf(frame)}`;
}

// Since when the person in a box is there, at the time of the frame; empty if that is not known.
function presenceOf(frame, index) {
  const since = frame.since?.[index];
  if (!since) return "";
  const seconds = Math.max(0, Math.round((frame.ts - since) / 1000));
  const minutes = Math.floor(seconds / 60);
  const duration = minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  return `here since ${timeOf(frame, since)} (${duration})`;
}

// Index of the smallest box at a point of the frame; null if there is none.
function boxAt(boxes, { x, y }) {
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  return boxes.reduce((smallest, box, index) => {
    const inside = x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    return inside && (smallest === null || area(box) < area(boxes[smallest])) ? index : smallest;
  }, null);
}
