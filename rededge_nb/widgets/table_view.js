// A table whose rows can be chosen. Everything in it is text: nothing is ever read as HTML.

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

  const choose = (id) => {
    if (!model.get("choosable")) return;
    model.set("chosen", id);
    model.save_changes();
  };

  const drawChosen = () => {
    for (const row of body.rows) row.setAttribute("aria-selected", String(row.dataset.id === model.get("chosen")));
  };

  const drawRows = () => {
    const columns = model.get("columns");
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    body.replaceChildren();
    for (const { id, cells } of model.get("rows")) {
      const row = body.insertRow();
      row.dataset.id = id;
      cells.forEach((value, index) => row.append(cell(value, columns[index].number)));
      if (!model.get("choosable")) continue;
      row.tabIndex = 0;
      row.addEventListener("click", () => choose(id));
      row.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(id);
      });
      if (id === focused) row.focus();
    }
    table.classList.toggle("choosable", model.get("choosable"));
    empty.textContent = body.rows.length ? "" : model.get("empty");
    drawChosen();
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
    ["change:rows change:choosable change:empty", drawRows],
    ["change:chosen", drawChosen],
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
