// A bench biologist asks for a gene that no dataset has.

import assert from "node:assert/strict";

import { address, axe, fits, picture, press, shows, test, visit } from "./support.mjs";

const PLACE = { chromosome: "chr1", tss: 1_019_771, strand: "+" };
// 2,000 bases, the same in every run.
const PROMOTER = Array.from(
  { length: 2_000 },
  (_, i) => "ACGT"[(i * 7 + Math.floor(i / 3) * 5 + Math.floor(i / 11)) % 4],
).join("");

async function expected(observed) {
  const gene = { id: "my_gene", ...PLACE, promoter: PROMOTER, ...(observed && { observed }) };
  const answer = await fetch(new URL("/v1/profiles", address), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ dataset: "demo", genes: [gene] }),
  });
  const {
    data: [profile],
  } = await answer.json();
  return Object.fromEntries(profile.tissues.map((one) => [one.name, one]));
}

async function fill(page, promoter = PROMOTER) {
  await page.getByLabel("Name", { exact: true }).fill("my_gene");
  const chromosome = page.getByLabel("Chromosome");
  if ((await chromosome.evaluate((element) => element.tagName)) === "SELECT")
    await chromosome.selectOption(PLACE.chromosome);
  else await chromosome.fill(PLACE.chromosome);
  await page.getByLabel("Transcription start").fill(String(PLACE.tss));
  await page.getByLabel("Strand").selectOption(PLACE.strand);
  await page.getByLabel("Promoter", { exact: true }).fill(promoter);
}

async function impute(page) {
  await page.getByRole("button", { name: "Impute profile" }).click();
  await page.getByRole("heading", { name: "Values" }).waitFor();
}

async function cells(page, tissue) {
  const row = page.getByRole("row", { name: new RegExp(`^${tissue}\\b`) });
  return row.getByRole("cell").or(row.getByRole("rowheader")).allInnerTexts();
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "" : ", without scripts";

  test(`a new gene from promoter, place and strand${how}`, { javaScriptEnabled }, async (page) => {
    const { Liver: liver } = await expected();
    await page.goto("/impute");
    await fill(page);
    await impute(page);
    const shown = await cells(page, "Liver");
    shows(shown[1], liver.value, "the liver");
    assert.match(shown.join(" "), /imputed/);
    if (!javaScriptEnabled) return;
    await axe(page, "an imputed gene");
    await page.setViewportSize({ width: 390, height: 800 });
    await fits(page, "an imputed gene");
    await picture(page, "impute answered");
  });

  test(`measured tissues are kept and help the others${how}`, { javaScriptEnabled }, async (page) => {
    const observed = { Lung: 40, Spleen: 55.5 };
    const [alone, helped] = [await expected(), await expected(observed)];
    assert.notEqual(alone.Liver.value, helped.Liver.value);
    await page.goto("/impute");
    await fill(page);
    const measured = page.getByRole("group", { name: /Measured tissues/ });
    const lung = measured.getByLabel("Lung", { exact: true });
    if (!(await lung.isVisible()))
      await page
        .getByText(/Measured tissues/)
        .first()
        .click();
    await lung.fill("40");
    await measured.getByLabel("Spleen", { exact: true }).fill("55.5");
    await impute(page);
    const [lungShown, liverShown] = [await cells(page, "Lung"), await cells(page, "Liver")];
    shows(lungShown[1], 40, "the lung");
    assert.match(lungShown.join(" "), /measured|given/);
    shows(liverShown[1], helped.Liver.value, "the liver");
  });

  test(
    `a wrong promoter is marked at its field, and what was typed stays${how}`,
    { javaScriptEnabled, expected: [422] },
    async (page) => {
      await page.goto("/impute");
      const wrong = `${PROMOTER.slice(0, 40)}ZZ${PROMOTER.slice(40)}`;
      await fill(page, wrong);
      await page.getByRole("button", { name: "Impute profile" }).click();
      const field = page.getByLabel("Promoter", { exact: true });
      await page.locator("[aria-invalid=true]").first().waitFor();
      assert.equal(await field.getAttribute("aria-invalid"), "true");
      const described = (await field.getAttribute("aria-describedby")).split(" ");
      const said = await Promise.all(described.map((id) => page.locator(`[id="${id}"]`).innerText()));
      assert.match(said.join(" "), /Z.*(base|position) 41|41.*Z/, "the message names the letter and its place");
      assert.equal(await field.inputValue(), wrong);
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "my_gene");
      assert.equal(await page.getByLabel("Transcription start").inputValue(), String(PLACE.tss));
      if (!javaScriptEnabled) return;
      await axe(page, "a promoter that is wrong");
      await picture(page, "impute wrong promoter");
    },
  );
}

test("the form is filled and sent by keyboard alone", async (page) => {
  const { Liver: liver } = await expected();
  await visit(page, "/impute");
  for (const [field, typed] of [
    [/"Name/, "my_gene"],
    [/"Chromosome/, PLACE.chromosome],
    [/"Transcription start/, String(PLACE.tss)],
    [/"Strand/, PLACE.strand],
  ]) {
    await press(page, "Tab", field);
    await page.keyboard.type(typed);
  }
  await press(page, "Tab", /"Promoter/);
  await page.keyboard.insertText(PROMOTER);
  await press(page, "Tab", /button "Impute profile"/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Values" }).waitFor();
  shows((await cells(page, "Liver"))[1], liver.value, "the liver");
});
