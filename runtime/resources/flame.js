// A flame graph: fits its frames to the window, zooms into the one that is clicked, marks those that are searched.
const group = byId("frames");
const ROW = +group.dataset.row, BOTTOM = +group.dataset.bottom, EDGE = +group.dataset.edge;
const frames = [...group.children].map((node) => ({
  node, box: node.children[0], label: node.children[1], name: node.dataset.name, space: node.getAttribute("class"),
  start: +node.dataset.start, end: +node.dataset.start + +node.dataset.amount, amount: +node.dataset.amount,
  depth: +node.dataset.depth, found: false,
}));
const all = frames[0];
let zoomed = all;

function layout() {
  const wide = width() - 2 * EDGE, scale = wide / Math.max(zoomed.amount, 1);
  for (const frame of frames) {
    const around = frame.depth < zoomed.depth && frame.start <= zoomed.start && frame.end >= zoomed.end;
    const inside = frame.depth >= zoomed.depth && frame.start >= zoomed.start && frame.end <= zoomed.end;
    const x = around ? 0 : (frame.start - zoomed.start) * scale;
    const long = around ? wide : frame.amount * scale;
    const seen = (around || inside) && (long >= 0.2 || frame === all);
    frame.node.style.display = seen ? "" : "none";
    if (!seen) continue;
    frame.node.setAttribute("class", [frame.space, around ? "under" : "", frame.found ? "found" : ""].join(" ").trim());
    frame.box.setAttribute("x", EDGE + x);
    frame.box.setAttribute("width", Math.max(long - (long > 3 ? 0.6 : 0), 0));
    frame.label.setAttribute("x", EDGE + x + 3);
    frame.label.textContent = shortened(frame.name, long - 6);
  }
}

function zoom(frame) {
  zoomed = frame;
  back.disabled = frame === all;
  hideTip();
  layout();
  tell();
  fitSubtitle();
}

// A function may be found within itself: its amount counts once.
let searching = false;
function tell() {
  let sum = 0, end = -1;
  for (const frame of frames) {
    if (frame.found && frame.start >= zoomed.start && frame.end <= zoomed.end && frame.start >= end) {
      sum += frame.amount;
      end = frame.end;
    }
  }
  told.textContent = searching ? `found: ${number(sum)} of ${number(zoomed.amount)}, ${share(sum, zoomed.amount)}` : "";
}

function search(wanted) {
  searching = wanted !== null;
  for (const frame of frames) frame.found = searching && frame !== all && wanted.test(frame.name);
  layout();
  tell();
}

for (const frame of frames) {
  frame.node.addEventListener("click", () => zoom(frame));
  frame.node.addEventListener("mousemove", (event) => {
    const of = zoomed === all ? "" : `, ${share(frame.amount, zoomed.amount)} of what is shown`;
    const where = frame === all || frame.space === "key" ? "" : ` (${frame.space})`;
    showTip(event, [frame.name + where, `${number(frame.amount)} of ${number(all.amount)}, ${share(frame.amount, all.amount)}${of}`]);
  });
  frame.node.addEventListener("mouseleave", hideTip);
}

begin(search, () => zoom(all), layout);
// the root is at the bottom: a picture that is higher than the window begins there
window.scrollTo(0, document.documentElement.scrollHeight);
