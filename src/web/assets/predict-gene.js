// One gene: how its values are spread over the people, how good the model is for it, and who has which value.

import { geneName, REASONS } from "./predict-answer.js";
import { count, el, fill, number, percent, several, stepped, svg, tickStep, ticks } from "./predict-dom.js";

const [WIDEST, NARROWEST, HEIGHT] = [640, 320, 240];
const EDGE = { left: 46, right: 12, top: 22, bottom: 40 };
const FIRST = 200;

/** A difference that tells people apart: beside it the digits of a value are chosen. */
export const finenessOf = ({ low, high }) => (high - low) / 100;

/** Bins of equal width by the rule of Freedman and Diaconis, 5 to 40 of them. */
function binned(known) {
  const sorted = Float64Array.from(known).sort();
  const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))];
  let [low, high] = [sorted[0], sorted.at(-1)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const wide = (2 * (quantile(0.75) - quantile(0.25))) / Math.cbrt(sorted.length) || high - low;
  const bins = new Array(Math.min(40, Math.max(5, Math.ceil((high - low) / wide)))).fill(0);
  for (const value of sorted) {
    bins[Math.min(bins.length - 1, Math.floor(((value - low) / (high - low)) * bins.length))]++;
  }
  return { low, high, bins };
}

function histogram(gene, name, values, person, personName, width) {
  const { low, high, bins } = binned(values.filter((value) => !Number.isNaN(value)));
  const most = Math.max(...bins);
  const x = (value) => EDGE.left + ((value - low) / (high - low)) * (width - EDGE.left - EDGE.right);
  const y = (people) => HEIGHT - EDGE.bottom - (people / most) * (HEIGHT - EDGE.top - EDGE.bottom);
  const edge = (at) => low + (at / bins.length) * (high - low);
  const step = tickStep(low, high, width / 100);
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const fine = (value) => number(value, finenessOf(gene));
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
  const text = (at, down, words, anchor = "middle", kind = "tc-soft") =>
    svg("text", { x: at, y: down, "text-anchor": anchor, class: kind, "font-size": 12 }, words);
  const floor = y(0);
  const bar = (n, at) => {
    const [from, to] = [x(edge(at)), x(edge(at + 1))];
    const size = { x: from + 0.5, y: y(n), width: Math.max(0.5, to - from - 1), height: floor - y(n) };
    const title = `${fine(edge(at))} to ${fine(edge(at + 1))}: ${several(n, "person", "people")}`;
    return svg("rect", { ...size, class: "tc-accent" }, svg("title", {}, title));
  };
  const whole = ticks(0, most, Math.max(1, tickStep(0, most, 4)));
  const parts = [
    whole.map((n) => [
      line(EDGE.left, y(n), width - EDGE.right, y(n), "tc-grid"),
      text(EDGE.left - 6, y(n) + 4, count(n), "end"),
    ]),
    bins.map((n, at) => n > 0 && bar(n, at)),
    line(EDGE.left, floor, width - EDGE.right, floor, "tc-line"),
    ticks(low, high, step).map((value) => [
      line(x(value), floor, x(value), floor + 4, "tc-line"),
      text(x(value), floor + 17, stepped(value, step, largest)),
    ]),
    text((EDGE.left + width) / 2, HEIGHT - 6, `predicted expression of ${name}`),
    text(EDGE.left, 12, "people", "end"),
  ];
  const value = values[person];
  if (!Number.isNaN(value)) {
    const anchor = x(value) > width / 2 ? "end" : "start";
    parts.push(
      line(x(value), EDGE.top - 6, x(value), floor, "marker"),
      text(x(value) + (anchor === "end" ? -6 : 6), 14, `${personName}: ${fine(value)}`, anchor, "tc-ink"),
    );
  }
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: "img",
      class: "histogram",
      "aria-label":
        `Histogram of ${count(gene.known)} people’s predicted expression of ${name}, ` +
        `from ${fine(gene.low)} to ${fine(gene.high)}, mean ${fine(meanOf(gene))}`,
    },
    parts.flat(2).filter(Boolean),
  );
}

function accuracy(gene) {
  const found = gene.accuracy;
  if (!found || (found.r2 ?? null) === null) return "not known";
  const people = found.n ? `, ${several(found.n, "person", "people")}` : "";
  return (
    `r² ${number(found.r2)} (${found.kind ?? "as published"}${people}): ` +
    `${percent(Math.max(0, found.r2), 1)} of the variance of measured expression`
  );
}

/** The mean without what is left of rounding where it is nothing beside the spread. */
const meanOf = ({ mean, sd }) => (Math.abs(mean) < 1e-6 * sd ? 0 : mean);

