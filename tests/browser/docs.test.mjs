// An analyst reads the contract and tries it.

import assert from "node:assert/strict";

import { address, axe, fits, picture, shell, test, visit } from "./support.mjs";

/** The operations and the names of the schemas of the contract, read line by line. */
async function contract() {
  const lines = (await (await fetch(new URL("/openapi.yaml", address))).text()).split("\n");
  const operations = [];
  const schemas = [];
  let path = "";
  let part = "";
  for (const line of lines) {
    part = /^([a-z]+):/.exec(line)?.[1] ?? part;
    path = /^  (\/\S*):$/.exec(line)?.[1] ?? path;
    const method = part === "paths" && /^    (get|post|put|delete|patch):$/.exec(line)?.[1];
    if (method) operations.push([method.toUpperCase(), path]);
    const schema = part === "components" && /^    ([A-Z]\w+):$/.exec(line)?.[1];
    if (schema) schemas.push(schema);
  }
  return { operations, schemas };
}

test("every operation and every schema of the contract is there", async (page) => {
  const { operations, schemas } = await contract();
  assert.ok(
    operations.length >= 18 && schemas.length >= 30,
    `${operations.length} operations, ${schemas.length} schemas`,
  );
  await visit(page, "/docs");
  const headings = (await page.getByRole("heading").allTextContents()).map((one) => one.replace(/\s+/g, " ").trim());
  for (const [method, path] of operations) {
    assert.ok(
      headings.some((one) => one.startsWith(`${method} ${path}`)),
      `${method} ${path} has a heading`,
    );
  }
  const shown = await page.getByRole("main").evaluate((main) => main.textContent);
  for (const schema of schemas) assert.ok(shown.includes(schema), `the schema ${schema} is shown`);
});

/** Opens the form that tries an operation. */
async function opened(page, name) {
  await visit(page, "/docs");
  const operation = page.getByRole("article", { name, exact: true });
  await operation.locator("summary").filter({ hasText: "Try it" }).click();
  return operation;
}

test("an operation is tried, and its answer shown", async (page) => {
  const operation = await opened(page, "GET /v1/genes/{gene}");
  await operation.getByRole("textbox", { name: /^gene\b/ }).fill("SIM34");
  const line = operation.locator("pre").filter({ hasText: /^curl / });
  assert.equal(JSON.parse(await shell(await line.innerText())).gene_id, "SIMG000034");
  await operation.getByRole("button", { name: "Try it" }).click();
  await operation.getByRole("status").filter({ hasText: /^200/ }).waitFor();
  const body = operation.getByRole("region", { name: "Body of the answer" });
  assert.equal(JSON.parse(await body.innerText()).gene_id, "SIMG000034");
  await axe(page, "an operation that was tried");
  await page.setViewportSize({ width: 390, height: 800 });
  await fits(page, "an operation that was tried");
  await picture(page, "docs tried");
});

test("a plot that is tried is shown as a picture", async (page) => {
  const operation = await opened(page, "GET /v1/genes/{gene}/profile");
  await operation.getByRole("textbox", { name: /^gene\b/ }).fill("SIM34");
  await operation.getByLabel("Accept").selectOption("image/svg+xml");
  await operation.getByRole("button", { name: "Try it" }).click();
  const image = operation.getByRole("img", { name: /image\/svg\+xml/ });
  await image.waitFor();
  assert.ok((await image.evaluate((one) => one.decode().then(() => one.naturalWidth))) > 300);
});

test("what the service refuses is shown, too", { expected: [404] }, async (page) => {
  const operation = await opened(page, "GET /v1/genes/{gene}");
  await operation.getByRole("textbox", { name: /^gene\b/ }).fill("no such gene");
  await operation.getByRole("button", { name: "Try it" }).click();
  await operation.getByRole("status").filter({ hasText: /^404/ }).waitFor();
  assert.match(await operation.getByRole("region", { name: "Body of the answer" }).innerText(), /unknown-gene/);
});
