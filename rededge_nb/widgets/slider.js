// A slider for a number from 0 to 1, in steps of 0.01.

function render({ model, el }) {
  const label = document.createElement("label");
  label.className = "rededge-slider";
  label.title = model.get("hint");
  const text = document.createElement("span");
  text.textContent = model.get("text");
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: 1, step: 0.01 });
  const output = document.createElement("output");
  label.append(text, input, output);
  el.append(label);

  const draw = () => {
    input.value = model.get("value");
    input.disabled = model.get("disabled");
    output.textContent = model.get("value").toFixed(2);
  };
  input.addEventListener("input", () => {
    model.set("value", Number(input.value));
    model.save_changes();
    draw();
  });
  // JupyterLab must not use the arrow keys for its own commands
  input.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());
  model.on("change:value change:disabled", draw);
  draw();
  return () => model.off("change:value change:disabled", draw);
}

export default { render };
