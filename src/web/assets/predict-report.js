// The match report as a picture: what became of the model's variants, in plain words first.

import { count, el, listed, percent, sentence, several } from "./predict-dom.js";

/** The kinds in the order of the bars: name, what it is called, whether it is used, what it means. */
const KINDS = [
  ["exact", "exact", true, "alleles as in the model"],
  ["swapped", "swapped", true, "reference and alternative exchanged; counted the other way round"],
  ["strand_flipped", "other strand", true, "alleles fit on the other strand"],
  ["strand_flipped_swapped", "other strand, swapped", true, "on the other strand and exchanged"],
  ["duplicate", "duplicate", true, "several records fit; the first was used"],
  ["ambiguous", "ambiguous", false, "A/T or C/G: the alleles do not tell the strand"],
  ["mismatch", "mismatch", false, "a record is there, but with other alleles"],
  ["absent", "absent", false, "no record in the file"],
];

const total = (counts) => KINDS.reduce((sum, [kind]) => sum + counts[kind], 0);
const used = (counts) => KINDS.reduce((sum, [kind, , isUsed]) => sum + (isUsed ? counts[kind] : 0), 0);

/** chr1 to chr22, then X, Y, M and what else there is; last what has no place. */
function naturally([a], [b]) {
  const rank = (name) => {
    const bare = name.replace(/^chr/, "");
    if (name === "unknown") return 1e4;
    return /^\d+$/.test(bare) ? Number(bare) : 1e3 + "XYM".indexOf(bare[0]);
  };
  return rank(a) - rank(b) || a.localeCompare(b);
}

/** The counts of the chromosomes of which the file has anything. */
const present = (report) => Object.values(report.by_chromosome).filter((counts) => counts.absent < total(counts));

/** How many of the variants on them were used, and how many there are. */
const within = (report) => present(report).reduce(([u, t], counts) => [u + used(counts), t + total(counts)], [0, 0]);

/** The sentence that says how it went. */
function verdict(report) {
  if (report.diagnosis) return "Too little of the model was found in the file";
  const [found, all] = within(report);
  if (all === 0) return "The chosen genes have no variants in the models";
  const whose = report.models.length > 1 ? "models’" : "model’s";
  return `${percent(found, all)} of the ${whose} variants on your chromosomes were used`;
}

/** Below this share a reader wonders why. */
const LITTLE = 0.5;

/** What a reader should know where no diagnosis says it: a wrong assembly, and what became of most of the rest. */
function explanation(report) {
  const [found, all] = within(report);
  const isLittle = all > 0 && found < LITTLE * all;
  const isElsewhere = report.notes.some((note) => note.includes("probably on another assembly"));
  if (report.diagnosis || !(isLittle || isElsewhere)) return null;
  const sum = (kind) => present(report).reduce((n, counts) => n + counts[kind], 0);
  const [most] = ["absent", "mismatch", "ambiguous"].sort((a, b) => sum(b) - sum(a));
  const why = {
    absent:
      "Most of what was not used is absent: no record of the file has it. Arrays and HapMap sets hold only part of a " +
      "model’s variants; imputed genotypes hold more.",
    mismatch:
      "Most of what was not used has other alleles in the file than in the model: look whether the allele columns " +
      "hold bases, and whether the assembly is right.",
    ambiguous:
      "Most of what was not used is palindromic (A/T, C/G), so that its alleles do not tell the strand; under " +
      "Policies you can have it used.",
  }[most];
  const assembly =
    "The file is probably on another assembly than the model: its variants were found by identifier alone. Choose its " +
    "assembly above, under “Assembly of the positions”, and send again.";
  return el("div", { class: "diagnosis" }, isElsewhere && el("p", {}, assembly), isLittle && el("p", {}, why));
}

const WORTH_TRYING = 0.2;

/** The assembly that a diagnosis would have the request name, where that would help, and how it says so. */
function remedyOf(diagnosis) {
  const best = [...diagnosis.tried].sort((a, b) => b.would_match - a.would_match)[0];
  const named = best && best.would_match >= WORTH_TRYING && /^post assembly=(\S+)/.exec(best.remedy);
  return named ? { assembly: named[1], remedy: best.remedy } : null;
}

/** The name of a row, its bar, and its numbers. */
function bars(rows, caption, most) {
  const chart = el("div", { class: "bars", role: "img", "aria-label": `${caption}; the table below has the numbers` });
  for (const [name, counts] of rows) {
    const sum = total(counts);
    const bar = el("span", { class: "bar" });
    for (const [kind, label] of KINDS) {
      if (counts[kind] === 0) continue;
      const piece = el("span", { class: `kind ${kind}`, title: `${name}, ${label}: ${count(counts[kind])}` });
      piece.style.width = `${(100 * counts[kind]) / most}%`;
      bar.append(piece);
    }
    chart.append(
      el("span", { class: "name" }, name),
      bar,
      el("span", { class: "share" }, `${percent(used(counts), sum)} of ${count(sum)}`),
    );
  }
  return chart;
}

