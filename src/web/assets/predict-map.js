// The heat map with its controls: order, scale, zoom, finding a gene, the key of the colours, and what a cell says.

import { geneName } from "./predict-answer.js";
import { MapCanvas } from "./predict-canvas.js";
import { drawKey, drawUnknown, onTheme } from "./predict-colour.js";
import { count, el, fill, number, several, theme } from "./predict-dom.js";
import { finenessOf } from "./predict-gene.js";

const KEYS =
  "Arrow keys move the cursor (with Shift by ten), Home and End go to the first and last gene, " +
  "plus and minus zoom, 0 shows all, Enter opens the cell’s gene and person. " +
  "By mouse: click to open, then wheel to zoom (or Ctrl and wheel), drag to move, double-click to show all.";

const select = (id, label, options) =>
  el(
    "label",
    { for: id },
    label,
    el(
      "select",
      { id },
      options.map(([value, text]) => el("option", { value }, text)),
    ),
  );

/** Fills the section with the map of an answer. */
export async function showMap(section, answer, thread, onChoose) {
  const hasSeveral = new Set(answer.genes.map((gene) => gene.model)).size > 1;
  const names = answer.genes.map((gene) => geneName(gene, hasSeveral));
  const hasSpread = answer.genes.some((gene) => gene.sd > 0);
  const order = select("map-order", "Order", [
    ["sent", "as sent"],
    ["clustered", "clustered"],
  ]);
  const scale = select("map-scale", "Colours", [
    ["z", "z-score in each gene"],
    ["raw", "predicted value"],
  ]);
  const hints = { autocomplete: "off", spellcheck: "false" };
  const find = el("input", { id: "map-find", type: "search", list: "map-found", ...hints });
  const found = el("datalist", { id: "map-found" });
  const size = `${several(answer.samples.length, "person", "people")} by ${several(names.length, "gene")}`;
  const canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heat map",
    "aria-label": `Heat map of ${size}`,
    "aria-describedby": "map-keys",
  });
  const readout = el("p", { class: "readout" }, "Point at a cell, or move to one by the arrow keys.");
  const spoken = el("p", { class: "visually-hidden", role: "status" });
  const state = el("p", { class: "hint", role: "status" });
  const ending = { type: "button", class: "quiet", hidden: true, onclick: () => thread.stop() };
  const stop = el("button", ending, "Stop clustering");
  const key = el("div", { class: "key" });
  const note = el("p", { class: "hint" });
  const button = (label, text, act) =>
    el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: act }, text);
  const zooms = el(
    "div",
    { class: "zooms", role: "group", "aria-label": "Zoom" },
    button("Zoom in", "+", () => map.zoomBy(1.5)),
    button("Zoom out", "−", () => map.zoomBy(1 / 1.5)),
    button("Show all", "all", () => map.reset()),
  );
  fill(
    section,
    el("h2", {}, "Predicted expression"),
    el("div", { class: "view" }, order, scale, el("label", { for: "map-find" }, "Find a gene", find), found, zooms),
    state,
    stop,
    el("div", { class: "map" }, canvas),
    readout,
    spoken,
    key,
    note,
    el("details", {}, el("summary", {}, "Keys and mouse"), el("p", { id: "map-keys" }, KEYS)),
  );

  const describe = async ({ person, gene }) => {
    const value = await thread.ask("cell", { person, gene });
    const one = answer.genes[gene];
    const z = one.sd > 0 ? `, z ${number((value - one.mean) / one.sd)}` : ", the same for everybody";
    const said = `${number(value, finenessOf(one))}${Number.isNaN(value) ? "" : z}`;
    return `person ${answer.samples[person]}, gene ${names[gene]}: ${said}`;
  };
  let turn = 0;
  const say = async (cell, alsoSpoken, more = "") => {
    const mine = ++turn;
    if (!cell) return;
    const text = await describe(cell).catch(() => "");
    if (mine !== turn || !text) return;
    readout.textContent = text;
    if (alsoSpoken) spoken.textContent = text + more;
  };
  const map = new MapCanvas(
    canvas,
    { people: answer.samples, genes: names },
    {
      point: (cell) => say(cell, false),
      key: (cell) => say(cell, true),
      choose: onChoose,
    },
  );

  const controls = { order: order.querySelector("select"), scale: scale.querySelector("select") };
  if (!hasSpread) controls.scale.value = "raw";
  let range = [-3, 3];
  const drawn = async () => {
    const [scaleName, orderName] = [controls.scale.value, controls.order.value];
    state.textContent = "Arranging the map…";
    const arranged = await thread.ask("arrange", { scale: scaleName, order: orderName, fit: map.fit });
    state.textContent = "";
    map.show(arranged, scaleName);
    range = arranged.range;
    showKey(key, scaleName, range);
    fill(note, describedScale(scaleName, orderName));
  };
  const arrange = async () => {
    if (controls.order.value === "clustered") {
      state.textContent = "Clustering…";
      stop.hidden = false;
      controls.order.ariaDisabled = "true";
      try {
        await thread.ask("cluster", {}, (text) => (state.textContent = `Clustering ${text}…`));
      } catch (error) {
        controls.order.value = "sent";
        if (error.message !== "cancelled") throw error;
      } finally {
        // Neither the list nor the button, which is about to go, lets the keyboard down.
        if (document.activeElement === stop) controls.order.focus();
        [state.textContent, stop.hidden] = ["", true];
        controls.order.ariaDisabled = null;
      }
    }
    await drawn();
  };
  const failed = (error) => (state.textContent = `The map cannot be drawn: ${error.message}`);
  controls.order.addEventListener("change", () => {
    if (controls.order.ariaDisabled) controls.order.value = "clustered";
    else arrange().catch(failed);
  });
  controls.scale.addEventListener("change", () => drawn().catch(failed));
  onTheme(() => showKey(key, controls.scale.value, range), map.ending.signal);

  const matches = () => {
    const text = find.value.trim().toLowerCase();
    if (!text) return [];
    const all = answer.genes.map((gene, at) => ({ gene, at, name: names[at].toLowerCase() }));
    const starts = ({ gene, name }) => name.startsWith(text) || gene.gene_id.toLowerCase().startsWith(text);
    return all.filter(starts).map(({ at }) => at);
  };
  find.addEventListener("input", () => {
    const at = matches();
    map.found = new Set(at);
    map.redraw();
    found.replaceChildren(...at.slice(0, 30).map((one) => el("option", { value: names[one] })));
    const said = `${several(at.length, "gene begins", "genes begin")} so; Enter goes there.`;
    state.textContent = find.value.trim() ? said : "";
  });
  let visited = -1;
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const at = matches();
    if (at.length === 0) return;
    visited = at[(at.indexOf(visited) + 1) % at.length];
    const person = map.cursor ? map.people[map.cursor.row] : map.people[0];
    map.moveTo(map.rowOf[person], map.columnOf[visited], true);
    onChoose({ gene: visited, person });
  });
  await drawn();
  /** Marks a cell that was chosen here or elsewhere, and says it. */
  const mark = (cell) => {
    map.choose(cell);
    say(cell, true, "; the gene is shown below");
  };
  return { mark, end: () => map.end(), png: () => picture(map, controls.scale.value, range) };
}

