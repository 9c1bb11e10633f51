// A heat map: fits its panels to the window, tells of the cell under the mouse, zooms into the time that is dragged over.
const panels = byId("panels");
const TIMES = JSON.parse(panels.dataset.times);
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  14400, 28800, 86400];
const heats = [...panels.children].map((node) => {
  const data = JSON.parse(node.dataset.cells), counts = new Map();
  for (const [column, row, count] of data.cells) counts.set(`${column} ${row}`, count);
  return {
    node, counts, name: node.dataset.name, rows: data.rows, top: +node.dataset.top, height: +node.dataset.height,
    cells: node.querySelector(".cells"), frame: node.querySelector(".frame"), times: node.querySelector(".times"),
    title: node.querySelector(".panel"), told: node.querySelector(".counts"),
    plot: make("rect", { class: "plot", fill: "transparent" }, node),
    range: make("rect", { class: "range", display: "none" }, node),
  };
});
let from = 0, to = TIMES.columns;  // the columns that are shown

const wide = () => Math.max(width() - TIMES.left - TIMES.edge, 50);
const seconds = (column) => column * TIMES.step;
const round = (value) => +value.toFixed(3);

function layout() {
  for (const heat of heats) {
    heat.cells.setAttribute("viewBox", `${from} 0 ${to - from} ${heat.rows.length}`);
    heat.cells.setAttribute("width", wide());
    for (const box of [heat.frame, heat.plot]) box.setAttribute("width", wide());
    heat.plot.setAttribute("x", TIMES.left);
    heat.plot.setAttribute("y", heat.top);
    heat.plot.setAttribute("height", heat.height);
    heat.told.setAttribute("x", width() - TIMES.edge);
    heat.title.textContent = shortened(heat.name, wide() - 320);
    marks(heat);
  }
}

function marks(heat) {
  heat.times.replaceChildren();
  const begin = seconds(from), span = seconds(to) - begin, most = Math.max(2, wide() / 90);
  const each = STEPS.find((step) => span / step <= most) || STEPS[STEPS.length - 1];
  for (let at = Math.ceil(begin / each - 1e-6) * each; at <= begin + span * 0.985; at += each) {
    const x = TIMES.left + (at - begin) / span * wide();
    make("text", { class: "axis", x, y: heat.top + heat.height + 16, "text-anchor": "middle" }, heat.times)
      .textContent = `${round(at)} s`;
  }
}

function zoom(first, last) {
  from = first;
  to = last;
  back.disabled = from === 0 && to === TIMES.columns;
  hideTip();
  layout();
}

function search(wanted) {
  let found = 0;
  for (const heat of heats) {
    const hit = wanted === null || wanted.test(heat.name);
    heat.node.classList.toggle("dim", !hit);
    found += hit ? 1 : 0;
  }
  told.textContent = wanted === null ? "" : `found: ${found} of ${heats.length}`;
}

// Where in the picture the mouse is: a column, not rounded, and a row.
function place(heat, event) {
  const box = heat.plot.getBoundingClientRect();
  const x = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  const y = Math.min(Math.max((event.clientY - box.top) / box.height, 0), 0.9999);
  return { column: from + x * (to - from), row: Math.floor(y * heat.rows.length) };
}

function describe(heat, event) {
  const at = place(heat, event), column = Math.min(Math.floor(at.column), TIMES.columns - 1);
  const count = heat.counts.get(`${column} ${at.row}`) || 0;
  const clock = new Date((TIMES.start + seconds(column)) * 1000).toTimeString().slice(0, 8);
  showTip(event, [
    `${heat.rows[at.row]}: ${number(count)}`,
    `${round(seconds(column))} s to ${round(seconds(column + 1))} s, ${clock}`,
  ]);
}

let drag = null;
for (const heat of heats) {
  heat.plot.addEventListener("pointerdown", (event) => {
    drag = { heat, column: place(heat, event).column, x: event.clientX };
    heat.plot.setPointerCapture(event.pointerId);
  });
  heat.plot.addEventListener("pointermove", (event) => {
    if (drag === null) return describe(heat, event);
    hideTip();
    const box = heat.plot.getBoundingClientRect();
    const end = Math.min(Math.max(event.clientX, box.left), box.right);
    heat.range.setAttribute("x", Math.min(drag.x, end) + window.scrollX);
    heat.range.setAttribute("width", Math.abs(end - drag.x));
    heat.range.setAttribute("y", heat.top);
    heat.range.setAttribute("height", heat.height);
    heat.range.setAttribute("display", "inline");
  });
  heat.plot.addEventListener("pointerup", (event) => {
    if (drag === null) return;
    const [first, last] = [drag.column, place(heat, event).column].sort((a, b) => a - b);
    const long = Math.abs(event.clientX - drag.x) > 4;
    drag = null;
    heat.range.setAttribute("display", "none");
    if (long) zoom(Math.floor(first), Math.max(Math.ceil(last), Math.floor(first) + 1));
  });
  heat.plot.addEventListener("pointercancel", () => { drag = null; heat.range.setAttribute("display", "none"); });
  heat.plot.addEventListener("pointerleave", hideTip);
}

begin(search, () => zoom(0, TIMES.columns), layout);
