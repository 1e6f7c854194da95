// A method developer looks at what is served and how good it is.

import assert from "node:assert/strict";

import { api, axe, fits, picture, rowsOf, test, visit } from "./support.mjs";

test("every model that is served has its card", async (page) => {
  const { data } = await api("/v1/models");
  await visit(page, "/models");
  for (const model of data) {
    const link = page.getByRole("main").getByRole("link", { name: model.name, exact: true });
    await link.waitFor();
    assert.equal(await link.count(), 1, model.name);
  }
  await page.getByRole("main").getByRole("link", { name: "cohort", exact: true }).click();
  await page.waitForURL("/models/cohort");
  const card = await page.getByRole("main").innerText();
  const cohort = data.find((model) => model.name === "cohort");
  for (const one of [cohort.digest, "GRCh38", "PredictDB", "670", "240", cohort.description]) {
    assert.ok(card.includes(one), `the card of 'cohort' has ${one}`);
  }
});

for (const [name, measure] of [
  ["demo", "mean_error"],
  ["lcl", "mean_r"],
]) {
  test(`the accuracy of ${name} is drawn beside its baselines and reads as a table`, async (page) => {
    const { accuracy } = await api(`/v1/models/${name}`);
    assert.ok(accuracy.length > 2);
    await visit(page, `/models/${name}`);
    const plot = page
      .getByRole("img")
      .filter({ hasText: accuracy[0].method })
      .or(page.getByRole("img", { name: /accuracy|error|correlation/i }))
      .first();
    await plot.scrollIntoViewIfNeeded();
    const box = await plot.boundingBox();
    assert.ok(box.width > 200 && box.height > 50, "the plot is drawn");
    for (const method of new Set(accuracy.map((one) => one.method))) {
      const rows = page.getByRole("row").filter({ has: page.getByText(method, { exact: true }) });
      assert.ok((await rows.count()) > 0, `${method} has a row`);
    }
    const row = page
      .getByRole("row")
      .filter({ has: page.getByText(accuracy[0].method, { exact: true }) })
      .first();
    const numbers = (await row.getByRole("cell").allInnerTexts()).filter((cell) => /^-?[\d.,]+/.test(cell));
    const value = accuracy[0][measure];
    assert.ok(
      numbers.some((cell) => Math.abs(parseFloat(cell) - value) < 0.006),
      `${value} among ${numbers}`,
    );
    await axe(page, `the model ${name}`);
    await page.setViewportSize({ width: 390, height: 800 });
    await fits(page, `the model ${name}`);
  });
}

test("the accuracy of one gene is looked up", async (page) => {
  const { data } = await api("/v1/models/cohort/genes");
  const gene = data.find((one) => one.symbol === "GENE7");
  await visit(page, "/models/cohort");
  await page.getByRole("searchbox", { name: "Gene of this model" }).fill("GENE7");
  await page.keyboard.press("Enter");
  await page.waitForURL(/gene=GENE7/);
  const table = page.getByRole("region", { name: "The gene that was looked up" }).getByRole("table");
  const rows = await rowsOf(table);
  assert.equal(rows.length, 1);
  assert.ok(rows[0].includes("GENE7") && rows[0].includes(gene.gene), rows[0].join(", "));
  assert.ok(
    rows[0].some((cell) => Number(cell) === gene.accuracy.r2),
    rows[0].join(", "),
  );
  await picture(page, "model cohort");
});

test("a model that is not there is answered with the names that are", { expected: [404] }, async (page) => {
  const answer = await visit(page, "/models/lcll");
  assert.equal(answer.status(), 404);
  await page.getByRole("main").getByRole("link", { name: "lcl", exact: true }).click();
  await page.waitForURL("/models/lcl");
});
