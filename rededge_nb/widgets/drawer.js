// A button that opens and closes the drawer of its dashboard. Escape closes it, and the focus returns to the button.

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "rededge-drawer-button";
  button.textContent = model.get("text");
  el.append(button);

  const update = () => {
    button.setAttribute("aria-expanded", String(model.get("opened")));
    button.closest(".rededge-dashboard")?.classList.toggle("rededge-drawer-open", model.get("opened"));
  };
  const set = (open) => {
    model.set("opened", open);
    update();
    try {
      model.save_changes();
    } catch {
      // the kernel has ended; the drawer works without it
    }
  };
  const onKey = (event) => {
    const inDrawer = event.target.closest?.(".rededge-drawer")?.closest(".rededge-dashboard");
    if (event.key !== "Escape" || !model.get("opened") || inDrawer !== button.closest(".rededge-dashboard")) return;
    event.stopPropagation();
    set(false);
    button.focus();
  };
  button.addEventListener("click", () => set(!model.get("opened")));
  document.addEventListener("keydown", onKey, true);
  model.on("change:opened", update);
  // the button is not in the dashboard yet
  requestAnimationFrame(update);
  return () => {
    document.removeEventListener("keydown", onKey, true);
    model.off("change:opened", update);
  };
}

export default { render };
