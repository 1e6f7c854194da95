// The thread that holds an answer's values: reads it line by line, arranges it for the map, clusters it.
//
// Values stay here, one Float32Array a gene; the page gets what it shows. An unknown value is NaN.

import { clustered } from "./predict-cluster.js";
import { pyramid, rawRange } from "./predict-pyramid.js";

let answer = null;
let stopped = false;

/** The lines of a blob as they are read. */
async function* lines(blob, onBytes) {
  const reader = blob.stream().getReader();
  const decoder = new TextDecoder();
  let [held, read] = [[], 0];
  const line = (piece) => {
    const parts = [...held, piece];
    held = [];
    return parts.map((part, at) => decoder.decode(part, { stream: at < parts.length - 1 })).join("");
  };
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const chunk = next.value;
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield line(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from < chunk.length) held.push(chunk.subarray(from));
    onBytes((read += chunk.length) / blob.size);
  }
  if (held.length) yield line(new Uint8Array());
}

/** Reads an answer: a gene is a line, and the report is the last one. */
async function parse(blob, onGene, onBytes) {
  const found = {};
  let inGenes = false;
  try {
    for await (const line of lines(blob, onBytes)) {
      if (inGenes && line === "],") inGenes = false;
      else if (inGenes) onGene(JSON.parse(line.endsWith(",") ? line.slice(0, -1) : line));
      else if (line === '"genes":[') inGenes = true;
      else if (line.startsWith('"report":')) Object.assign(found, JSON.parse(`{${line}`));
      else if (line) Object.assign(found, JSON.parse(`${line.startsWith("{") ? "" : "{"}${line.replace(/,$/, "")}}`));
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!found.samples || !found.report) {
    throw new Error(
      "The answer ends in the middle or is damaged. It is not shown, since it is not whole: send it again.",
    );
  }
  return found;
}

function statistics(values) {
  let [known, sum, low, high] = [0, 0, Infinity, -Infinity];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    known++;
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const mean = known ? sum / known : NaN;
  let squares = 0;
  for (const value of values) if (!Number.isNaN(value)) squares += (value - mean) ** 2;
  // Everybody alike: rounding of 32 bits is no spread.
  const sd = known > 1 && high > low ? Math.sqrt(squares / (known - 1)) : known > 1 ? 0 : NaN;
  return { known, mean, sd, low, high };
}

const asFloats = (values) => Float32Array.from(values, (value) => value ?? NaN);

async function read({ blob }, progress) {
  const [values, genes] = [[], []];
  const found = await parse(
    blob,
    ({ values: list, ...gene }) => {
      const floats = asFloats(list);
      values.push(floats);
      genes.push({ ...gene, ...statistics(floats), unknown: floats.filter(Number.isNaN).length });
    },
    progress,
  );
  answer = { values, genes, people: found.samples.length, orders: null };
  return [{ ...found, genes }];
}

/** The matrix as the map draws it, in an order, on a scale. */
function arrange({ scale, order, fit }) {
  const natural = (n) => Int32Array.from({ length: n }, (_, at) => at);
  const own = { people: natural(answer.people), genes: natural(answer.genes.length) };
  // The colours may be changed while clustering is under way.
  const orders = order === "clustered" && answer.orders ? answer.orders : own;
  const range = scale === "z" ? [-3, 3] : rawRange(answer.values);
  const levels = pyramid(answer, orders, scale, range, fit);
  const people = orders.people.slice();
  const genes = orders.genes.slice();
  return [{ levels, people, genes, range }, [people.buffer, genes.buffer, ...levels.map(({ codes }) => codes.buffer)]];
}

async function cluster(_, progress) {
  stopped = false;
  let last = performance.now();
  /** Lets messages in every now and then: a cell under the cursor, or the end of it. */
  const breathe = async (text) => {
    if (performance.now() - last < 30) return;
    progress(text);
    await new Promise((resolve) => setTimeout(resolve));
    if (stopped) throw new Error("cancelled");
    last = performance.now();
  };
  answer.orders ??= await clustered(answer, breathe);
  return [null];
}

function gene({ at }) {
  const values = answer.values[at].slice();
  return [values, [values.buffer]];
}

const cell = ({ gene: at, person }) => [answer.values[at][person]];

/** The answer of one gene with what its variants have added. */
async function explain({ blob }) {
  let explained = null;
  const found = await parse(
    blob,
    (line) => (explained ??= line),
    () => {},
  );
  if (!explained) return [null];
  const { explanation, variants, reason, values } = explained;
  const contributions = explanation?.variants.map((one) => ({ variant: one.variant, values: asFloats(one.values) }));
  const result = { base: explanation?.base, method: explanation?.method, contributions, variants, reason };
  return [{ ...result, samples: found.samples, values: asFloats(values) }];
}

const commands = { read, arrange, cluster, gene, cell, explain };

onmessage = async ({ data: { id, command, ...rest } }) => {
  if (command === "stop") {
    stopped = true;
    return;
  }
  try {
    const [result, transfer = []] = await commands[command](rest, (progress) => postMessage({ id, progress }));
    postMessage({ id, result }, transfer);
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
