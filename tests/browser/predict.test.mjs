// An analyst predicts a cohort's expression: file, report, heat map, one gene, one person, downloads.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

import {
  PLINK,
  VCF,
  add,
  answered,
  asJson,
  cell,
  choose,
  cohort,
  find,
  firstCell,
  map,
  predict,
  predicted,
  predictedOfVcf,
  send,
  told,
} from "./cohort.mjs";
import { axe, download, fits, focused, picture, rowsOf, shell, shows, test, visit } from "./support.mjs";

/** Kinds that the page calls by other words than the API. */
const CALLED = { strand_flipped: "other strand", strand_flipped_swapped: "other strand, swapped" };

test("a VCF is recognised, predicted and reported on", async (page) => {
  const { report } = await predictedOfVcf();
  await visit(page, "/predict");
  await add(page, VCF);
  await page
    .getByRole("status")
    .filter({ hasText: /VCF.*9 people/ })
    .waitFor();
  await choose(page);
  await axe(page, "a form that is filled");
  await predict(page);
  const heading = await answered(page);
  const { exact, swapped, strand_flipped: flipped } = report.by_kind;
  const share = (100 * (exact + swapped + flipped)) / 240;
  shows(heading, Math.round(share), "the share that was used");

  // The picture of the report reads as a table, and its sums are those of the report.
  await page.getByText("The numbers by chromosome").click();
  const table = page.getByRole("region", { name: "Variants by chromosome" }).getByRole("table");
  const names = await table.getByRole("columnheader").allInnerTexts();
  const rows = await rowsOf(table);
  const chromosomes = Array.from({ length: 22 }, (_, i) => `chr${i + 1}`);
  assert.deepEqual(
    rows.map((row) => row[0]),
    chromosomes,
    "in their natural order",
  );
  for (const [kind, count] of Object.entries(report.by_kind)) {
    const at = names.indexOf(CALLED[kind] ?? kind);
    assert.ok(at > 0, `'${kind}' among ${names}`);
    assert.equal(
      rows.reduce((sum, row) => sum + Number(row[at]), 0),
      count,
      kind,
    );
  }
  await axe(page, "an answer");
  await page.setViewportSize({ width: 390, height: 800 });
  await fits(page, "an answer");
  await axe(page, "an answer at 390 px");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 1280, height: 800 });
    await picture(page, `predict answered ${colorScheme}`);
  }
  assert.equal(new URL(page.url()).search + new URL(page.url()).hash, "", "nothing of it is in the address");
});