function legend(counts) {
  const group = (isUsed, title) =>
    el(
      "div",
      {},
      el("h4", {}, title),
      el(
        "ul",
        { class: "legend" },
        KINDS.filter(([, , one]) => one === isUsed).map(([kind, label, , meaning]) =>
          el(
            "li",
            {},
            el("span", { class: `swatch kind ${kind}`, "aria-hidden": "true" }),
            el("span", {}, el("strong", {}, label), ` ${count(counts[kind])}: ${meaning}`),
          ),
        ),
      ),
    );
  return el(
    "div",
    { class: "legends" },
    group(true, `Used: ${count(used(counts))}`),
    group(false, `Not used: ${count(total(counts) - used(counts))}`),
  );
}

function table(rows, first) {
  const head = [first, ...KINDS.map(([, label]) => label), "used", "all"];
  return el(
    "details",
    {},
    el("summary", {}, `The numbers by ${first}`),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": `Variants by ${first}` },
      el(
        "table",
        { class: "kinds" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((name, at) => el("th", { scope: "col", class: at ? "number" : null }, name)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map(([name, counts]) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, name),
              [...KINDS.map(([kind]) => counts[kind]), used(counts), total(counts)].map((n) =>
                el("td", { class: "number" }, count(n)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function facts(report, genesNotFound) {
  const sum = (field) => report.models.reduce((all, model) => all + model[field], 0);
  const { assembly } = report;
  const told = assembly && { request: "as chosen", input: "as the file says" }[assembly.from];
  const matched = report.models.map(
    (one) => `${one.model}: ${one.matched_on ? `positions on ${one.matched_on}` : "identifiers alone"}`,
  );
  const out = [
    [sum("genes_without_model"), "the model counts no variant for"],
    [sum("genes_without_variants"), "without a usable variant"],
    [sum("genes_below_min_overlap"), "below the least share of variants"],
  ]
    .filter(([n]) => n > 0)
    .map(([n, why]) => `${count(n)} ${why}`);
  const rows = [
    [
      "Genes",
      `${count(sum("genes_predicted"))} of ${count(sum("genes"))} predicted` +
        (out.length ? `; ${out.join(", ")}` : ""),
    ],
    [
      "File",
      `${report.format.toUpperCase()}, ${several(report.records, "record")}, ` +
        `${count(report.records_unused)} of them not used`,
    ],
    ["Assembly", assembly ? `${assembly.name}, ${told}` : "not named: each model’s own was taken"],
    ["Matched on", matched.join("; ")],
    report.missing_genotypes > 0 && ["Missing genotypes", count(report.missing_genotypes)],
    genesNotFound.length > 0 && ["In no chosen model", listed(genesNotFound)],
  ];
  return el(
    "dl",
    { class: "facts" },
    rows.filter(Boolean).flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]),
  );
}

function diagnoses(report, onRemedy) {
  const low = report.models.filter((model) => model.diagnosis);
  return low.map(({ model, diagnosis }) => {
    const { assembly, remedy } = remedyOf(diagnosis) ?? {};
    // A button stands for the words that are meant for other clients.
    const summary = remedy ? diagnosis.summary.replace(`: ${remedy}`, "") : diagnosis.summary;
    const tried = diagnosis.tried.filter((trial) => trial.would_match > 0);
    return el(
      "div",
      { class: "diagnosis" },
      low.length > 1 && el("h3", {}, model),
      el("p", {}, summary),
      assembly &&
        el(
          "div",
          { class: "buttons" },
          el("button", { type: "button", onclick: () => onRemedy(assembly) }, `Send again as ${assembly}`),
        ),
      tried.length > 0 &&
        el(
          "details",
          {},
          el("summary", {}, "What was tried"),
          el(
            "ul",
            {},
            tried.map((trial) =>
              el(
                "li",
                {},
                `If ${trial.hypothesis}: ${percent(trial.would_match, 1)} of the first ` +
                  `${count(diagnosis.sampled_records)} records would match. Then ${trial.remedy}.`,
              ),
            ),
          ),
        ),
    );
  });
}

/** Everything that the report says; its heading comes first. */
export function reportView(report, genesNotFound, onRemedy) {
  const chromosomes = Object.entries(report.by_chromosome)
    .sort(naturally)
    .map(([name, counts]) => [name === "unknown" ? "no place" : name, counts]);
  const models = report.models.map((model) => [model.model, model.by_kind]);
  const most = (rows) => Math.max(1, ...rows.map(([, counts]) => total(counts)));
  return [
    el("h2", {}, verdict(report)),
    diagnoses(report, onRemedy),
    explanation(report),
    facts(report, genesNotFound),
    report.notes.length > 0 &&
      el(
        "ul",
        { class: "notes" },
        report.notes.map((note) => el("li", {}, sentence(note))),
      ),
    el("h3", {}, "Variants of the chosen genes, by chromosome"),
    bars(chromosomes, "Variants by chromosome and kind", most(chromosomes)),
    legend(report.by_kind),
    table(chromosomes, "chromosome"),
    models.length > 1 && [
      el("h3", {}, "By model"),
      bars(models, "Variants by model and kind", most(models)),
      table(models, "model"),
    ],
  ].flat();
}
