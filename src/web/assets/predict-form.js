// The form: files, models, genes and policies as they stand, and whether they can be sent.

import { byId, count, el, fill } from "./predict-dom.js";
import { kindOf } from "./predict-files.js";
import { curlLine } from "./predict-download.js";
import { described, familyOf, obstacles, recogniseFiles, recogniseText } from "./predict-input.js";

/** An address that is longer is refused by the service and by what may stand before it. */
const LONGEST_ADDRESS = 60_000;
const FILTERED_FROM = 9;

const form = byId("predict");
const limits = {
  bytes: Number(form.dataset.maxBytes),
  people: Number(form.dataset.maxPeople),
  values: Number(form.dataset.maxValues),
  kept: Number(form.dataset.maxKeptBytes),
};
const boxes = [...form.querySelectorAll('input[name="model"]')];
const POLICIES = ["assembly", "missing", "ambiguous", "absent", "min_overlap"];

let chosen = [];
let input = null;
let turn = 0;
let isBusy = false;

const genes = () => [
  ...new Set(
    byId("genes")
      .value.split(/[\s,;]+/)
      .filter(Boolean),
  ),
];

const models = () =>
  boxes.filter((box) => box.checked).map((box) => ({ name: box.value, genes: Number(box.dataset.genes) }));

/** An address of the service with parameters; lists are parted by commas. */
export function address(path, parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== "" && value?.length !== 0);
  const text = pairs.map(([name, value]) => `${name}=${[value].flat().map(encodeURIComponent).join(",")}`);
  return `${path}?${text.join("&")}`;
}

/** What would be sent, as it stands now. */
export function request() {
  const policies = Object.fromEntries(POLICIES.map((name) => [name, byId(name).value.trim()]));
  return { input, parameters: { model: models().map(({ name }) => name), gene: genes(), ...policies } };
}

/** Chooses an assembly, also one that the list does not have. */
export function chooseAssembly(name) {
  const select = byId("assembly");
  if (![...select.options].some((option) => option.value === name)) select.append(el("option", { value: name }, name));
  select.value = name;
  review();
}

/** Says what stands in the way, and lets send where nothing does. */
function review() {
  const { parameters } = request();
  const path = address("/v1/predictions", { ...parameters, format: "json" });
  const found = obstacles(input, models(), genes(), limits);
  if (path.length > LONGEST_ADDRESS) {
    found.push("These are too many genes for one request: leave the field empty for all.");
  }
  const list = byId("obstacle");
  list.replaceChildren(...found.map((text) => el("p", {}, text)));
  list.classList.toggle("bad", input !== null && found.length > 0);
  for (const button of [byId("send"), byId("check")]) button.disabled = isBusy || found.length > 0;
  byId("curl").querySelector("code").textContent = curlLine(location.origin + path, input, "predictions.json");
  byId("models-count").textContent = `${count(models().length)} of ${count(boxes.length)} chosen`;
}

/** Whether nothing stands in the way of sending. */
export const isReady = () => !byId("send").disabled;

/** Keeps the buttons from starting a second request. */
export function setBusy(busy) {
  isBusy = busy;
  review();
}

async function recognise(found) {
  const mine = ++turn;
  const next = await found;
  if (mine !== turn) return;
  input = next;
  const list = byId("chosen");
  const remove = (file) =>
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": `Remove ${file.name}`,
        onclick: () => {
          choose(chosen.filter((one) => one !== file));
          byId("files").focus();
        },
      },
      "Remove",
    );
  fill(
    list,
    chosen.map((file) => el("li", {}, file.name, " ", remove(file))),
  );
  byId("recognised").textContent = input?.title ? described(input) : "";
  review();
}

function choose(files) {
  chosen = files;
  if (files.length === 0) byId("files").value = "";
  return recognise(files.length ? recogniseFiles(files) : null);
}

/** Adds files: a companion joins its genotypes, another cohort takes the place of the one before. */
function add(files) {
  const fresh = [...files];
  if (fresh.length === 0) return;
  byId("pasted").value = "";
  const kinds = new Set(fresh.map((file) => kindOf(file.name)));
  const merged = [...chosen.filter((file) => !kinds.has(kindOf(file.name))), ...fresh];
  const families = new Set(merged.map((file) => familyOf(kindOf(file.name))));
  choose(families.size === 1 ? merged : fresh);
}

function wireFiles() {
  const [field, drop, pasted] = [byId("files"), byId("drop"), byId("pasted")];
  field.addEventListener("change", () => add(field.files));
  // The same file may have been mended in between: choosing it again has to count.
  field.addEventListener("click", () => (field.value = ""));
  const over = (event, isOver) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    drop.classList.toggle("over", isOver);
  };
  // Anywhere: a file that misses the zone would otherwise replace the page.
  addEventListener("dragover", (event) => over(event, true));
  addEventListener("dragleave", (event) => over(event, false));
  addEventListener("drop", (event) => {
    over(event, false);
    add(event.dataTransfer.files);
  });
  let waiting;
  pasted.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      chosen = [];
      field.value = "";
      recognise(pasted.value.trim() ? recogniseText(pasted.value) : null);
    }, 250);
  });
  // Who comes back to the page finds the fields as they were left.
  if (field.files.length > 0) add(field.files);
  else if (pasted.value.trim()) recognise(recogniseText(pasted.value));
}

function wireModels() {
  const filter = byId("model-filter");
  const rowOf = (box) => box.closest("label");
  byId("model-bar").hidden = boxes.length < FILTERED_FROM;
  filter.addEventListener("input", () => {
    const text = filter.value.trim().toLowerCase();
    for (const box of boxes) rowOf(box).hidden = !rowOf(box).textContent.toLowerCase().includes(text);
  });
  // It sends nothing: it is no field of the request.
  filter.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  const set = (checked, isMeant) => () => {
    for (const box of boxes.filter(isMeant)) box.checked = checked;
    review();
  };
  byId("models-all").addEventListener(
    "click",
    set(true, (box) => !rowOf(box).hidden),
  );
  byId("models-none").addEventListener(
    "click",
    set(false, () => true),
  );
}

/** Wires the form; `send` gets the path of what is asked for. */
export function wire(send) {
  wireFiles();
  wireModels();
  form.addEventListener("input", (event) => event.target.id !== "pasted" && review());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isReady()) send("/v1/predictions");
  });
  byId("check").addEventListener("click", () => send("/v1/predictions/check"));
  // A browser brings back what was typed before a reload.
  if (byId("pasted").value.trim()) recognise(recogniseText(byId("pasted").value));
  else if (byId("files").files.length) add(byId("files").files);
  else review();
}
