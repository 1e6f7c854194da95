// What a person's value of one gene is made of: the base and what each variant adds.

import { REASONS } from "./predict-answer.js";
import { count, el, fill, number, several } from "./predict-dom.js";

/** Variants that have a bar of their own; the rest are one. */
const SHOWN = 25;

/** A variant's place and alleles beside its name. */
function placed(outcome) {
  if (!outcome) return "";
  const place = outcome.chromosome ? `${outcome.chromosome}:${outcome.position}` : "no place";
  return `${place} ${outcome.other_allele}>${outcome.effect_allele}`;
}

function bar(name, detail, value, most, kind = "") {
  const piece = el("span", { class: `piece ${value < 0 ? "minus" : "plus"} ${kind}` });
  piece.style.width = `${(50 * Math.abs(value)) / most}%`;
  if (value < 0) piece.style.right = "50%";
  else piece.style.left = "50%";
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, name, detail && el("small", {}, ` ${detail}`)),
    el("td", { class: "signed" }, el("span", { class: "track", "aria-hidden": "true" }, piece)),
    el("td", { class: "number" }, value > 0 && !kind ? `+${number(value)}` : number(value)),
  );
}

/** Shows one person's value as a sum. */
export function showContributions(place, explained, person, personName, geneTitle) {
  const heading = el("h3", {}, `What makes up ${personName}’s value of ${geneTitle}`);
  if (!explained.contributions) {
    const why = REASONS[explained.reason] ?? "the gene has no values";
    fill(place, heading, el("p", {}, `There is nothing to explain: ${why}.`));
    return heading;
  }
  const value = explained.values[person];
  const all = explained.contributions.map((one) => ({ name: one.variant, value: one.values[person] }));
  if (Number.isNaN(value)) {
    const why = REASONS[explained.reason] ?? "a variant’s genotype is not known";
    fill(place, heading, el("p", {}, `The value is unknown: ${why}.`));
    return heading;
  }
  all.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const outcomes = new Map(explained.variants.map((one) => [one.variant, one]));
  const [shown, rest] = [all.slice(0, SHOWN), all.slice(SHOWN)];
  const others = rest.reduce((sum, one) => sum + one.value, 0);
  const most = Math.max(...[explained.base, value, others, ...shown.map((one) => one.value)].map(Math.abs)) || 1;
  const nothing = all.filter((one) => one.value === 0).length;
  fill(
    place,
    heading,
    el(
      "p",
      { class: "hint" },
      "Base and contributions add up to the value. The base is the prediction " +
        "at the training set’s mean, or without a copy of any effect allele where the model has no frequencies. " +
        `Method: ${explained.method}. `,
      nothing > 0 && `${several(nothing, "variant adds", "variants add")} nothing here.`,
    ),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Contributions" },
      el(
        "table",
        { class: "sum" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "variant"),
            el("th", { scope: "col" }, "less ← 0 → more"),
            el("th", { scope: "col", class: "number" }, "adds"),
          ),
        ),
        el(
          "tbody",
          {},
          bar("base", "", explained.base, most, "whole"),
          shown.map((one) => bar(one.name, placed(outcomes.get(one.name)), one.value, most)),
          rest.length > 0 && bar(`${count(rest.length)} more variants`, "together", others, most),
          bar("value", "", value, most, "whole"),
        ),
      ),
    ),
  );
  return heading;
}
