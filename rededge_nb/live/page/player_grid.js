// The grid of several cameras: as many columns as make the pictures largest, in the window with the events if possible.
//
// In a notebook, each player is a module of its own, so each of them arranges the grid in which it is.

const NARROWEST_PICTURE = 240; // in pixels; where pictures would be narrower, the grid is higher than the window
const EVENTS_WIDTH = 380; // of the events beside the grid
const EVENTS_HEIGHT = 260; // of the list of events below the grid, at most
const DASHBOARD_MARGINS = 24; // what pages have above and below a dashboard
const USUAL_RATIO = 16 / 9;

class GridPlace {
  constructor(root) {
    this.root = root;
    this.grid = null;
    this.arrange = () => this.arrangeGrid();
    // what is beside and above the grid changes its place
    this.sizes = new ResizeObserver(this.arrange);
    this.sizes.observe(root);
    this.sizes.observe(document.body);
    window.addEventListener("resize", this.arrange);
  }

  remove() {
    this.sizes.disconnect();
    window.removeEventListener("resize", this.arrange);
    // the other players get its place
    this.arrangeGrid();
  }

  arrangeGrid() {
    if (!this.grid) {
      this.grid = this.root.closest(".rededge-camera-grid");
      if (!this.grid) return;
      this.sizes.observe(this.grid.closest(".rededge-beside"));
    }
    const players = [...this.grid.querySelectorAll(".rededge-player")];
    const views = this.grid.closest(".rededge-beside");
    if (!players.length || !views?.clientWidth) return;
    // one camera whose picture is much higher than the others must not make all of them small: its own gets narrower
    const ratios = players.map((each) => parseFloat(each.style.getPropertyValue("--rededge-ratio")) || USUAL_RATIO);
    const ratio = ratios.sort((one, other) => one - other)[ratios.length >> 1];
    const { columns, size, events, beside } = arrangeInWindow(ratios.length, ratio, this.grid, views);
    views.classList.toggle("rededge-events-beside", beside);
    views.style.setProperty("--rededge-grid-events-height", `${events}px`);
    this.grid.style.setProperty("--rededge-columns", columns);
    this.grid.style.setProperty("--rededge-picture-width", `${size}px`);
    this.grid.style.setProperty("--rededge-picture-height", `${size / ratio}px`);
  }
}

// Columns and size of the pictures, height of the list of events, and whether this is beside the grid.
function arrangeInWindow(count, ratio, grid, views) {
  const { columnGap, marginBottom } = getComputedStyle(grid);
  const [gap, margin] = [parseFloat(columnGap), parseFloat(marginBottom)];
  const width = views.clientWidth;
  const height = heightOfWindow(grid) - margin;
  const list = views.querySelector(".rededge-events-list");
  const head = list ? list.parentElement.offsetHeight - list.offsetHeight : 0;
  const wanted = list ? Math.min(list.scrollHeight, EVENTS_HEIGHT) : 0;
  const under = (pictures) => {
    const rows = Math.ceil(count / pictures.columns);
    const left = height - (rows * pictures.size) / ratio - gap * (rows - 1) - margin - head;
    return { ...pictures, events: Math.max(EVENTS_HEIGHT, Math.floor(left)), beside: false };
  };
  let best = under(largestPictures(count, ratio, width, height - margin - head - wanted, gap));
  if (wanted) {
    const pictures = largestPictures(count, ratio, width - EVENTS_WIDTH - gap, height, gap);
    if (pictures.size > best.size) best = { ...pictures, events: Math.max(EVENTS_HEIGHT, Math.floor(height - head)), beside: true };
  }
  if (best.size >= NARROWEST_PICTURE) return best;
  // the events are below the end of the window, or even some of the pictures
  const alone = largestPictures(count, ratio, width, height, gap);
  if (alone.size >= NARROWEST_PICTURE) return under(alone);
  const columns = Math.max(1, Math.min(count, Math.floor((width + gap) / (NARROWEST_PICTURE + gap))));
  return under({ columns, size: widthOfColumn(columns, width, gap) });
}

// Number of columns, and width of each picture.
function largestPictures(count, ratio, width, height, gap) {
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const highest = (height - gap * (rows - 1)) / rows;
    const size = Math.min(widthOfColumn(columns, width, gap), Math.floor(highest * ratio));
    if (size > best.size) best = { columns, size };
  }
  return best;
}

function widthOfColumn(columns, width, gap) {
  return Math.floor((width - gap * (columns - 1)) / columns);
}

// What is left below the upper edge of the grid, if the page is scrolled so that its own upper edge is that of the window.
function heightOfWindow(grid) {
  const dashboard = grid.closest(".rededge-dashboard");
  const page = dashboard ?? document.body;
  // in JupyterLab, only a part of the window shows the notebook, or a view of one output
  const pane = page.closest(".jp-WindowedPanel-outer, .jp-LinkedOutputView") ?? document.documentElement;
  const above = grid.getBoundingClientRect().top - page.getBoundingClientRect().top;
  const margins = dashboard ? DASHBOARD_MARGINS : parseFloat(getComputedStyle(page).paddingBottom);
  return pane.clientHeight - above - margins;
}
