// What was given: the format, the people, what is missing, and what stands in the way of sending it.

import { bytes, count, several } from "./predict-dom.js";
import { head, isGzip, kindOf, linesOf, pairAt, peopleOfVcf, startsWith } from "./predict-files.js";

/** Companions in the order in which they are sent; the genotypes come last. */
const SETS = {
  bed: { title: "PLINK 1", needs: ["bim", "fam"] },
  pgen: { title: "PLINK 2", needs: ["pvar", "psam"] },
  bgen: { title: "BGEN", needs: [], takes: ["sample"] },
  dosage: { title: "Text dosages", needs: ["samples"] },
  vcf: { title: "VCF", needs: [] },
  json: { title: "JSON", needs: [] },
};
const MAIN_OF = { bim: "bed", fam: "bed", pvar: "pgen", psam: "pgen", sample: "bgen", samples: "dosage" };

/** The genotypes that a kind of file belongs to. */
export const familyOf = (kind) => MAIN_OF[kind] ?? kind;

/** JSON that is parsed here to count its people; more would hold the page up. */
const PARSED_BYTES = 8e6;
/** A list of variants whose lines are counted here. */
const COUNTED_BYTES = 64e6;

/** What no genotypes are. */
const nothing = (...wrong) => ({ parts: [], wrong, bytes: 0 });

/** Recognises genotypes that were pasted. */
export function recogniseText(text) {
  const file = new Blob([text], { type: "application/json" });
  const input = { title: "JSON", type: "application/json", body: file, bytes: file.size, wrong: [], parts: [] };
  return { ...input, ...peopleOfJson(text) };
}

function peopleOfJson(text) {
  if (text.length > PARSED_BYTES) return {};
  try {
    const { samples, variants } = JSON.parse(text);
    if (!Array.isArray(samples) || !Array.isArray(variants)) {
      return { wrong: ['The JSON is not of the shape {"samples": […], "variants": […]}.'] };
    }
    return { people: samples.length, variants: variants.length };
  } catch (error) {
    return { wrong: [`This is not JSON: ${error.message}.`] };
  }
}

/** Recognises files by their names, and by their first bytes where a name says nothing. */
export async function recogniseFiles(files) {
  const byKind = new Map();
  const wrong = [];
  for (const file of files) {
    const kind = kindOf(file.name) ?? (await kindByContent(file));
    if (!kind) wrong.push(`${file.name} is none of the formats above.`);
    else if (byKind.has(kind) && kind !== "dosage") wrong.push(`There are two ${kind} files: remove one.`);
    else byKind.set(kind, [...(byKind.get(kind) ?? []), file]);
  }
  const mains = [...byKind.keys()].filter((kind) => SETS[kind]);
  const main = mains[0] ?? MAIN_OF[[...byKind.keys()][0]];
  if (!main) return nothing(...wrong);
  if (mains.length > 1) wrong.push(`${mains.join(" and ")} files are two cohorts: keep one format.`);
  const { title, needs, takes = [] } = SETS[main];
  const stem = [...byKind.values()]
    .flat()[0]
    .name.replace(/\.(gz|bgz|zst)$/i, "")
    .replace(/\.[^.]*$/, "");
  for (const kind of [...needs, main]) {
    if (!byKind.has(kind)) wrong.push(`${stem}.${kind} is missing: add it.`);
  }
  for (const kind of byKind.keys()) {
    if (kind !== main && !SETS[kind] && ![...needs, ...takes].includes(kind)) {
      wrong.push(`A ${kind} file does not go with a ${main} file: remove it.`);
    }
  }
  const order = [...needs, ...takes, main].filter((kind) => byKind.has(kind));
  const parts = order.flatMap((kind) => byKind.get(kind).map((file) => ({ kind, file })));
  const total = parts.reduce((sum, { file }) => sum + file.size, 0);
  // Genotypes that come last are read while they arrive; of text dosages more may come, and all are held.
  const kept = main === "dosage" ? total : total - (byKind.get(main)?.[0].size ?? 0);
  const input = { title, parts, wrong, bytes: total, kept, ...single(parts) };
  return { ...input, ...(await counted(main, byKind, wrong)) };
}

/** One file alone is the body itself; several are the parts of a form. */
function single(parts) {
  if (parts.length !== 1) return {};
  const [{ kind, file }] = parts;
  const type = { vcf: /vcf/i.test(file.name) ? "text/vcf" : "application/octet-stream", bgen: "application/x-bgen" };
  // A compressed JSON body would be taken for a content-encoding that it has not: it goes as a part.
  return type[kind] || (kind === "json" && !/gz$/i.test(file.name))
    ? { type: type[kind] ?? "application/json", body: file }
    : {};
}