test("a cell of the heat map, its gene and its person by keyboard", async (page) => {
  const answer = await predictedOfVcf();
  const gene = answer.genes.find((one) => one.symbol === "GENE7");
  const valueOf = (person) => gene.values[answer.samples.indexOf(person)];
  const value = valueOf("S00005");
  await send(page, VCF);
  const said = await cell(page, "S00005", "GENE7");
  shows(/: (.*)/.exec(said)[1], value, "the cell");
  const mean = gene.values.reduce((sum, one) => sum + one, 0) / 9;
  const deviation = (by) => Math.sqrt(gene.values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / by);
  const z = Number(/z (\S+)/.exec(said)[1].replace("−", "-"));
  assert.ok(
    [8, 9].some((by) => Math.abs(z - (value - mean) / deviation(by)) < 0.01),
    `${said}: z of ${value}`,
  );
  await page.keyboard.press("Enter");

  // The gene: its distribution, its accuracy, its people.
  await page.getByRole("heading", { name: "GENE7", exact: true }).waitFor();
  const plot = page.getByRole("img", { name: /Histogram of 9 people.s predicted expression of GENE7/ });
  shows(/mean (\S+)/.exec(await plot.getAttribute("aria-label"))[1], mean, "the mean");
  await page.getByText("20 of 20 used").waitFor();
  await page.getByText(/r² 0\.1 \(cross-validation.*670 people/).waitFor();
  await page.getByText("People by value").click();
  const people = await rowsOf(page.getByRole("region", { name: "People by value" }).getByRole("table"));
  const falling = answer.samples.toSorted((a, b) => valueOf(b) - valueOf(a));
  assert.deepEqual(
    people.map((row) => row[1]),
    falling,
  );
  for (const [, person, shown] of people) shows(shown, valueOf(person), person);
  await axe(page, "a gene of the answer");

  // The person: what the value is made of.
  const sent = [];
  page.on("request", (request) => sent.push(request.url()));
  await page.getByRole("button", { name: "What makes up these values?" }).click();
  for (const person of ["S00005", "S00002"]) {
    if (person === "S00002") {
      await page.getByLabel("Person", { exact: true }).fill(person);
      await page.keyboard.press("Enter");
    }
    await page.getByRole("heading", { name: `What makes up ${person}’s value of GENE7` }).waitFor();
    const parts = await rowsOf(page.getByRole("region", { name: "Contributions" }).getByRole("table"));
    const numbers = parts.map((row) => Number(row.at(-1).replace("−", "-")));
    assert.equal(parts[0][0], "base");
    assert.equal(parts.at(-1)[0], "value");
    assert.match(parts[1][0], /^rs\d+ /);
    shows(parts.at(-1).at(-1), valueOf(person), person);
    const sum = numbers.slice(0, -1).reduce((all, one) => all + one, 0);
    assert.ok(Math.abs(sum - numbers.at(-1)) < 0.005, `the parts add up to ${sum}, the value is ${numbers.at(-1)}`);
  }
  assert.equal(sent.length, 1, `sent again for one person, not for the next: ${sent}`);
  await axe(page, "what makes up a value");
  await picture(page, "predict gene and person");
});

test("contributions that come late are not shown under another gene", async (page) => {
  // The thread gets its question only when the test lets it.
  await page.addInitScript(() => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.command !== "explain") return post.call(this, message, ...rest);
      this.addEventListener("message", ({ data }) => (window.isExplained ||= data.id === message.id));
      window.letExplain = () => post.call(this, message, ...rest);
    };
  });
  await send(page, VCF);
  const explain = async (gene) => {
    await find(page, gene);
    await page.getByRole("button", { name: "What makes up these values?" }).click();
    await page.waitForFunction(() => window.letExplain);
  };
  await explain("GENE7");
  await find(page, "GENE5");
  await page.evaluate(() => window.letExplain());
  await page.waitForFunction(() => window.isExplained);
  const contributions = page.getByRole("heading", { name: /^What makes up / });
  assert.equal(await contributions.count(), 0);
  await page.evaluate(() => delete window.letExplain);
  await explain("GENE5");
  await page.evaluate(() => window.letExplain());
  assert.match(await contributions.innerText(), /value of GENE5$/);
});

