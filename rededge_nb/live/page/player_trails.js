// The paths of the last seconds: a line for each person, or other object, in the colour of the box, fading towards its start.

LAYERS.unshift({
  draw: (context, view) => view.frame.trails && view.model.get("trails") && drawTrails(context, view),
  toggles: [
    {
      attribute: "trails",
      text: "Trails",
      hint: "Show the paths of the last seconds",
      key: "t",
      icon: "M1 11.5c4 0 3-7 7-7 2.500 0 3 2.500 4.500 2.500H15v2h-2.500C10 9 9.500 6.500 8 6.500c-2.500 0-1.500 7-7 7z",
    },
  ],
});

function drawTrails(context, { frame, scale, unit }) {
  const width = 2 * unit * Math.max(1, Math.min(context.canvas.width, context.canvas.height) / (unit * 720));
  context.lineJoin = context.lineCap = "round";
  frame.trails.forEach((trail, index) => {
    const last = trail.length / 2 - 1;
    const point = (at) => [trail[2 * at] * scale, trail[2 * at + 1] * scale];
    for (const [color, wide] of [
      ["rgb(18, 22, 28)", width * 2],
      [frame.colors[index], width],
    ]) {
      context.strokeStyle = color;
      context.lineWidth = wide;
      for (let at = 0; at < last; at += 1) {
        context.globalAlpha = 0.15 + (0.75 * (at + 1)) / last;
        context.beginPath();
        context.moveTo(...point(at));
        context.lineTo(...point(at + 1));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  });
}
