// The page "Predict" as its tests use it: the cohort's files, the form, the heat map.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { gunzipSync } from "node:zlib";

import { address, setting, visit } from "./support.mjs";

/** A file of the cohort: the genotypes and the model of 9 simulated people and 12 genes. */
export function cohort(name) {
  return path.join(setting("TISSUECAST_COHORT"), name);
}

export const VCF = cohort("geno.vcf.gz");
export const PLINK = ["geno.bed", "geno.bim", "geno.fam"].map(cohort);

/** What the service answers to the same genotypes, letter by letter, asked for beside the browser. */
export async function answerTo(query, body, type) {
  const answer = await fetch(new URL(`/v1/predictions?model=cohort${query}`, address), {
    method: "POST",
    body,
    headers: type && { "content-type": type },
  });
  assert.equal(answer.status, 200);
  return answer.text();
}

export async function predicted(...asked) {
  return JSON.parse(await answerTo(...asked));
}

export async function predictedOfVcf(query = "") {
  return predicted(query, await readFile(VCF), "text/vcf");
}

export async function add(page, files) {
  await page.getByLabel("Files of genotypes").setInputFiles(files);
}

/** Leaves the cohort's model alone chosen. */
export async function choose(page) {
  const models = page.getByRole("group", { name: "Models", exact: true });
  for (const box of await models.getByRole("checkbox", { checked: true }).all()) await box.uncheck();
  await models.getByRole("checkbox", { name: /^cohort\b/ }).check();
}

export async function predict(page) {
  await page.getByRole("button", { name: "Predict", exact: true }).click();
}

/** Waits for the report, whose heading says how much was used, and returns the heading. */
export async function answered(page) {
  const heading = page.getByRole("heading", { name: /% of the model.s variants/ });
  await heading.waitFor();
  return heading.innerText();
}

export async function send(page, files) {
  await visit(page, "/predict");
  await add(page, files);
  await choose(page);
  await predict(page);
  await answered(page);
}

export function map(page) {
  return page.getByRole("application", { name: /heat map/i });
}

/** Presses a key and returns what is said of the cell of the map that it leads to. */
export async function told(page, key) {
  const said = page.getByRole("status").filter({ hasText: /person .*gene / });
  // What was said before is not to be taken for it.
  await said.evaluateAll((all) => all.forEach((one) => one.replaceChildren()));
  await page.keyboard.press(key);
  return said.innerText();
}

/** Moves to the map's first cell and returns what is said of it. */
export async function firstCell(page) {
  await map(page).focus();
  await told(page, "Home");
  return told(page, "Shift+ArrowUp"); // Ten people up.
}

/** Finds a gene by the map's field, and waits until it is shown. */
export async function find(page, gene) {
  await page.getByLabel("Find a gene").fill(gene);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: gene, exact: true }).waitFor();
}

/** Moves to a cell of the map by keyboard and returns what is said of it. */
export async function cell(page, person, gene) {
  const passed = [await firstCell(page)];
  for (const [key, wanted] of [
    ["ArrowDown", new RegExp(`person ${person}\\b`)],
    ["ArrowRight", new RegExp(`gene ${gene}\\b`)],
  ]) {
    while (!wanted.test(passed.at(-1))) {
      if (passed.length > 30) assert.fail(`${person} and ${gene} are not among ${passed.join("; ")}`);
      passed.push(await told(page, key));
    }
  }
  return passed.at(-1);
}

/** The genotypes of the first people at the first variants, as JSON. */
export async function asJson(people, variants) {
  const lines = gunzipSync(await readFile(VCF))
    .toString()
    .split("\n");
  const samples = lines
    .find((line) => line.startsWith("#CHROM"))
    .split("\t")
    .slice(9, 9 + people);
  while (samples.length < people) samples.push(`more${samples.length}`);
  const rows = lines
    .filter((line) => line && !line.startsWith("#"))
    .slice(0, variants)
    .map((line) => line.split("\t"));
  return JSON.stringify({
    assembly: "GRCh38",
    samples,
    variants: rows.map(([chromosome, position, id, ref, alt, , , , , ...calls]) => ({
      id,
      chromosome,
      position: Number(position),
      ref,
      alt,
      dosages: samples.map(
        (_, i) =>
          calls[i % calls.length]
            .split(":")[0]
            .split(/[/|]/)
            .filter((one) => one === "1").length,
      ),
    })),
  });
}

/** The VCF with other lines, as a file in memory. */
export async function changed(change) {
  const lines = gunzipSync(await readFile(VCF))
    .toString()
    .split("\n")
    .filter(Boolean);
  return { name: "changed.vcf", mimeType: "text/vcf", buffer: Buffer.from(`${lines.flatMap(change).join("\n")}\n`) };
}

/** A record moved along its chromosome, without the name that would give it away. */
export function moved(by) {
  return (line) => {
    if (line.startsWith("#")) return [line];
    const [chromosome, position, , ...rest] = line.split("\t");
    return [[chromosome, Number(position) + by, ".", ...rest].join("\t")];
  };
}