async function kindByContent(file) {
  const start = await head(file, 20);
  if (startsWith(start, "##fileformat=VCF") || startsWith(start, "BCF")) return "vcf";
  if (startsWith(start.subarray(16), "bgen")) return "bgen";
  return isGzip(start) && (await peopleOfVcf(file)) !== undefined ? "vcf" : undefined;
}

/** Counts people and variants where a few bytes tell them. */
async function counted(main, byKind, wrong) {
  const file = byKind.get(main)?.[0];
  const start = file ? await head(file, 28) : new Uint8Array();
  if (file && file.size === 0) wrong.push(`${file.name} is empty.`);
  if (main === "vcf") {
    const people = await peopleOfVcf(file);
    return { people, title: /bcf/i.test(file.name) || startsWith(start, "BCF") ? "BCF" : "VCF" };
  }
  if (main === "json") return isGzip(start) || file.size > PARSED_BYTES ? {} : peopleOfJson(await file.text());
  if (main === "bgen" && file) {
    const [variants, people] = pairAt(start, 8);
    return { variants, people };
  }
  const list = byKind.get({ bed: "fam", pgen: "psam", dosage: "samples" }[main])?.[0];
  const people = list && (await linesOf(list));
  if (main === "bed") return { people, variants: await variantsOfBed(file, start, people, byKind, wrong) };
  if (main === "pgen" && file && startsWith(start, "l\x1b") && start[2] > 1) {
    const [variants, inFile] = pairAt(start, 3);
    if (people !== undefined && inFile !== people) {
      wrong.push(
        `${file.name} has ${several(inFile, "person", "people")}, ${list.name} ${count(people)}: ` +
          "they are of different cohorts.",
      );
    }
    return { people, variants };
  }
  return { people };
}

/** The variants of a bed file follow from its length; a compressed one is counted in its bim file. */
async function variantsOfBed(file, start, people, byKind, wrong) {
  const bim = byKind.get("bim")?.[0];
  if (file && !isGzip(start) && !startsWith(start, "l\x1b")) {
    wrong.push(`${file.name} is no PLINK 1 file of genotypes: it does not begin like one.`);
    return undefined;
  }
  if (!file || isGzip(start) || !people) return bim && linesOf(bim);
  const variants = (file.size - 3) / Math.ceil(people / 4);
  const listed = bim && bim.size < COUNTED_BYTES ? await linesOf(bim) : undefined;
  if (variants === (listed ?? variants) && Number.isInteger(variants)) return variants;
  const whose = [several(people, "person", "people"), listed !== undefined && several(listed, "variant")];
  wrong.push(
    `The length of ${file.name} does not fit ${whose.filter(Boolean).join(" and ")}: ` +
      "it is cut short, or the files are of different cohorts.",
  );
  return undefined;
}

/** "PLINK 1: 280 people, 313,265 variants, 33 MB". */
export function described(input) {
  const facts = [
    input.people !== undefined && several(input.people, "person", "people"),
    input.variants !== undefined && several(input.variants, "variant"),
    input.bytes > 0 && bytes(input.bytes),
  ];
  return `${input.title}: ${facts.filter(Boolean).join(", ")}`;
}

/** How many genes are asked for: those typed, or all, of every chosen model. */
function genesAsked(models, genes) {
  return models.reduce((sum, model) => sum + (genes.length ? Math.min(genes.length, model.genes) : model.genes), 0);
}

/** Why the service would refuse this, as far as it can be told before it is sent. */
export function obstacles(input, models, genes, limits) {
  if (!input) return ["Add genotypes: a file, or JSON."];
  const found = [...input.wrong];
  if (models.length === 0) found.push("Choose at least one model.");
  if (input.bytes > limits.bytes) {
    found.push(
      `The files have ${bytes(input.bytes)}; this service takes ${bytes(limits.bytes)} in one request. ` +
        "Send fewer people or chromosomes at a time.",
    );
  }
  if (input.kept > limits.kept) {
    found.push(
      `The files beside the genotypes have ${bytes(input.kept)}; this service holds ` +
        `${bytes(limits.kept)} of them. ` +
        "Send fewer chromosomes at a time.",
    );
  }
  if (input.people === 0) found.push("The file names no people.");
  if (input.people > limits.people) {
    found.push(`There are ${count(input.people)} people; this service takes ${count(limits.people)} in one request.`);
  }
  const asked = genesAsked(models, genes);
  if (input.people * asked > limits.values) {
    found.push(
      `${several(asked, "gene")} of the models × ${several(input.people, "person", "people")} are ` +
        `${count(input.people * asked)} values; this service answers ${count(limits.values)} at a time. ` +
        "Choose fewer models or name the genes.",
    );
  }
  return found;
}
