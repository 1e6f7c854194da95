// What the tests share: a browser, pages that watch themselves, and the measures of a page.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test as nodeTest } from "node:test";
import { promisify } from "node:util";

import axeCore from "axe-core";
import { chromium } from "playwright-core";

/** The demo's address, and that of the same data behind limits that a small file is past. */
export const address = setting("TISSUECAST_ADDRESS");
export const smallAddress = setting("TISSUECAST_SMALL_ADDRESS");

/** Most bytes over the wire and most milliseconds until it can be used, of a page's first view. */
export const LIMITS = { bytes: 200_000, milliseconds: 1_000 };

export const WIDTHS = [390, 1280, 1920];
export const SCHEMES = ["light", "dark"];

const pictures = process.env.TISSUECAST_PICTURES;
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: setting("CHROMIUM"),
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(() => browser?.close());

export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start the tests with tests/browser/run`);
  return value;
}

/**
 * A test in a fresh browser profile. Beside what `body` asserts, it fails on an error on the console, an exception, a
 * breach of the content security policy, a request to another host and an answer of a status that `expected` lacks,
 * but for complaints that fit one of `tolerated`.
 */
export function test(name, ...rest) {
  const body = rest.pop();
  const { at = address, expected = [], tolerated = [], ...options } = rest.pop() ?? {};
  nodeTest(name, { timeout: 60_000 }, async () => {
    const { context, page, faults } = await open(at, expected, options);
    try {
      await body(page, context);
      await page.waitForTimeout(50); // What the last step set off is to be heard of.
      const bad = faults.filter((one) => !tolerated.some((allowed) => allowed.test(one)));
      assert.deepEqual(bad, [], "what the browser complained of");
    } catch (error) {
      if (pictures) await page.screenshot({ path: path.join(pictures, `failed ${slug(name)}.png`) }).catch(() => {});
      if (faults.length > 0)
        console.error(`    the browser complained of:\n${faults.map((one) => `      ${one}`).join("\n")}`);
      throw error;
    } finally {
      await context.close();
    }
  });
}

/** A page in a profile of its own, and the list to which its faults are added. */
export async function open(at = address, expected = [], options = {}) {
  const context = await browser.newContext({ baseURL: at, acceptDownloads: true, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(10_000);
  const faults = [];
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(
        `policy: ${event.effectiveDirective} forbids ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  context.on("request", (request) => {
    const url = new URL(request.url());
    const own = url.origin === new URL(at).origin || ["blob:", "data:"].includes(url.protocol);
    if (!own) faults.push(`a request to another host: ${request.url()}`);
  });
  context.on("response", (response) => {
    const status = response.status();
    if (status >= 400 && !expected.includes(status)) faults.push(`${status} from ${response.url()}`);
  });
  // A download ends its navigation, and a page may take back what it asked for: both are "aborted".
  context.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") faults.push(`${why} from ${request.url()}`);
  });
  context.on("weberror", (error) => faults.push(`exception: ${error.error()?.stack ?? error.error()}`));
  context.on("console", (message) => {
    if (message.type() !== "error") return;
    const status = /^Failed to load resource: .* status of (\d+)/.exec(message.text())?.[1];
    if (!(status && expected.includes(Number(status)))) faults.push(`console: ${message.text()}`);
  });
  const page = await context.newPage();
  page.on("websocket", (socket) => faults.push(`a socket to ${socket.url()}`));
  return { context, page, faults };
}

/** Opens a page and waits until its scripts, where it has some, have said that they are at work. */
export async function visit(page, where) {
  const answer = await page.goto(where);
  await ready(page);
  return answer;
}

export async function ready(page) {
  await page
    .waitForFunction(
      () =>
        document.readyState === "complete" &&
        (!document.querySelector("script[src]") || document.documentElement.dataset.ready === "true"),
      null,
      { timeout: 5_000 },
    )
    .catch(() => assert.fail(`${page.url()} has scripts, and no data-ready="true" on its html element after 5 s`));
}

/** Fails with every violation that axe finds by its rules for WCAG A and AA and for best practice. */
export async function axe(page, what = page.url()) {
  await page.evaluate(axeCore.source);
  const found = await page.evaluate(async () => {
    const beyond = ["wcag2aaa", "experimental"]; // Rules that contradict others, and some that are not settled.
    const settled = axe.getRules().filter(({ tags }) => !tags.some((tag) => beyond.includes(tag)));
    const rules = settled.map(({ ruleId }) => ruleId);
    const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => {
      const places = nodes
        .slice(0, 5)
        .map((node) => `${node.html.slice(0, 200)}\n      ${node.failureSummary.replaceAll("\n", " ")}`);
      return `${id}: ${help} (${nodes.length})\n    ${places.join("\n    ")}`;
    });
  });
  if (found.length > 0) assert.fail(`axe on ${what}:\n  ${found.join("\n  ")}`);
}

