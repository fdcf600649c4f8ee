// The dialog in which a click on an event shows its clip or its frame.

class EventDialog {
  constructor(onClose) {
    this.onClose = onClose;
    this.address = null;
    this.title = document.createElement("span");
    this.close = document.createElement("button");
    this.close.type = "button";
    this.close.textContent = "Close";
    this.close.title = "Close (Esc)";
    const head = document.createElement("div");
    head.className = "rededge-events-dialog-head";
    head.append(this.title, this.close);
    this.content = document.createElement("div");
    this.content.className = "rededge-events-dialog-content";
    this.root = document.createElement("dialog");
    this.root.className = "rededge-events-dialog";
    this.root.append(head, this.content);
    this.close.addEventListener("click", () => this.root.close());
    this.root.addEventListener("close", () => this.end());
  }

  // A modal dialog lies above the whole page, in JupyterLab, too; the browser keeps the focus in it and closes it on Esc.
  open(title) {
    this.title.textContent = title;
    this.root.setAttribute("aria-label", title);
    this.showText("loading");
    if (!this.root.isConnected) document.body.append(this.root);
    if (!this.root.open) this.root.showModal();
  }

  showText(text) {
    this.free();
    this.content.textContent = text;
    this.content.setAttribute("role", "status");
  }

  showFrame(jpeg, alt) {
    this.free();
    const image = document.createElement("img");
    image.alt = alt;
    image.src = this.addressOf(jpeg, "image/jpeg");
    this.content.replaceChildren(image);
  }

  showClip(mp4, alt) {
    this.free();
    const video = document.createElement("video");
    // a video that is not muted may not begin by itself
    Object.assign(video, { controls: true, autoplay: true, loop: true, muted: true, playsInline: true });
    video.setAttribute("aria-label", alt);
    video.addEventListener("error", () => this.showText("this browser cannot play the clip"));
    video.src = this.addressOf(mp4, "video/mp4");
    this.content.replaceChildren(video);
  }

  addressOf(data, type) {
    this.address = URL.createObjectURL(new Blob([data], { type }));
    return this.address;
  }

  free() {
    this.content.replaceChildren();
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }

  end() {
    this.free();
    this.root.remove();
    this.onClose();
  }
}
