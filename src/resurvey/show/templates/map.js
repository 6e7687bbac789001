"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("map"), pen = canvas.getContext("2d");
const list = document.getElementById("list"), told = document.getElementById("told");
const PALETTE = ["#3b7dd8", "#d9772b", "#2f9e63", "#c2447f", "#8a63d2", "#b0892c", "#2ba3a8", "#d14b41", "#6f8f2f", "#7d6a5b"];
const STEPS = ["#4b3b8f", "#3b6fb0", "#2b9a94", "#6fb552", "#e0c33a"];
const NEAR = 14, SHOWN = 40;
const layers = { passages: true, found: true, failing: true, hubs: true, words: true };
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let view = { x: 0.5, y: 0.5, scale: 1 }, wanted = "", field = null, picked = null, waiting = false;

const P = data.passages, Q = data.queries, W = data.words;
const hay = P.text.map((text, n) => `${P.title[n]} ${text} ${P.document[n]}`.toLowerCase());
const asked = Q.text.map(text => text.toLowerCase());
let hits = [];

function size() { return Math.min(canvas.clientWidth, canvas.clientHeight) * 0.92 * view.scale; }
function toScreen(x, y) { const s = size(); return [(x - view.x) * s + canvas.clientWidth / 2, (view.y - y) * s + canvas.clientHeight / 2]; }
function toMap(px, py) { const s = size(); return [(px - canvas.clientWidth / 2) / s + view.x, view.y - (py - canvas.clientHeight / 2) / s]; }
function matches(text) { return !wanted || text.includes(wanted); }
function colourOf(n) {
  if (!field) return null;
  const code = field.codes[n];
  return code < 0 ? null : (field.ordered ? STEPS : PALETTE)[code];
}

function draw() {
  waiting = false;
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  const ink = { point: css("--point"), good: css("--good"), bad: css("--bad"), warn: css("--warn"), accent: css("--accent"), text: css("--ink"), paper: css("--paper") };
  const s = size(), r = Math.max(1.5, Math.min(5, 1.4 * Math.sqrt(view.scale) * (P.x.length < 3000 ? 1.7 : 1)));
  if (layers.passages) {
    for (const hit of wanted ? [false, true] : [true]) {
      pen.globalAlpha = wanted && !hit ? 0.12 : 0.75;
      let last = "";
      for (let n = 0; n < P.x.length; n++) {
        if (wanted && hits[n] !== hit) continue;
        const x = (P.x[n] - view.x) * s + w / 2, y = (view.y - P.y[n]) * s + h / 2;
        if (x < -r || y < -r || x > w + r || y > h + r) continue;
        const colour = wanted && hit ? ink.accent : colourOf(n) || ink.point;
        if (colour !== last) pen.fillStyle = last = colour;
        pen.fillRect(x - r, y - r, 2 * r, 2 * r);
      }
    }
  }
  pen.globalAlpha = 1;
  const crowded = Q.x.length > 500, ring = Math.min(r + 1.5, crowded ? 1.6 * Math.sqrt(view.scale) + 0.6 : 9);
  for (let n = 0; n < Q.x.length; n++) {
    const failing = !Q.rank[n];
    if (!layers[failing ? "failing" : "found"]) continue;
    pen.globalAlpha = matches(asked[n]) ? (crowded && !failing ? 0.65 : 0.9) : 0.1;
    const [x, y] = toScreen(Q.x[n], Q.y[n]), d = failing ? ring + 0.8 : ring;
    pen.beginPath();
    if (failing) { pen.fillStyle = ink.bad; pen.moveTo(x, y - d); pen.lineTo(x + d, y); pen.lineTo(x, y + d); pen.lineTo(x - d, y); pen.fill(); }
    else { pen.strokeStyle = ink.good; pen.lineWidth = crowded && view.scale < 3 ? 0.9 : 1.4; pen.arc(x, y, d, 0, 7); pen.stroke(); }
  }
  pen.globalAlpha = 1;
  if (layers.hubs) for (let n = 0; n < P.x.length; n++) if (P.hub[n]) {
    const [x, y] = toScreen(P.x[n], P.y[n]);
    pen.strokeStyle = ink.warn; pen.lineWidth = 2.5; pen.beginPath(); pen.arc(x, y, r + 5, 0, 7); pen.stroke();
  }
  if (layers.words) {
    pen.font = "600 13px system-ui, sans-serif"; pen.textAlign = "center"; pen.lineWidth = 3; pen.strokeStyle = ink.paper; pen.fillStyle = ink.accent;
    for (const [n, x, y] of labels()) { pen.strokeText(W.word[n], x, y); pen.fillText(W.word[n], x, y); }
  }
  if (picked && picked.kind === "query" && Q.right[picked.n] >= 0) {
    const m = Q.right[picked.n], [x, y] = toScreen(Q.x[picked.n], Q.y[picked.n]), [a, b] = toScreen(P.x[m], P.y[m]);
    pen.strokeStyle = ink.text; pen.lineWidth = 1.5; pen.setLineDash([5, 4]); pen.beginPath(); pen.moveTo(x, y); pen.lineTo(a, b); pen.stroke(); pen.setLineDash([]);
    pen.beginPath(); pen.arc(a, b, r + 4, 0, 7); pen.stroke();
  }
}
function labels() {
  const taken = [], w = canvas.clientWidth;
  for (let n = 0; n < W.x.length; n++) {
    const half = pen.measureText(W.word[n]).width / 2 + 2;
    let [x, y] = toScreen(W.x[n], W.y[n]);
    if (x > -half && x < w + half) x = Math.min(Math.max(x, half), Math.max(half, w - half));
    for (let step = 0; step < 8 && taken.some(([, a, b, c]) => Math.abs(a - x) < half + c && Math.abs(b - y) < 15); step++) y += 15;
    taken.push([n, x, y, half]);
  }
  return taken;
}
function again() { if (!waiting) { waiting = true; requestAnimationFrame(draw); } }