/** Fails where the document is wider than the window; what may be wider scrolls within its own frame. */
export async function fits(page, what = page.url()) {
  const wide = await page.evaluate(async () => {
    // What draws itself anew for another width does so with the next frame.
    for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return null;
    const inFrame = (element) => {
      for (let one = element.parentElement; one; one = one.parentElement) {
        if (getComputedStyle(one).overflowX !== "visible") return true;
      }
      return false;
    };
    const beyond = [...document.body.querySelectorAll("*")].filter(
      (element) => element.getBoundingClientRect().right > root.clientWidth + 1 && !inFrame(element),
    );
    return `${root.scrollWidth} px in ${root.clientWidth} px: ${beyond
      .slice(-3)
      .map((one) => one.outerHTML.slice(0, 160))
      .join(" … ")}`;
  });
  if (wide) assert.fail(`${what} scrolls sideways: ${wide}`);
}

/** Keeps a picture of the whole page where --keep-pictures asks for it. */
export async function picture(page, name) {
  if (pictures) await page.screenshot({ path: path.join(pictures, `${slug(name)}.png`), fullPage: true });
}

function slug(name) {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
}

/** Bytes over the wire and milliseconds until it can be used, of a first view with nothing in the cache. */
export async function firstView(where) {
  const context = await browser.newContext({ baseURL: address });
  try {
    await context.addInitScript(() => {
      new MutationObserver(() => {
        if (document.documentElement?.dataset.ready === "true") window.readyAt ??= performance.now();
      }).observe(document, { attributes: true, attributeFilter: ["data-ready"], subtree: true });
    });
    const page = await context.newPage();
    const network = await context.newCDPSession(page);
    await network.send("Network.enable");
    let bytes = 0;
    network.on("Network.loadingFinished", (event) => {
      bytes += event.encodedDataLength;
    });
    await page.goto(where);
    await ready(page);
    await page.waitForTimeout(200); // What the scripts ask for once they run counts, too.
    const milliseconds = await page.evaluate(() => {
      // Modules are done when the document's content is said to be loaded.
      const [{ domContentLoadedEventEnd }] = performance.getEntriesByType("navigation");
      return Math.max(domContentLoadedEventEnd, window.readyAt ?? 0);
    });
    return { bytes, milliseconds };
  } finally {
    await context.close();
  }
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** The JSON that the API answers, asked for beside the browser. */
export async function api(where, at = address) {
  const answer = await fetch(new URL(where, at));
  assert.equal(answer.status, 200, where);
  return answer.json();
}

/** Runs a line as a person would who copied it into a terminal, and returns what it printed. */
export async function shell(line, cwd) {
  const { stdout } = await promisify(execFile)("bash", ["-euc", line], { cwd, timeout: 20_000, maxBuffer: 1 << 26 });
  return stdout;
}

/** Fails where a number that a page shows, with three digits, is not that of the API. */
export function shows(shown, value, what) {
  const number = Number(/-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?/.exec(shown.replaceAll("−", "-"))?.[0].replaceAll(",", ""));
  const near = Math.abs(number - value) <= Math.max(0.006 * Math.abs(value), 1e-6);
  assert.ok(near, `${what}: '${shown.trim()}' shows ${value}`);
}

/** The texts of a table's body, row by row. */
export async function rowsOf(table) {
  const rows = await table.locator("tbody").getByRole("row").all();
  const cells = (row) => row.getByRole("cell").or(row.getByRole("rowheader")).allInnerTexts();
  return Promise.all(rows.map(async (row) => (await cells(row)).map((one) => one.replace(/\s+/g, " ").trim())));
}

/** Saves what a click downloads and returns it with the name that the page gave it. */
export async function download(page, click) {
  const [one] = await Promise.all([page.waitForEvent("download"), click()]);
  return { name: one.suggestedFilename(), bytes: await readFile(await one.path()) };
}

/** Presses a key until what has the focus is said as `wanted`. */
export async function press(page, key, wanted, most = 80) {
  const heard = [];
  for (let i = 0; i < most; i += 1) {
    await page.keyboard.press(key);
    heard.push(await focused(page));
    if (wanted.test(heard.at(-1))) return heard.at(-1);
  }
  return assert.fail(`${key} ${most} times does not lead to ${wanted}, but through ${[...new Set(heard)].join(", ")}`);
}

/** The name and role of what has the keyboard's focus, as a screen reader would say it. */
export async function focused(page) {
  const element = page.locator(":focus");
  if ((await element.count()) === 0) return "nothing";
  return (await element.ariaSnapshot()).split("\n")[0].replace(/^- |:$/g, "");
}
