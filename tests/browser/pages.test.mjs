// What holds for every page: it reads without scripts, is light and soon usable, fits every width and passes axe.

import assert from "node:assert/strict";
import { test as plainTest } from "node:test";

import { LIMITS, SCHEMES, WIDTHS, axe, firstView, fits, focused, median, picture, test, visit } from "./support.mjs";

// A page, its heading, and the texts that have to be there before any script has run.
const PAGES = [
  ["/", /In which tissues/, ["Show profile", "demo", "600"]],
  ["/genes/SIM1", /^SIM1$/, ["SIMG000001", "measured", "Liver", "Whole Blood", "TSV"]],
  ["/genes/SIM34", /^SIM34$/, ["not measured in any tissue", "imputed", "Liver"]],
  ["/genes/SIMM1", /.+/, ["SIMM1", "Did you mean", "SIM1"], 404],
  ["/predict", /Predict|expression/i, ["cohort", "lcl", "curl"]],
  ["/impute", /gene that no dataset has/, ["Promoter", "Chromosome", "Strand"]],
  ["/models", /Models/, ["demo", "gtex-v4", "cohort", "lcl"]],
  ["/models/lcl", /lcl/, ["sha256:", "GRCh37", "1893"]],
  ["/models/demo", /demo/, ["sha256:", "copy-nearest"]],
  ["/docs", /API/, ["/v1/genes/{gene}/profile", "/v1/predictions", "low-overlap"]],
];

for (const [where, heading, texts, status = 200] of PAGES) {
  const expected = [status];
  test(`${where} reads without scripts`, { javaScriptEnabled: false, expected }, async (page) => {
    const answer = await page.goto(where);
    assert.equal(answer.status(), status);
    const titles = await page.getByRole("heading", { level: 1 }).allTextContents();
    assert.equal(titles.length, 1, "headings of level 1");
    assert.match(titles[0], heading);
    const shown = await page.locator("body").innerText();
    for (const one of texts) assert.ok(shown.replaceAll(",", "").includes(one), `'${one}' is on the page`);
    for (const landmark of ["banner", "main", "contentinfo"]) {
      assert.equal(await page.getByRole(landmark).count(), 1, landmark);
    }
    const policy = answer.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:/);
  });

  test(`${where} passes axe and fits, in every width and scheme`, { expected }, async (page) => {
    await visit(page, where);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme });
        // Colours do not hang on the width: the dark ones are looked at once.
        if (colorScheme === "light" || width === WIDTHS[1]) await axe(page, `${where} at ${width} px, ${colorScheme}`);
        await picture(page, `${where} ${width} ${colorScheme}`);
      }
      await fits(page, `${where} at ${width} px`);
    }
  });

  plainTest(`${where} is light and soon usable`, async (report) => {
    const views = [];
    for (let i = 0; i < 3; i += 1) views.push(await firstView(where));
    const bytes = Math.max(...views.map((view) => view.bytes));
    const milliseconds = Math.round(median(views.map((view) => view.milliseconds)));
    report.diagnostic(`${where}: ${bytes} bytes, usable after ${milliseconds} ms`);
    assert.ok(bytes > 1_000, "the page was measured");
    assert.ok(bytes <= LIMITS.bytes, `${bytes} bytes`);
    assert.ok(milliseconds <= LIMITS.milliseconds, `${milliseconds} ms`);
  });
}

test("every page leads to the others", async (page) => {
  await visit(page, "/");
  for (const [name, where] of [
    ["Predict", "/predict"],
    ["Impute", "/impute"],
    ["Models", "/models"],
    ["API", "/docs"],
    ["Genes", "/"],
  ]) {
    await page.getByRole("banner").getByRole("link", { name, exact: true }).click();
    await page.waitForURL(where);
    const current = page.getByRole("banner").getByRole("link", { name, exact: true });
    assert.equal(await current.getAttribute("aria-current"), "page", `${name} is marked as the page that is open`);
  }
});

test("a keyboard passes the header by and is at the search", async (page) => {
  await visit(page, "/");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), 'link "Skip to content"');
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.match(await focused(page), /^combobox "Gene symbol, identifier or region"/);
});

test("a name that is nearly right leads to the gene", { expected: [404] }, async (page) => {
  await visit(page, "/genes?query=SIMM1");
  await page.getByRole("link", { name: "SIM1", exact: true }).click();
  await page.waitForURL("/genes/SIM1");
});

test("nothing that a person does is kept in the browser", async (page, context) => {
  await visit(page, "/genes/SIM1");
  assert.deepEqual((await context.storageState()).cookies, []);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
});