function item(kind, n) {
  const li = document.createElement("li"), head = document.createElement("b"), body = document.createElement("span");
  li.className = "item";
  if (kind === "passage") { head.textContent = P.title[n] || P.document[n]; body.textContent = P.text[n]; if (P.hub[n]) li.append(mark("hub", `hub: in ${P.hub[n]} lists of ten `)); }
  if (kind === "query") { head.textContent = `“${Q.text[n]}”`; body.textContent = Q.right[n] >= 0 ? `wanted: ${P.title[Q.right[n]] || P.document[Q.right[n]]}` : ""; li.append(Q.rank[n] ? mark("ok", `query, found at ${Q.rank[n]}`) : mark("bad", "query, not among the first ten")); }
  if (kind === "word") { head.textContent = W.word[n]; body.textContent = `read as ${W.web[n]}; here beside ${W.beside[n]}`; }
  li.prepend(head); li.append(body);
  return li;
}
function mark(name, text) { const span = document.createElement("span"); span.className = name; span.textContent = text; const line = document.createElement("div"); line.append(span); return line; }
function tell(title, found) { told.textContent = title; list.replaceChildren(...found.slice(0, SHOWN).map(([kind, n]) => item(kind, n))); }

function near(px, py, reach) {
  const found = [];
  const look = (kind, set, shown) => { for (let n = 0; n < set.x.length; n++) if (shown(n)) { const [x, y] = toScreen(set.x[n], set.y[n]), d = (x - px) ** 2 + (y - py) ** 2; if (d <= reach * reach) found.push([d, kind, n]); } };
  if (layers.words) look("word", W, () => true);
  look("query", Q, n => layers[Q.rank[n] ? "found" : "failing"] && matches(asked[n]));
  if (layers.passages) look("passage", P, n => matches(hay[n]));
  return found.sort((a, b) => a[0] - b[0]).map(([, kind, n]) => [kind, n]);
}
function here() { const found = near(canvas.clientWidth / 2, canvas.clientHeight / 2, 90); tell(found.length ? "Near the middle" : "What is here", found); }

