// A place where a file can be dropped. The kernel asks for one piece after the other, so neither side holds all of it.

const PIECE = 512 * 1024;

function render({ model, el }) {
  const zone = document.createElement("label");
  zone.className = "rededge-upload";
  const input = document.createElement("input");
  input.type = "file";
  input.accept = model.get("suffixes").join(",");
  const text = document.createElement("span");
  const bar = document.createElement("progress");
  zone.append(input, text, bar);
  el.append(zone);

  let sending = null;

  const draw = () => {
    text.textContent = model.get("text");
    zone.dataset.level = model.get("level");
    bar.hidden = !sending;
    if (sending) bar.value = sending.sent / (sending.file.size || 1);
  };

  const begin = (file) => {
    sending = { id: crypto.randomUUID?.() ?? String(Math.random()), file, sent: 0 };
    model.send({ kind: "begin", id: sending.id, name: file.name, size: file.size });
    draw();
  };

  const sendPiece = async (upload) => {
    try {
      const piece = await upload.file.slice(upload.sent, upload.sent + PIECE).arrayBuffer();
      if (sending !== upload) return;
      upload.sent += piece.byteLength;
      model.send({ kind: "piece", id: upload.id }, undefined, [piece]);
    } catch (error) {
      sending = null;
      model.send({ kind: "failed", id: upload.id, why: String(error) });
    }
    draw();
  };

  const receive = (message) => {
    if (!sending || message.id !== sending.id) return;
    if (message.kind === "more") {
      void sendPiece(sending);
    } else {
      sending = null;
      draw();
    }
  };

  const over = (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.toggle("over", event.type === "dragenter" || event.type === "dragover");
  };
  const drop = (event) => {
    over(event);
    const [file] = event.dataTransfer.files;
    if (file) begin(file);
  };
  const chosen = () => {
    const [file] = input.files;
    if (file) begin(file);
    input.value = "";
  };

  for (const kind of ["dragenter", "dragover", "dragleave"]) zone.addEventListener(kind, over);
  zone.addEventListener("drop", drop);
  input.addEventListener("change", chosen);
  model.on("msg:custom", receive);
  model.on("change:text change:level", draw);
  draw();
  return () => {
    sending = null;
    model.off("msg:custom", receive);
    model.off("change:text change:level", draw);
  };
}

export default { render };