const describedScale = (scale, order) => [
  scale === "z"
    ? "A z-score tells how many standard deviations a person is from the mean of these people, in one gene; " +
      "it is cut at ±3."
    : "The predicted value in the unit of its model; the ends of the scale are the first and the last hundredth.",
  " Where a pixel holds several cells, it shows their mean.",
  order === "clustered" &&
    " Clustered by average linkage on 24 dimensions of the z-scores; for that alone, an unknown value counts as its " +
      "gene’s mean. More than 3,000 are gathered into groups first.",
];

const ends = (scale, [low, high]) => {
  const [sign, last] = scale === "z" ? ["z ≤ ", "z ≥ "] : ["≤ ", "≥ "];
  const fine = (value) => number(value, (high - low) / 100);
  return [`${sign}${fine(low)}`, fine((low + high) / 2), `${last}${fine(high)}`];
};

function showKey(key, scale, range) {
  const strip = el("canvas", { width: 240, height: 14, "aria-hidden": "true" });
  drawKey(strip.getContext("2d"), 0, 0, 240, 14, scale);
  const swatch = el("canvas", { width: 28, height: 14, "aria-hidden": "true" });
  drawUnknown(swatch.getContext("2d"), 0, 0, 28, 14);
  const [low, middle, high] = ends(scale, range);
  fill(
    key,
    el(
      "div",
      { class: "strip" },
      strip,
      el("div", { class: "ends" }, el("span", {}, low), el("span", {}, middle), el("span", {}, high)),
    ),
    el("div", { class: "strip" }, swatch, el("div", {}, "unknown")),
  );
}

/** The map as it is in view, with its key, as a PNG. */
function picture(map, scale, range) {
  const { canvas, density } = map;
  const copy = el("canvas", { width: Math.max(canvas.width, 420 * density), height: canvas.height + 64 * density });
  const context = copy.getContext("2d");
  context.fillStyle = theme("--paper");
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  const [strip, line] = [Math.round(240 * density), Math.round(14 * density)];
  const [left, top] = [Math.round(12 * density), canvas.height + Math.round(14 * density)];
  drawKey(context, left, top, strip, line, scale);
  drawUnknown(context, left + strip + line, top, 2 * line, line);
  context.fillStyle = theme("--ink");
  context.font = `${11 * density}px system-ui, sans-serif`;
  context.textBaseline = "top";
  const [low, middle, high] = ends(scale, range);
  const below = top + 1.4 * line;
  const write = (text, x, align) => {
    context.textAlign = align;
    context.fillText(text, x, below);
  };
  write(low, left, "left");
  write(middle, left + strip / 2, "center");
  write(high, left + strip, "right");
  write("unknown", left + strip + line, "left");
  const { people, genes } = map.labels;
  write(`${count(people.length)} people × ${count(genes.length)} genes`, copy.width - left, "right");
  return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
}
