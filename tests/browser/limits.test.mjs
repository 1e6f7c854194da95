// An analyst's file is past a limit, the line is cut, the wait is too long: what is said, and that nothing is sent.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { VCF, add, answerTo, answered, choose, map, predict } from "./cohort.mjs";
import { axe, picture, smallAddress, test, visit } from "./support.mjs";

function people(count) {
  const samples = Array.from({ length: count }, (_, i) => `P${i}`);
  const variant = {
    id: "rs1000000",
    chromosome: "1",
    position: 100_000,
    ref: "G",
    alt: "T",
    dosages: samples.map(() => 1),
  };
  return {
    name: "people.json",
    mimeType: "application/json",
    buffer: Buffer.from(JSON.stringify({ samples, variants: [variant] })),
  };
}

const COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "A", "B"].join("\t");
const RECORD = "1\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\t1/1\n";
const long = {
  name: "long.vcf",
  mimeType: "text/vcf",
  buffer: Buffer.from(`##fileformat=VCFv4.2\n${COLUMNS}\n${RECORD.repeat(40_000)}`),
};

for (const [what, file, said] of [
  ["too many bytes", long, /takes 1(\.0)? (MB|MiB)/],
  ["too many people", VCF, /9 people.*8|8 people/],
  ["too many values", people(8), /96.*60/],
]) {
  test(`${what}: it is said before anything is sent`, { at: smallAddress }, async (page) => {
    const sent = [];
    page.on("request", (request) => {
      if (request.method() !== "GET") sent.push(request.url());
    });
    await visit(page, "/predict");
    await choose(page);
    await add(page, file);
    await page.getByRole("status").filter({ hasText: said }).first().waitFor();
    const button = page.getByRole("button", { name: "Predict", exact: true });
    if (await button.isEnabled()) await button.click();
    await page.waitForTimeout(200);
    assert.deepEqual(sent, []);
    await axe(page, what);
    await picture(page, `predict ${what}`);
  });
}

test("within the limits the same form sends", { at: smallAddress }, async (page) => {
  await visit(page, "/predict");
  await choose(page);
  await add(page, people(5));
  await predict(page);
  await answered(page);
});

test("an upload is cancelled", async (page) => {
  await page.route(/\/v1\/predictions\?/, () => {}); // Never answered.
  await visit(page, "/predict");
  await choose(page);
  await add(page, VCF);
  await predict(page);
  await page.getByRole("progressbar").first().waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("progressbar").first().waitFor({ state: "hidden" });
  await page
    .getByText(/cancelled/i)
    .first()
    .waitFor();
  assert.ok(await page.getByRole("button", { name: "Predict", exact: true }).isEnabled());
});

test("a line that is cut is said", { tolerated: [/ERR_CONNECTION_RESET/] }, async (page) => {
  await page.route(/\/v1\/predictions\?/, (route) => route.abort("connectionreset"));
  await visit(page, "/predict");
  await choose(page);
  await add(page, VCF);
  await predict(page);
  await page
    .getByText(/broke|broken|connection|network/i)
    .first()
    .waitFor();
  await axe(page, "a line that was cut");
});

test("an answer of which the end is missing is not shown as whole", async (page) => {
  const whole = await answerTo("", await readFile(VCF), "text/vcf");
  const genesEnd = whole.indexOf("\n],\n");
  assert.ok(genesEnd > whole.length / 2, "the list of genes ends with a line of its own, behind the middle");
  let body = "";
  await page.route(/\/v1\/predictions\?/, (route) => route.fulfill({ contentType: "application/json", body }));
  await visit(page, "/predict");
  await choose(page);
  await add(page, VCF);
  for (const end of [whole.length / 2, genesEnd + 1]) {
    body = whole.slice(0, end);
    await predict(page);
    await page.getByText(/not shown, since it is not whole/).waitFor();
    assert.equal(await map(page).isVisible(), false);
  }
  body = whole;
  await predict(page);
  await answered(page);
  assert.ok(await map(page).isVisible());
});

test("genotypes stay in memory", async (page, context) => {
  const printed = [];
  page.on("console", (message) => printed.push(message.text()));
  await visit(page, "/predict");
  await choose(page);
  await add(page, VCF);
  const asked = page.waitForRequest(/\/v1\/predictions\?/);
  await predict(page);
  assert.doesNotMatch((await asked).url(), /S0000|rs1000/);
  await answered(page);
  const { cookies, origins } = await context.storageState({ indexedDB: true });
  assert.deepEqual([cookies, origins], [[], []]);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.deepEqual(await page.evaluate(() => caches.keys()), []);
  assert.equal(new URL(page.url()).search + new URL(page.url()).hash, "");
  assert.doesNotMatch(printed.join("\n"), /S0000/);
  assert.equal(await page.evaluate(() => JSON.stringify(history.state)?.includes("S0000") ?? false), false);
});
