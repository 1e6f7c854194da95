// The tests' own eyes: what a page may not do is seen when it does it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { axe, fits, firstView, open, smallAddress } from "./support.mjs";

for (const [what, act, seen] of [
  ["an error on the console", () => console.error("a fault"), /^console: a fault/],
  [
    "an exception",
    () =>
      setTimeout(() => {
        throw new Error("thrown");
      }),
    /^exception: .*thrown/,
  ],
  [
    "a script in the page",
    () => {
      const script = document.createElement("script");
      script.textContent = "1";
      document.body.append(script);
    },
    /^console: policy: script-src/,
  ],
  ["a style in the page", () => document.body.setAttribute("style", "color: red"), /^console: policy: style-src/],
  [
    "a status that was not expected",
    () => {
      location.href = "/genes/none";
    },
    /^404 from .*genes\/none/,
  ],
]) {
  test(`${what} is seen`, async () => {
    const { context, page, faults } = await open();
    await page.goto("/");
    assert.deepEqual(faults, []);
    await page.evaluate(act);
    for (let i = 0; i < 50 && !faults.some((one) => seen.test(one)); i += 1) await page.waitForTimeout(50);
    assert.ok(
      faults.some((one) => seen.test(one)),
      `${seen} among ${faults}`,
    );
    await context.close();
  });
}

test("a request to another host is seen", async () => {
  const { context, page, faults } = await open();
  await page.goto(smallAddress);
  assert.ok(
    faults.some((one) => one.startsWith(`a request to another host: ${smallAddress}`)),
    faults.join(),
  );
  await context.close();
});

test("axe, the width and the weight find what is wrong", async () => {
  const { context, page } = await open();
  await page.setContent(
    '<html lang="en"><title>x</title><main><h1>x</h1><img src="data:,"><p style="width: 3000px">x</p></main>',
  );
  await assert.rejects(axe(page), /image-alt/);
  await assert.rejects(fits(page), /scrolls sideways/);
  await context.close();
  const { bytes, milliseconds } = await firstView("/docs");
  assert.ok(bytes > 1_000 && milliseconds > 0, `${bytes} bytes, ${milliseconds} ms`);
});
