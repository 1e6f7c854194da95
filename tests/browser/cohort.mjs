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

/** What the service answers to the same genotypes, asked for beside the browser. */
export async function predicted(query, body, type) {
  const answer = await fetch(new URL(`/v1/predictions?model=cohort${query}`, address), {
    method: "POST",
    body,
    headers: type && { "content-type": type },
  });
  assert.equal(answer.status, 200);
  return answer.json();
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

/** Waits until what is said of the map's cell is new, and returns the part of it that is asked for. */
export async function heard(page, isNew, part = /.*/) {
  const said = page.getByRole("status").filter({ hasText: /person .*gene / });
  for (let i = 0; i < 400; i += 1) {
    const now = await said.innerText();
    if (isNew(now)) return part.exec(now).at(-1);
    await page.waitForTimeout(25);
  }
  return assert.fail(`nothing new is said of a cell, but '${await said.innerText()}'`);
}

/** Moves to a cell of the map by keyboard and returns what is said of it. */
export async function cell(page, person, gene) {
  await map(page).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowUp"); // Ten people: to the first one.
  const passed = [await heard(page, () => true)];
  for (const [key, wanted] of [
    ["ArrowDown", new RegExp(`person ${person}\\b`)],
    ["ArrowRight", new RegExp(`gene ${gene}\\b`)],
  ]) {
    while (!wanted.test(passed.at(-1))) {
      if (passed.length > 30) assert.fail(`${person} and ${gene} are not among ${passed.join("; ")}`);
      await page.keyboard.press(key);
      passed.push(await heard(page, (said) => said !== passed.at(-1)));
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
