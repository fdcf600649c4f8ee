// Figures above the video. Everything is set as text: nothing in it is read as HTML.

const SIZE = { width: 96, height: 26 };
const NARROWEST = 175; // a tile is at least so wide, in pixels, where the page is not narrower than two of them
const GAP = 8;

function drawTrend(values) {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const top = Math.max(...known) || 1;
  const x = (index) => (index / (values.length - 1)) * SIZE.width;
  const y = (value) => SIZE.height - 2 - (value / top) * (SIZE.height - 4);
  // a missing value is a gap in the line
  const points = values.map((value, index) =>
    value === null ? null : `${index && values[index - 1] !== null ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`,
  );
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", `0 0 ${SIZE.width} ${SIZE.height}`);
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", points.filter(Boolean).join(""));
  drawing.append(line);
  return drawing;
}

function makeTile() {
  const root = document.createElement("div");
  root.className = "rededge-tile";
  const parts = { root };
  for (const name of ["label", "value", "detail"]) {
    parts[name] = document.createElement("div");
    parts[name].className = `rededge-tile-${name}`;
    root.append(parts[name]);
  }
  parts.trend = document.createElement("div");
  parts.trend.className = "rededge-tile-trend";
  root.append(parts.trend);
  return parts;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "rededge-tiles";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Figures of the camera");
  el.append(root);
  const tiles = new Map();

  // Rows of equal length. The place of the tiles also learns how high they are: a player below takes what is left.
  const arrange = () => {
    const fitting = Math.max(2, Math.floor((root.clientWidth + GAP) / (NARROWEST + GAP)));
    const rows = Math.ceil(tiles.size / fitting) || 1;
    root.style.setProperty("--rededge-tile-columns", Math.ceil(tiles.size / rows) || 1);
    el.parentElement?.style.setProperty("--rededge-tiles-height", `${root.offsetHeight}px`);
  };
  const watch = new ResizeObserver(arrange);
  watch.observe(root);

  const draw = () => {
    const wanted = model.get("tiles");
    for (const [key, parts] of tiles) {
      if (wanted.some((tile) => tile.key === key)) continue;
      parts.root.remove();
      tiles.delete(key);
    }
    for (const tile of wanted) {
      if (!tiles.has(tile.key)) tiles.set(tile.key, makeTile());
      const parts = tiles.get(tile.key);
      parts.root.dataset.key = tile.key;
      parts.root.dataset.level = tile.level;
      for (const name of ["label", "value", "detail"])
        if (parts[name].textContent !== tile[name]) parts[name].textContent = tile[name];
      parts.value.style.setProperty("--rededge-length", tile.value.length);
      parts.label.title = tile.label;
      parts.root.title = tile.note;
      const trend = JSON.stringify(tile.trend);
      if (parts.drawn !== trend) {
        parts.drawn = trend;
        parts.trend.replaceChildren(...[drawTrend(tile.trend)].filter(Boolean));
      }
      root.append(parts.root);
    }
    root.hidden = !wanted.length;
    arrange();
  };
  model.on("change:tiles", draw);
  draw();
  return () => {
    watch.disconnect();
    model.off("change:tiles", draw);
  };
}

export default () => ({ render });