function zoom(by, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) {
  const [x, y] = toMap(px, py);
  view.scale = Math.min(200, Math.max(0.6, view.scale * by));
  const [a, b] = toMap(px, py);
  view.x += x - a; view.y += y - b;
  again();
}
const held = new Map();
let moved = 0, apart = 0;
canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); held.set(e.pointerId, [e.offsetX, e.offsetY]); moved = 0; apart = 0; });
canvas.addEventListener("pointermove", e => {
  const before = held.get(e.pointerId);
  if (!before) return;
  if (held.size === 1) { const s = size(); view.x -= (e.offsetX - before[0]) / s; view.y += (e.offsetY - before[1]) / s; moved += Math.abs(e.offsetX - before[0]) + Math.abs(e.offsetY - before[1]); again(); }
  held.set(e.pointerId, [e.offsetX, e.offsetY]);
  if (held.size === 2) { const [[a, b], [c, d]] = [...held.values()], now = Math.hypot(a - c, b - d); if (apart) zoom(now / apart, (a + c) / 2, (b + d) / 2); apart = now; moved = 99; }
});
function drop(e) {
  if (held.delete(e.pointerId) && e.type === "pointerup" && moved < 6) {
    const found = near(e.offsetX, e.offsetY, NEAR);
    picked = found.length ? { kind: found[0][0], n: found[0][1] } : null;
    tell(found.length ? "Where you pointed" : "Nothing there", found);
    again();
  } else if (moved >= 6 && !wanted && !held.size) here();
}
canvas.addEventListener("pointerup", drop);
canvas.addEventListener("pointercancel", drop);
canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(-e.deltaY / 400), e.offsetX, e.offsetY); }, { passive: false });
canvas.addEventListener("keydown", e => {
  const step = 60 / size(), moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (moves[e.key]) { view.x += moves[e.key][0]; view.y += moves[e.key][1]; again(); here(); e.preventDefault(); }
  if (e.key === "+" || e.key === "=") { zoom(1.4); here(); }
  if (e.key === "-") { zoom(1 / 1.4); here(); }
});
document.getElementById("in").addEventListener("click", () => { zoom(1.6); here(); });
document.getElementById("out").addEventListener("click", () => { zoom(1 / 1.6); here(); });
document.getElementById("whole").addEventListener("click", () => { view = { x: 0.5, y: 0.5, scale: 1 }; again(); here(); });
document.getElementById("search").addEventListener("input", e => {
  wanted = e.target.value.trim().toLowerCase();
  hits = wanted ? hay.map(matches) : [];
  if (!wanted) { here(); again(); return; }
  const found = [];
  W.word.forEach((word, n) => { if (word.includes(wanted)) found.push(["word", n]); });
  asked.forEach((text, n) => { if (matches(text)) found.push(["query", n]); });
  hay.forEach((text, n) => { if (matches(text)) found.push(["passage", n]); });
  tell(found.length ? `${found.length.toLocaleString("en")} found` : "Nothing found", found);
  again();
});
document.getElementById("colour").addEventListener("change", e => {
  field = e.target.value === "" ? null : data.fields[+e.target.value];
  const rows = field ? field.values.map((value, n) => [value, (field.ordered ? STEPS : PALETTE)[n]]) : [];
  if (field && field.codes.some(code => code < 0)) rows.push(["anything else, or nothing", css("--point")]);
  document.getElementById("legend").replaceChildren(...rows.map(([value, colour]) => { const li = document.createElement("li"), dot = document.createElement("i"); dot.style.background = colour; li.append(dot, value); return li; }));
  again();
});
document.querySelectorAll("[data-layer]").forEach(box => box.addEventListener("change", () => { layers[box.dataset.layer] = box.checked; again(); }));
new ResizeObserver(again).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
window.resurveyMap = { draw, state: () => ({ ...view, wanted, listed: list.children.length }) };
draw(); here();
})();
