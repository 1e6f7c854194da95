// An analyst's genotypes do not fit the model: why is the first thing that is said.

import assert from "node:assert/strict";

import { add, answered, changed, choose, map, moved, predict } from "./cohort.mjs";
import { axe, focused, picture, test, visit } from "./support.mjs";

for (const [by, said] of [
  [1, /would match if its positions on GRCh38 are one too high/],
  [777_777, /No other reading/],
]) {
  test(`positions that are ${by} too high are explained`, { expected: [422] }, async (page) => {
    await visit(page, "/predict");
    await add(page, await changed(moved(by)));
    await choose(page);
    await predict(page);
    await page.getByText(said).first().waitFor();
    await page
      .getByText(/0 of the 240 variants of model 'cohort' were found/)
      .first()
      .waitFor();
    assert.equal(await map(page).isVisible(), false);
    await axe(page, "an overlap that is too low");
    await picture(page, `predict moved by ${by}`);
  });
}

test("the wrong assembly is found out, and one button puts it right", { expected: [422] }, async (page) => {
  await visit(page, "/predict");
  const wrong = (line) => (line.startsWith("##contig=<ID=1>") ? ["##contig=<ID=1,assembly=GRCh37>"] : moved(0)(line));
  const file = await changed(wrong);
  await add(page, file);
  await choose(page);
  await predict(page);
  await page
    .getByText(/% of what was sampled would match if its positions are on GRCh38/)
    .first()
    .waitFor();
  // Without the file there is nothing to send again: the button leads to what says so.
  const again = page.getByRole("button", { name: /GRCh38/ });
  await page.getByRole("button", { name: "Remove changed.vcf" }).click();
  await page.getByText("Add genotypes: a file, or JSON.").waitFor();
  assert.match(await focused(page), /Files of genotypes/);
  await again.click();
  assert.match(await page.locator(":focus").innerText(), /Add genotypes/);
  await add(page, file);
  await page
    .getByRole("status")
    .filter({ hasText: /VCF.*9 people/ })
    .waitFor();
  await again.click();
  await answered(page);
  assert.equal(await page.getByLabel("Assembly of the positions").inputValue(), "GRCh38");
});

test("a broken line is named", { expected: [400] }, async (page) => {
  await visit(page, "/predict");
  let records = 0;
  await add(
    page,
    await changed((line) => (line.startsWith("#") || (records += 1) !== 7 ? [line] : ["1\tnowhere\t.\tA"])),
  );
  await choose(page);
  await predict(page);
  await page.getByRole("heading", { name: /Malformed genotypes/ }).waitFor();
  await page
    .getByText(/line \d+/)
    .first()
    .waitFor();
});
