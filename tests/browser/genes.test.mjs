// A bench biologist finds a gene, reads its tissues and takes them along.

import assert from "node:assert/strict";

import { api, axe, download, focused, picture, press, shell, shows, test, visit } from "./support.mjs";

const SEARCH = { name: "Gene symbol, identifier or region" };

async function valuesOf(symbol) {
  const profile = await api(`/v1/genes/${symbol}/profile`);
  return Object.fromEntries(profile.tissues.map((one) => [one.name, one]));
}

/** The tissues of the plot's bars, in their order. */
async function bars(page) {
  const list = await page.getByRole("list", { name: "Tissues" }).ariaSnapshot();
  return [...list.matchAll(/listitem "(.+?): /g)].map((match) => match[1]);
}

test("find a gene's value in the liver by keyboard", async (page) => {
  const { Liver: liver } = await valuesOf("SIM34");
  await visit(page, "/");
  const search = page.getByRole("combobox", SEARCH);
  await search.focus();
  await page.keyboard.type("sim3");
  const options = page.getByRole("listbox").getByRole("option");
  await options.first().waitFor();
  assert.equal(await search.getAttribute("aria-expanded"), "true");
  await axe(page, "/ with suggestions");
  await picture(page, "suggestions");
  for (let i = 0; ; i += 1) {
    assert.ok(i < 50, "SIM34 is among the suggestions for 'sim3'");
    await page.keyboard.press("ArrowDown");
    const active = await search.getAttribute("aria-activedescendant");
    const option = page.locator(`[id="${active}"]`);
    if (/^SIM34\b/.test((await option.innerText()).trim())) {
      assert.equal(await option.getAttribute("aria-selected"), "true");
      break;
    }
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/genes\/SIM(34|G000034)\b/);
  await page.getByRole("heading", { level: 1, name: "SIM34" }).waitFor();

  // In the plot, by keyboard.
  await press(page, "Tab", /TPM/);
  const bar = /Liver: .*/.test(await focused(page)) ? await focused(page) : await press(page, "ArrowDown", /"Liver: /);
  const [, value, lower, upper] = /Liver: (\S+) TPM, imputed, (\S+) to ([^\s"]+)/.exec(bar) ?? assert.fail(bar);
  shows(value, liver.value, "the bar");
  shows(lower, liver.lower, "the bar's lower end");
  shows(upper, liver.upper, "the bar's upper end");

  // In the table.
  const row = page.getByRole("row", { name: /^Liver/ });
  const cells = await row.getByRole("cell").or(row.getByRole("rowheader")).allInnerTexts();
  shows(cells[1], liver.value, "the table");
  assert.match(cells.join(" "), /imputed/);
});

test("suggestions close with Escape, and what was typed stays", async (page) => {
  await visit(page, "/");
  const search = page.getByRole("combobox", SEARCH);
  await search.fill("SIM1");
  await page.getByRole("option").first().waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("option").first().waitFor({ state: "hidden" });
  assert.equal(await search.inputValue(), "SIM1");
  await page.getByRole("button", { name: "Show profile" }).click();
  await page.waitForURL(/\/genes\/SIM1\b/);
});

test("suggestions that come late stay closed", async (page) => {
  await visit(page, "/");
  let go;
  await page.route(/\/v1\/genes\?/, async (route) => {
    await new Promise((resolve) => (go = resolve));
    await route.continue().catch(() => {}); // The page may have taken it back.
  });
  const search = page.getByRole("combobox", SEARCH);
  for (const key of ["Escape", "Tab"]) {
    await search.fill("");
    const asked = page.waitForRequest(/\/v1\/genes\?/);
    await page.keyboard.type("SIM1");
    await asked;
    await page.keyboard.press(key);
    go();
    await page.waitForTimeout(300); // Nothing is to come of it.
    assert.equal(await page.getByRole("option").count(), 0, key);
    assert.equal(await search.getAttribute("aria-expanded"), "false", key);
  }
});

test("a region is asked for once it is whole, and no former suggestions stay till then", async (page) => {
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url()).searchParams.get("query")));
  await visit(page, "/");
  const search = page.getByRole("combobox", SEARCH);
  await search.fill("SIM1");
  await page.getByRole("option").first().waitFor();
  await search.fill("chr1:1,000,000-");
  await page.getByRole("option").first().waitFor({ state: "hidden" });
  for (const digit of "1,137,000") {
    await page.keyboard.type(digit);
    await page.waitForTimeout(120); // Longer than the page waits for the next letter.
  }
  await page.getByRole("option").first().waitFor();
  assert.deepEqual(asked.filter(Boolean), ["SIM1", "chr1:1,000,000-1,137,000"]);
});

test("order, scale and colours change the plot, and the address brings the view back", async (page, context) => {
  const values = await valuesOf("SIM34");
  await visit(page, "/genes/SIM34");
  const before = await bars(page);
  assert.equal(before.length, 54);
  await page.getByLabel("Order").selectOption("value");
  await page.waitForURL(/sort=value/);
  await page.getByLabel("Scale").selectOption("log");
  await page.waitForURL(/scale=log/);
  await page.getByLabel("Colours").selectOption("safe");
  await page.waitForURL(/colours=safe/);
  const sorted = await bars(page);
  assert.notDeepEqual(sorted, before);
  const ordered = sorted.map((name) => values[name].value);
  assert.deepEqual(
    ordered,
    ordered.toSorted((a, b) => b - a),
    "the highest comes first",
  );

  const other = await context.newPage();
  await visit(other, page.url());
  for (const [label, value] of [
    ["Order", "value"],
    ["Scale", "log"],
    ["Colours", "safe"],
  ]) {
    assert.equal(await other.getByLabel(label).inputValue(), value);
  }
  assert.deepEqual(await bars(other), sorted);
  await axe(other, "a gene on a logarithmic scale in colours for the colour-blind");
  await picture(other, "gene by value, log, safe");
});

test("a view that comes late does not replace a later one", async (page) => {
  await visit(page, "/genes/SIM34");
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route(/\/genes\/SIMG000034\?/, async (route) => {
    if (!/scale=log/.test(route.request().url())) await held;
    await route.continue().catch(() => {}); // The page may have taken it back.
  });
  const first = page.waitForRequest(/sort=value/);
  await page.getByLabel("Order").selectOption("value");
  await first;
  await page.getByLabel("Scale").selectOption("log");
  await page.waitForURL(/scale=log/);
  go();
  await page.waitForTimeout(300); // Nothing is to come of it.
  assert.match(page.url(), /sort=value.*scale=log/);
  assert.equal(await page.getByLabel("Scale").inputValue(), "log");
});

test("a view that cannot be fetched is loaded as a page", { tolerated: [/ERR_FAILED/] }, async (page) => {
  await visit(page, "/genes/SIM34");
  await page.route(/\/genes\/SIMG000034\?/, (route) =>
    route.request().resourceType() === "fetch" ? route.abort() : route.continue(),
  );
  const loaded = page.waitForRequest((request) => request.isNavigationRequest());
  await page.getByLabel("Order").selectOption("value");
  assert.match((await loaded).url(), /sort=value/);
  await page.waitForURL(/sort=value/);
  assert.equal(await page.getByLabel("Order").inputValue(), "value");
});

test("order and scale work without scripts", { javaScriptEnabled: false }, async (page) => {
  await page.goto("/genes/SIM34");
  const before = await bars(page);
  await page.getByLabel("Order").selectOption("value");
  await page.getByLabel("Scale").selectOption("log");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.waitForURL(/sort=value.*scale=log/);
  assert.equal(await page.getByLabel("Order").inputValue(), "value");
  assert.notDeepEqual(await bars(page), before);
});

test("a measured gene's page says so, and what surrounds it", async (page) => {
  const { Liver: liver } = await valuesOf("SIM1");
  await visit(page, "/genes/SIM1");
  for (const name of ["Neighbourhood", "Promoter", "What is missing", "Download", "Values"]) {
    await page.getByRole("heading", { name, exact: true }).waitFor();
  }
  const row = page.getByRole("row", { name: /^Liver/ });
  shows((await row.getByRole("cell").or(row.getByRole("rowheader")).allInnerTexts())[1], liver.value, "the table");
  await page
    .getByRole("main")
    .getByRole("link", { name: /^SIM2, / })
    .click();
  await page.getByRole("heading", { level: 1, name: "SIM2" }).waitFor();
});

test("what is downloaded is what its name says", async (page) => {
  const values = await valuesOf("SIM34");
  await visit(page, "/genes/SIM34");
  const get = (name) => download(page, () => page.getByRole("main").getByRole("link", { name }).click());

  const tsv = await get(/TSV/);
  assert.match(tsv.name, /SIM.*\.tsv$/);
  const [head, ...rows] = tsv.bytes
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  assert.deepEqual(head, ["gene_id", "symbol", "tissue", "source", "value", "lower", "upper", "relative", "unit"]);
  assert.equal(rows.length, 54);
  const liver = rows.find((row) => row[2] === "Liver");
  assert.ok(Math.abs(Number(liver[4]) - values.Liver.value) < 1e-4);

  const json = await get(/JSON/);
  assert.match(json.name, /SIM.*\.json$/);
  assert.equal(JSON.parse(json.bytes).tissues.length, 54);

  const svg = await get(/SVG/);
  assert.match(svg.name, /SIM.*\.svg$/);
  assert.match(svg.bytes.toString(), /^(<\?xml[^>]*>\s*)?<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  assert.ok(svg.bytes.toString().includes("Liver"));

  const png = await download(page, () =>
    page
      .getByRole("main")
      .getByRole("button", { name: /PNG/ })
      .or(page.getByRole("main").getByRole("link", { name: /PNG/ }))
      .click(),
  );
  assert.match(png.name, /SIM.*\.png$/);
  assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
  assert.ok(png.bytes.readUInt32BE(16) >= 800, `${png.bytes.readUInt32BE(16)} px wide`);
});

test("the curl line gives what the page shows", async (page) => {
  const { Liver: liver } = await valuesOf("SIM34");
  await visit(page, "/genes/SIM34");
  const line = await page
    .locator("pre")
    .filter({ hasText: /^curl / })
    .first()
    .innerText();
  const rows = (await shell(line.replace("curl ", "curl --fail --silent --show-error "))).split("\n");
  const row = rows.find((one) => one.includes("\tLiver\t")).split("\t");
  assert.ok(Math.abs(Number(row[4]) - liver.value) < 1e-4);
});

test("a region lists its genes", async (page) => {
  const { data } = await api("/v1/genes?chromosome=chr1");
  const [from, to] = [1_000_000, 1_137_000];
  const inside = data.filter((gene) => gene.start <= to && gene.end >= from).map((gene) => gene.symbol);
  assert.ok(inside.length >= 3);
  await visit(page, "/");
  await page.getByRole("combobox", SEARCH).fill(`chr1:${from}-${to}`);
  await page.keyboard.press("Enter");
  await page.waitForURL(/chr1/);
  const main = page.getByRole("main");
  await main.getByRole("link", { name: inside[0], exact: true }).waitFor();
  const links = (await main.getByRole("link", { name: /^SIM\d+$/ }).allTextContents()).toSorted();
  assert.deepEqual(links, inside.toSorted());
  await axe(page, "genes of a region");
  await picture(page, "region");
});

test(
  "a region without genes, and one that is none, are answered in words",
  { expected: [400, 404, 422] },
  async (page) => {
    await visit(page, `/genes?query=${encodeURIComponent("chr1:1-2")}`);
    await page
      .getByText(/no genes?/i)
      .first()
      .waitFor();
    await visit(page, `/genes?query=${encodeURIComponent("chr1:9-2")}`);
    await page
      .getByText(/chr1:9-2/)
      .first()
      .waitFor();
    await axe(page, "a region that is none");
  },
);