function facts(gene) {
  const unknown =
    gene.unknown > 0 &&
    `${several(gene.unknown, "person", "people")}: ${REASONS[gene.reason] ?? "no reason was given"}`;
  const weight = gene.weight_fraction_used;
  const rows = [
    ["Gene", [gene.symbol, gene.gene_id, gene.biotype?.replaceAll("_", " ")].filter(Boolean).join(", ")],
    gene.interval && ["Place", `${gene.interval.chromosome}:${count(gene.interval.start)}–${count(gene.interval.end)}`],
    ["Model", gene.model],
    gene.known > 0 && [
      "Mean",
      `${number(meanOf(gene), finenessOf(gene))}, standard deviation ${number(gene.sd)} ` +
        `(${several(gene.known, "person", "people")})`,
    ],
    ["Unknown", unknown || "nobody"],
    [
      "Variants",
      `${count(gene.n_snps_used)} of ${count(gene.n_snps_in_model)} used` +
        (weight === null ? "" : `, with ${percent(weight, 1)} of the weight`),
    ],
    ["Accuracy", accuracy(gene)],
  ];
  return el(
    "dl",
    { class: "facts" },
    rows.filter(Boolean).flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]),
  );
}

/** The people by value; those without one come last, as sent.
 *
 * It is laid out as a grid, so that the browser may leave out of the work what is scrolled away; the roles keep it a
 * table. */
function table(gene, values, samples) {
  const order = [...values.keys()].sort(
    (a, b) => Number.isNaN(values[a]) - Number.isNaN(values[b]) || values[b] - values[a] || a - b,
  );
  const rows = new Map();
  let marked;
  const row = (of, rank) => {
    const known = !Number.isNaN(values[of]);
    const z = known && gene.sd > 0 ? number((values[of] - gene.mean) / gene.sd) : "–";
    const cell = (kind, text) => el("td", { role: "cell", class: kind }, text);
    const cells = el(
      "tr",
      { role: "row", class: of === marked ? "own" : null },
      cell("number", known ? count(rank + 1) : "–"),
      el("th", { role: "rowheader", scope: "row" }, samples[of]),
      cell(known ? "number" : "number unknown", number(values[of], finenessOf(gene))),
      cell("number", z),
    );
    rows.set(of, cells);
    return cells;
  };
  const body = (from) =>
    el(
      "tbody",
      { role: "rowgroup" },
      order.slice(from, from + FIRST).map((of, at) => row(of, from + at)),
    );
  const heads = [
    ["rank", "number"],
    ["person", null],
    ["value", "number"],
    ["z", "number"],
  ];
  const whole = el(
    "table",
    { class: "people", role: "table" },
    el(
      "thead",
      { role: "rowgroup" },
      el(
        "tr",
        { role: "row" },
        heads.map(([name, kind]) => el("th", { role: "columnheader", scope: "col", class: kind }, name)),
      ),
    ),
    body(0),
  );
  const about = { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "People by value" };
  const frame = el("div", about, whole);
  const all = el("button", { type: "button", class: "quiet" }, `Show all ${count(order.length)}`);
  all.addEventListener("click", () => {
    all.remove();
    frame.focus();
    // A long table comes in pieces, so that the page goes on.
    const more = (from) => {
      whole.append(body(from));
      if (from + FIRST < order.length && whole.isConnected) requestAnimationFrame(() => more(from + FIRST));
    };
    more(FIRST);
  });
  const details = el("details", {}, el("summary", {}, "People by value"), frame, order.length > FIRST && all);
  const mark = (person) => {
    rows.get(marked)?.classList.remove("own");
    marked = person;
    rows.get(marked)?.classList.add("own");
  };
  return { details, mark };
}

/** Shows a gene; `place` marks a person in it. `on` hears of another person and of the wish for contributions. */
export function showGene(section, answer, gene, values, on) {
  const one = answer.genes[gene];
  const { samples } = answer;
  const name = geneName(one, new Set(answer.genes.map(({ model }) => model)).size > 1);
  const why = REASONS[one.reason] ?? "no reason was given";
  const frame =
    one.known > 0
      ? el("div", { class: "histogram-frame" })
      : el("p", {}, `Nobody’s expression of this gene is known: ${why}.`);
  const who = el("input", { id: "person", list: "people", autocomplete: "off", spellcheck: "false" });
  const people = el("datalist", { id: "people" });
  const wrong = el("p", { role: "status", class: "hint" });
  const { details, mark } = table(one, values, samples);
  who.addEventListener("input", () => {
    const text = who.value.toLowerCase();
    const near = samples.filter((sample) => sample.toLowerCase().includes(text)).slice(0, 30);
    people.replaceChildren(...near.map((sample) => el("option", { value: sample })));
  });
  who.addEventListener("change", () => {
    const at = samples.indexOf(who.value.trim());
    wrong.textContent = at < 0 ? "Nobody of the file is called so." : "";
    if (at >= 0) on.person(at);
  });
  fill(
    section,
    el("h2", {}, name),
    frame,
    el("div", { class: "view" }, el("label", { for: "person" }, "Person", who), people),
    wrong,
    facts(one),
    details,
    one.known > 0 &&
      el(
        "div",
        { class: "buttons" },
        el("button", { type: "button", onclick: on.explain }, "What makes up these values?"),
        el("span", { class: "hint" }, "Sends the file again, for this gene."),
      ),
    el("div", { id: "contributions" }),
  );
  const width = Math.min(WIDEST, Math.max(NARROWEST, frame.clientWidth));
  const place = (person) => {
    who.value = samples[person];
    mark(person);
    if (one.known > 0) frame.replaceChildren(histogram(one, name, values, person, samples[person], width));
  };
  return { name, place, plot: () => frame.querySelector("svg") };
}
