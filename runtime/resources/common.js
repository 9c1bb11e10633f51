// What both pictures share: the field to search in, the button back, the tooltip, and a head that stays in sight.
"use strict";
const SVG = "http://www.w3.org/2000/svg", XHTML = "http://www.w3.org/1999/xhtml";
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  parent.appendChild(node);
  return node;
}

const LETTER = (() => {
  const sample = make("text", { x: 0, y: -50 }, byId("head"));
  sample.textContent = "mmmmmmmmmmmmmmmmmmmm";
  const width = sample.getComputedTextLength() / 20;
  sample.remove();
  return width || 7.3;
})();

function shortened(text, width) {
  const most = Math.floor(width / LETTER);
  if (text.length <= most) return text;
  return most >= 4 ? text.slice(0, most - 1) + "…" : "";
}

const number = (value) => value.toLocaleString("en-US");
const share = (part, whole) => (whole ? Number((100 * part / whole).toPrecision(3)) : 0) + " %";
const width = () => root.clientWidth || window.innerWidth;

// Lines of text beside the mouse, kept inside the window.
const tip = make("g", { id: "tip", display: "none" }, root);
const tipBox = make("rect", { rx: 3 }, tip);
function showTip(event, lines) {
  while (tip.lastChild !== tipBox) tip.lastChild.remove();
  const most = Math.max(20, Math.floor((width() - 40) / LETTER));
  const cut = lines.flatMap((line) => line.match(new RegExp(`.{1,${most}}`, "gs")) || [""]);
  cut.forEach((line, at) => { make("text", { x: 8, y: 19 + 16 * at }, tip).textContent = line; });
  const wide = Math.max(...cut.map((line) => line.length)) * LETTER + 16, high = 16 * cut.length + 12;
  tipBox.setAttribute("width", wide);
  tipBox.setAttribute("height", high);
  const x = Math.max(4, Math.min(event.clientX + 14, width() - wide - 8)) + window.scrollX;
  const below = event.clientY + 20 + high < window.innerHeight;
  const y = (below ? event.clientY + 18 : Math.max(4, event.clientY - high - 10)) + window.scrollY;
  tip.setAttribute("transform", `translate(${x} ${y})`);
  tip.setAttribute("display", "inline");
}
const hideTip = () => tip.setAttribute("display", "none");

// A pattern is a regular expression; small letters find capitals too.
function pattern(text) {
  return new RegExp(text, /[A-Z]/.test(text) ? "" : "i");
}

const head = byId("head");
const told = make("text", { id: "told", y: 45, "text-anchor": "end" }, head);
const tools = make("foreignObject", { y: 6, width: 330, height: 30 }, head);
const bar = document.createElementNS(XHTML, "div");
bar.style.textAlign = "right";
const field = document.createElementNS(XHTML, "input");
field.placeholder = "search (regular expression)";
field.type = "search";
field.style.width = "215px";
const back = document.createElementNS(XHTML, "button");
back.textContent = "Reset zoom";
back.disabled = true;
bar.append(field, back);
tools.append(bar);

// The line under the title ends before what was found and the colours.
const subtitle = byId("subtitle"), about = subtitle.textContent;
function fitSubtitle() {
  const room = +told.getAttribute("x") - told.getComputedTextLength() - 40;
  subtitle.textContent = about;
  const long = subtitle.getComputedTextLength();
  if (long > room) subtitle.textContent = about.slice(0, Math.max(0, Math.floor(about.length * room / long) - 1)) + "…";
}

function begin(search, reset, layout) {
  const find = () => {
    field.className = "";
    try {
      search(field.value ? pattern(field.value) : null);
    } catch {
      field.className = "wrong";
      search(null);
    }
    fitSubtitle();
  };
  const fit = () => {
    root.removeAttribute("viewBox");
    root.setAttribute("width", width());
    const left = byId("title").getComputedTextLength() + 28, room = Math.max(width() - left - 16, 150);
    tools.setAttribute("x", left);
    tools.setAttribute("width", room);
    field.style.width = `${Math.min(Math.max(room - 105, 40), 215)}px`;
    // in a narrow window what was found is more than what the colours mean
    const legend = byId("legend"), narrow = width() < 560;
    legend.style.display = narrow ? "none" : "";
    const taken = narrow ? 0 : legend.getBBox().width;
    legend.setAttribute("transform", `translate(${width() - 16 - taken} 36)`);
    told.setAttribute("x", width() - 16 - (taken ? taken + 24 : 0));
    fitSubtitle();
    layout();
  };
  root.removeAttribute("width");
  field.addEventListener("input", find);
  back.addEventListener("click", reset);
  window.addEventListener("resize", fit);
  window.addEventListener("scroll", () => head.setAttribute("transform", `translate(${window.scrollX} ${window.scrollY})`));
  window.addEventListener("keydown", (event) => {
    const typing = document.activeElement === field;
    if ((event.key === "f" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing)) {
      field.focus();
      field.select();
      event.preventDefault();
    } else if (event.key === "Escape") {
      if (field.value) { field.value = ""; find(); } else { reset(); }
      field.blur();
    }
  });
  fit();
}
