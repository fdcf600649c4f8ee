// A table whose rows can be selected. Everything is set as text: nothing in it is read as HTML.

function cell(value, number) {
  const td = document.createElement("td");
  const { text, tone, hint } = typeof value === "string" ? { text: value } : value;
  if (tone) {
    const pill = document.createElement("span");
    pill.className = "rededge-pill";
    pill.dataset.tone = tone;
    pill.textContent = text;
    td.append(pill);
  } else {
    td.textContent = text;
  }
  td.title = hint ?? text;
  td.classList.toggle("number", number);
  return td;
}

function render({ model, el }) {
  const scroll = document.createElement("div");
  scroll.className = "rededge-table";
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  const body = table.createTBody();
  const empty = document.createElement("div");
  empty.className = "empty";
  const detail = document.createElement("pre");
  detail.className = "rededge-detail";
  detail.tabIndex = 0;
  scroll.append(table, empty);
  el.append(scroll, detail);

  const select = (id) => {
    if (!model.get("selectable")) return;
    model.set("selected", id);
    model.save_changes();
  };

  const drawSelected = () => {
    for (const row of body.rows) row.setAttribute("aria-selected", String(row.dataset.id === model.get("selected")));
  };

  const drawRows = () => {
    const columns = model.get("columns");
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    body.replaceChildren();
    for (const { id, cells } of model.get("rows")) {
      const row = body.insertRow();
      row.dataset.id = id;
      cells.forEach((value, index) => row.append(cell(value, columns[index].number)));
      if (!model.get("selectable")) continue;
      row.tabIndex = 0;
      row.addEventListener("click", () => select(id));
      row.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        select(id);
      });
      if (id === focused) row.focus();
    }
    table.classList.toggle("selectable", model.get("selectable"));
    empty.textContent = body.rows.length ? "" : model.get("empty");
    drawSelected();
  };

  const drawHead = () => {
    head.replaceChildren();
    for (const { name, number } of model.get("columns")) {
      const th = document.createElement("th");
      th.scope = "col";
      th.textContent = name;
      th.classList.toggle("number", Boolean(number));
      head.append(th);
    }
    drawRows();
  };

  const drawDetail = () => {
    detail.textContent = model.get("detail");
    detail.hidden = !model.get("detail");
  };

  const listeners = [
    ["change:columns", drawHead],
    ["change:rows change:selectable change:empty", drawRows],
    ["change:selected", drawSelected],
    ["change:detail", drawDetail],
  ];
  for (const [events, draw] of listeners) model.on(events, draw);
  drawHead();
  drawDetail();
  return () => {
    for (const [events, draw] of listeners) model.off(events, draw);
  };
}

export default { render };
