// A line of text with a level. It is always set as text: nothing in it is read as HTML.

function render({ model, el }) {
  const line = document.createElement("div");
  line.className = "rededge-status-text";
  line.setAttribute("role", "status");
  el.append(line);

  const draw = () => {
    line.textContent = model.get("text");
    line.dataset.level = model.get("level");
    line.hidden = !model.get("text");
  };
  model.on("change:text change:level", draw);
  draw();
  return () => model.off("change:text change:level", draw);
}

export default { render };
