// Lines, zones and masks of the scene, with their counts. Points are from 0 to 1 of the frame.

const LINE_COLOR = "rgb(80, 220, 255)";
const ZONE_COLOR = "rgb(120, 255, 140)";
const MASK_COLOR = "rgb(255, 120, 200)";
const SCENE_PARTS = ["lines", "zones", "masks"];

LAYERS.push({
  draw: (context, view) => (view.editor?.active || view.model.get("lines")) && drawScene(context, view),
  toggles: [
    {
      attribute: "lines",
      text: "Lines",
      hint: "Show lines and zones with their counts",
      key: "s",
      icon: "M13 1.5 14.5 3 3 14.5 1.5 13zM1 1h6v2H3v4H1z",
    },
  ],
});

function pointsOf(part, item) {
  return part === "lines" ? [item.a, item.b] : item.points;
}

function withPoints(part, item, points) {
  return part === "lines" ? { ...item, a: points[0], b: points[1] } : { ...item, points };
}

function drawScene(context, { frame, model, editor, scale, unit }) {
  const scene = editor?.active ? editor.scene : model.get("scene");
  if (!scene) return;
  const size = [frame.bitmap.width * scale, frame.bitmap.height * scale];
  const place = (point) => [point[0] * size[0], point[1] * size[1]];
  const selected = editor?.active ? editor.selected : null;
  const labels = [];
  context.save();
  context.lineJoin = context.lineCap = "round";
  for (const zone of scene.zones ?? []) {
    drawOutline(context, zone.points.map(place), ZONE_COLOR, unit, true);
    const [people, longest] = frame.zones?.[zone.name] ?? [];
    const stay = longest >= 1 ? ` · ${duration(longest)}` : "";
    const text = people === undefined ? zone.name : `${zone.name} ${people}${stay}`;
    labels.push([place(middleOf(zone.points)), text, ZONE_COLOR]);
  }
  for (const line of scene.lines ?? []) {
    const [a, b] = [place(line.a), place(line.b)];
    drawOutline(context, [a, b], LINE_COLOR, unit, false);
    drawArrow(context, a, b, LINE_COLOR, unit);
    const [forward, backward] = frame.lines?.[line.name] ?? [];
    const counts = forward === undefined ? "" : `  ${line.forward} ${forward} · ${line.backward} ${backward}`;
    labels.push([a, `${line.name}${counts}`, LINE_COLOR]);
  }
  for (const mask of editor?.active ? (scene.masks ?? []) : []) {
    drawOutline(context, mask.points.map(place), MASK_COLOR, unit, true);
    labels.push([place(middleOf(mask.points)), mask.name, MASK_COLOR]);
  }
  drawSceneLabels(context, labels, unit, size);
  if (selected) for (const point of editor.pointsOfSelected()) drawHandle(context, place(point), unit);
  if (editor?.active) drawDraft(context, editor, place, unit);
  context.restore();
}

function drawOutline(context, points, color, unit, closed) {
  context.beginPath();
  points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (closed) {
    context.closePath();
    context.fillStyle = color.replace("rgb(", "rgba(").replace(")", ", 0.14)");
    context.fill();
  }
  for (const [style, width] of [
    [DARK, 5 * unit],
    [color, 2.5 * unit],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

// The arrow points where forward is: to the right of somebody who walks from a to b.
function drawArrow(context, a, b, color, unit) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  const [nx, ny] = [(a[1] - b[1]) / length, (b[0] - a[0]) / length];
  const [mx, my] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const tip = 18 * unit;
  const half = 6 * unit;
  drawOutline(context, [[mx, my], [mx + nx * tip, my + ny * tip]], color, unit, false);
  context.beginPath();
  context.moveTo(mx + nx * (tip + half), my + ny * (tip + half));
  context.lineTo(mx + nx * tip - ny * half, my + ny * tip + nx * half);
  context.lineTo(mx + nx * tip + ny * half, my + ny * tip - nx * half);
  context.closePath();
  context.fillStyle = color;
  context.fill();
}

// Above all outlines; a label that would cover another one is moved below it, if there is room.
function drawSceneLabels(context, labels, unit, [width, height]) {
  const size = Math.round(13 * unit);
  const high = size + 8 * unit;
  const drawn = [];
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const [[x, y], text, color] of labels) {
    const wide = context.measureText(text).width + 10 * unit;
    const left = Math.min(Math.max(0, x - wide / 2), width - wide);
    const first = Math.min(Math.max(0, y - high / 2), height - high);
    const covers = (top, each) =>
      left < each.left + each.wide && each.left < left + wide && top < each.top + high && each.top < top + high;
    let top = first;
    for (let covered; (covered = drawn.find((each) => covers(top, each))); ) top = covered.top + high + unit;
    if (top > height - high) top = first;
    drawn.push({ left, top, wide });
    context.fillStyle = "rgba(18, 22, 28, 0.86)";
    context.fillRect(left, top, wide, high);
    context.fillStyle = color;
    context.fillText(text, left + 5 * unit, top + high / 2);
  }
}

function drawHandle(context, [x, y], unit) {
  context.beginPath();
  context.arc(x, y, 6 * unit, 0, 2 * Math.PI);
  context.fillStyle = "white";
  context.fill();
  context.strokeStyle = DARK;
  context.lineWidth = 2 * unit;
  context.stroke();
}

// What is being drawn, and the cross that the arrow keys move.
function drawDraft(context, editor, place, unit) {
  const points = editor.draft.map(place);
  if (points.length) {
    const color = { line: LINE_COLOR, zone: ZONE_COLOR, mask: MASK_COLOR }[editor.tool];
    drawOutline(context, editor.cursor ? [...points, place(editor.cursor)] : points, color, unit, false);
    for (const point of points) drawHandle(context, point, unit);
  }
  if (!editor.cursor || !editor.tool) return;
  const [x, y] = place(editor.cursor);
  const arm = 9 * unit;
  drawOutline(context, [[x - arm, y], [x + arm, y]], YELLOW, unit, false);
  drawOutline(context, [[x, y - arm], [x, y + arm]], YELLOW, unit, false);
}

function middleOf(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

function duration(seconds) {
  return seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min`;
}
