// A line of text with a level, drawn as text whatever it contains.

function render({ model, el }) {
  const line = document.createElement("div");
  line.className = "rededge-words";
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
