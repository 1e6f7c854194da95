// The page /predict: genotypes go out once, and what comes back is a report, a map, a gene, and its contributions.
//
// Nothing is kept but in this page's memory; a new run lets go of the one before.

import { thread as startThread } from "./predict-answer.js";
import { byId, el, fill, focusOn } from "./predict-dom.js";
import { save, saveJson, saveSvg } from "./predict-download.js";
import { showContributions } from "./predict-explain.js";
import { address, chooseAssembly, isReady, request, setBusy, wire } from "./predict-form.js";
import { showGene } from "./predict-gene.js";
import { showMap } from "./predict-map.js";
import { problemOf, problemView } from "./predict-problem.js";
import { reportView } from "./predict-report.js";
import { follow, giveUp, isUnderWay } from "./predict-send.js";

const PREDICT = "/v1/predictions";
const CHECK = "/v1/predictions/check";
const FORMS = [
  ["TSV", "tsv", "tsv", {}],
  ["BED (bgzip)", "bed", "bed.gz", { bgzip: "true" }],
  ["Arrow", "arrow", "arrows", {}],
  ["Parquet", "parquet", "parquet", {}],
];

/** The run that is shown: what was sent, what came, and the thread that holds the values. */
let run = null;

function release() {
  giveUp();
  run?.thread?.end();
  run?.shown?.end();
  run = null;
  for (const id of ["progress", "problem", "report", "map", "gene", "downloads"]) fill(byId(id));
}

/** Shows a failure in a place, its heading first; what was cancelled is told without alarm. */
function failed(place, error) {
  if (error.superseded) return;
  const view = error.cancelled
    ? [el("h2", {}, "Cancelled"), el("p", {}, error.message)]
    : [el("h2", { class: "bad" }, error.title ?? "It did not work"), el("p", {}, error.message)];
  fill(place, view);
  focusOn(place.querySelector("h2"));
}

/** Posts the run's genotypes again; gives the answer, or shows in the place why there is none. */
async function again(place, path, parameters, title) {
  if (isUnderWay()) return null;
  const mine = run;
  try {
    const response = await follow(place, address(path, parameters), mine.sent.input, title);
    if (run !== mine) return null;
    if (response.status === 200) return response.response;
    const problem = await problemOf(response, mine.sent.input);
    if (run !== mine) return null;
    fill(place, problemView(problem));
    focusOn(place.querySelector("h2"));
  } catch (error) {
    failed(place, error);
  }
  return null;
}

async function send(path) {
  release();
  const mine = (run = { sent: request(), path });
  const title = path === CHECK ? "Checking the match" : "Predicting";
  const parameters = path === CHECK ? mine.sent.parameters : { ...mine.sent.parameters, format: "json" };
  setBusy(true);
  try {
    const coming = follow(byId("progress"), address(path, parameters), mine.sent.input, title);
    focusOn(byId("progress"));
    const response = await coming;
    if (response.status !== 200) await refused(response);
    else if (path === CHECK) showReport(JSON.parse(await response.response.text()), []);
    else await predicted(response.response);
  } catch (error) {
    failed(byId("problem"), error);
  } finally {
    setBusy(false);
  }
}

async function refused(response) {
  const problem = await problemOf(response, run.sent.input);
  if (problem.kind === "low-overlap" && problem.report) {
    showReport(problem.report, []);
    return;
  }
  fill(byId("problem"), problemView(problem));
  focusOn(byId("problem").querySelector("h2"));
}

function showReport(report, notFound) {
  const section = byId("report");
  run.report = report;
  fill(
    section,
    reportView(report, notFound, (assembly) => {
      chooseAssembly(assembly);
      if (isReady()) send(run.path);
      else focusOn(byId("obstacle"));
    }),
  );
  showDownloads();
  focusOn(section.querySelector("h2"));
}

async function predicted(blob) {
  const text = el("p", { role: "status" }, "Reading the answer…");
  fill(byId("progress"), text);
  run.thread = startThread();
  run.blob = blob;
  try {
    run.answer = await run.thread.ask("read", { blob }, (share) => {
      text.textContent = `Reading the answer… ${Math.floor(share * 10) * 10} %`;
    });
    if (run.answer.genes.length && run.answer.samples.length) {
      const mine = run;
      const open = (cell) => choose(cell).catch((error) => run === mine && failed(byId("problem"), error));
      run.shown = await showMap(byId("map"), run.answer, run.thread, open);
    }
  } finally {
    fill(byId("progress"));
  }
  showReport(run.answer.report, run.answer.genes_not_found);
}

/** Shows a gene and a person's place in it. */
async function choose({ gene, person }) {
  const mine = run;
  if (mine.chosen?.gene === gene) {
    mine.chosen.person = person;
    mine.gene.place(person);
    if (mine.explained) contributions();
  } else {
    const values = await mine.thread.ask("gene", { at: gene });
    if (run !== mine) return;
    // Its answer would be of the gene before.
    giveUp(byId("contributions"));
    Object.assign(mine, { chosen: { gene, person }, explained: null });
    mine.gene = showGene(byId("gene"), mine.answer, gene, values, {
      person: (at) => choose({ gene, person: at }),
      explain: () => explain(gene),
    });
    mine.gene.place(person);
    mine.offer();
  }
  mine.shown.mark(mine.chosen);
}

async function explain(gene) {
  const mine = run;
  const { model, gene_id: id } = mine.answer.genes[gene];
  const parameters = { ...mine.sent.parameters, model, gene: id, explain: "true", report: "variants", format: "json" };
  const blob = await again(byId("contributions"), PREDICT, parameters, "Sending the file again for this gene");
  const isMeant = () => run === mine && mine.chosen.gene === gene;
  if (!blob || !isMeant()) return;
  try {
    const explained = await mine.thread.ask("explain", { blob });
    if (!isMeant()) return;
    mine.explained = explained;
    focusOn(contributions());
  } catch (error) {
    if (isMeant()) failed(byId("contributions"), error);
  }
}

function contributions() {
  const { answer, chosen, explained, gene } = run;
  return showContributions(byId("contributions"), explained, chosen.person, answer.samples[chosen.person], gene.name);
}

/** Shows what can be saved. What is on its way has its place for the whole run, whatever is chosen meanwhile. */
function showDownloads() {
  const { answer, blob, report, shown } = run;
  const state = el("div", { id: "sending-again" });
  const ready = el("div", { class: "buttons" });
  const button = (text, act) => el("button", { type: "button", class: "quiet", onclick: act }, text);
  const other = ([name, format, ending, more]) =>
    button(name, async () => {
      const found = await again(state, PREDICT, { ...run.sent.parameters, format, ...more }, `Asking for ${name}`);
      if (found) save(found, `predictions.${ending}`);
    });
  run.offer = () => {
    const gene = run.gene;
    fill(
      ready,
      answer && button("Predictions (JSON)", () => save(blob, "predictions.json")),
      button("Match report (JSON)", () => saveJson(report, "match-report.json")),
      shown && button("Heat map (PNG)", async () => save(await shown.png(), "heat-map.png")),
      gene?.plot() && button("Histogram (SVG)", () => saveSvg(gene.plot(), "histogram.svg")),
    );
  };
  run.offer();
  fill(
    byId("downloads"),
    el("h2", {}, "Download"),
    ready,
    answer &&
      el("div", { class: "buttons" }, FORMS.map(other), el("span", { class: "hint" }, "These send the file again.")),
    answer && state,
  );
}

wire(send);
document.documentElement.dataset.ready = "true";