test("a download that is on its way outlasts the choice of a gene, and nothing drops it", async (page) => {
  await send(page, VCF);
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route(/format=tsv/, async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole("button", { name: "TSV" }).click();
  const progress = page.getByRole("progressbar", { name: "Asking for TSV" });
  await progress.waitFor();
  await find(page, "GENE7");
  assert.ok(await progress.isVisible());
  await page.getByRole("button", { name: "What makes up these values?" }).click();
  await page
    .getByRole("status")
    .filter({ hasText: /still on its way/ })
    .waitFor();
  const tsv = await download(page, async () => go());
  assert.match(tsv.name, /\.tsv$/);
  await progress.waitFor({ state: "hidden" });
});

test("the map is clustered, enlarged, searched and clicked", async (page) => {
  const answer = await predictedOfVcf();
  await send(page, VCF);
  let said = "";
  const peopleDown = async () => {
    const people = [];
    for (let i = 0; i < 9; i += 1) {
      said = i === 0 ? await firstCell(page) : await told(page, "ArrowDown");
      people.push(/person (\S+),/.exec(said)[1]);
    }
    return people;
  };
  assert.deepEqual(await peopleDown(), answer.samples);
  await page.getByLabel("Order").focus();
  await page.getByLabel("Order").selectOption({ label: "clustered" });
  await page.getByText(/Clustered by average linkage/).waitFor();
  assert.match(await focused(page), /combobox "Order"/);
  const clustered = await peopleDown();
  assert.deepEqual(clustered.toSorted(), answer.samples, "everybody is there once");
  assert.notDeepEqual(clustered, answer.samples, "in another order");

  // The cursor stands in the first column: it is found again by a click, after another gene was looked at.
  const [, first] = /gene (GENE\d+)/.exec(said);
  await find(page, first === "GENE5" ? "GENE7" : "GENE5");
  await page.getByRole("group", { name: "Zoom" }).getByRole("button", { name: "Zoom in" }).click();
  await map(page).focus();
  for (const key of ["+", "-", "0"]) await page.keyboard.press(key);
  await map(page).click({ position: { x: 110, y: 90 } });
  await page.getByRole("heading", { name: first, exact: true }).waitFor();
  await page.getByLabel("Colours").selectOption({ label: "predicted value" });
  await page.getByText(/in the unit of its model/).waitFor();
  await axe(page, "a clustered map");
  await picture(page, "predict clustered");
});

test("a PLINK set names what it lacks, and is predicted once it is whole", async (page) => {
  await visit(page, "/predict");
  await add(page, PLINK.slice(0, 2));
  await page.getByText(/geno\.fam is missing/).waitFor();
  const form = new FormData();
  for (const name of ["bim", "fam", "bed"]) {
    form.append(name, new Blob([await readFile(cohort(`geno.${name}`))]), `geno.${name}`);
  }
  const answer = await predicted("", form);
  await add(page, PLINK);
  await page
    .getByRole("status")
    .filter({ hasText: /PLINK 1.*9 people/ })
    .waitFor();
  await choose(page);
  await predict(page);
  await answered(page);
  shows(/: (.*)/.exec(await cell(page, "S00003", "GENE2"))[1], answer.genes[2].values[3], "the cell");
});

test("pasted JSON is predicted", async (page) => {
  const json = await asJson(3, 40);
  const answer = await predicted("&gene=GENE0", json, "application/json");
  await visit(page, "/predict");
  await page.getByText("Paste JSON in place of a file").click();
  await page.getByLabel("Genotypes as JSON").fill(json);
  await page
    .getByRole("status")
    .filter({ hasText: /JSON.*3 people/ })
    .waitFor();
  await choose(page);
  await page.getByLabel("Only these genes").fill("GENE0");
  await predict(page);
  await answered(page);
  shows(/: (.*)/.exec(await cell(page, "S00001", "GENE0"))[1], answer.genes[0].values[1], "the cell");
});

test("the match alone is checked", async (page) => {
  await visit(page, "/predict");
  await add(page, VCF);
  await choose(page);
  const asked = page.waitForRequest(/\/v1\/predictions\/check/);
  await page.getByRole("button", { name: "Check the match only" }).click();
  await asked;
  await answered(page);
  assert.equal(await map(page).isVisible(), false);
});

test("what is downloaded is what its name says", async (page) => {
  const answer = await predictedOfVcf();
  await send(page, VCF);
  const get = (name) =>
    download(page, () => page.getByRole("button", { name }).or(page.getByRole("link", { name })).first().click());
  const json = await get(/^(Answer|Predictions|JSON)/i);
  assert.deepEqual(JSON.parse(json.bytes).genes, answer.genes);
  const report = await get(/report/i);
  assert.deepEqual(JSON.parse(report.bytes).by_kind, answer.report.by_kind);
  const png = await get(/PNG/);
  assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
  const tsv = await get(/TSV/);
  assert.ok(tsv.bytes.toString().includes("GENE7") || tsv.bytes.toString().includes("ENSG00000000008"));
  const bed = await get(/BED/);
  assert.match(bed.name, /\.bed\.gz$/);
  assert.match(gunzipSync(bed.bytes).toString(), /^#/);
  const arrow = await get(/Arrow/);
  assert.equal(arrow.bytes.readUInt32LE(0), 0xffffffff, "an Arrow stream begins with its continuation marker");
  const parquet = await get(/Parquet/);
  assert.equal(parquet.bytes.subarray(0, 4).toString(), "PAR1");
});

for (const [what, files] of [
  ["a VCF", [VCF]],
  ["a PLINK set", PLINK],
]) {
  test(`the curl line does for ${what} what the form does`, async (page) => {
    await visit(page, "/predict");
    await add(page, files);
    await choose(page);
    await page.getByLabel("Only these genes").fill("GENE7 GENE0");
    await page.getByText("The same by curl").click();
    const line = await page.locator("pre").filter({ hasText: /curl/ }).first().innerText();
    const [, output] = / -o (\S+)/.exec(line);
    await shell(line, cohort("."));
    const answer = JSON.parse(await readFile(cohort(output)));
    assert.deepEqual(answer.genes.map((gene) => gene.symbol).toSorted(), ["GENE0", "GENE7"]);
    assert.equal(answer.samples.length, 9);
  });
}
