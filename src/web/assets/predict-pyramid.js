// The matrix as bytes in the order shown, and averages of it: what is drawn costs pixels, not cells.
//
// A code is 0 where the value is unknown, and otherwise runs from 1 (the low end of the range) to 255 (the high end).

const BLOCK = 64;

/** The range that all but the outermost hundredths of the known values lie in. */
export function rawRange(values) {
  const total = values.length * (values[0]?.length ?? 0);
  const step = Math.max(1, Math.floor(total / 100_003));
  const sample = [];
  for (let at = 0; at < total; at += step) {
    const row = values[Math.floor(at / values[0].length)];
    const value = row[at % row.length];
    if (!Number.isNaN(value)) sample.push(value);
  }
  if (sample.length === 0) return [0, 1];
  const sorted = Float32Array.from(sample).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [at(0.01), at(0.99)];
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

function base({ values, genes, people }, orders, scale, [low, high]) {
  const width = genes.length;
  const codes = new Uint8Array(width * people);
  const per = 254 / (high - low);
  // By blocks of genes: both the values and the bytes then lie close together.
  for (let from = 0; from < width; from += BLOCK) {
    const block = [...orders.genes.subarray(from, from + BLOCK)];
    const rows = block.map((gene) => values[gene]);
    const shift = block.map((gene) => (scale === "z" ? genes[gene].mean : 0));
    const factor = block.map((gene) => (scale === "z" ? 1 / (genes[gene].sd || 1) : 1));
    for (let row = 0; row < people; row++) {
      const person = orders.people[row];
      for (let at = 0; at < block.length; at++) {
        const value = (rows[at][person] - shift[at]) * factor[at];
        const code = 1.5 + (value - low) * per;
        // NaN is neither below nor above: it becomes 0 in the array of bytes.
        codes[row * width + from + at] = code < 1 ? 1 : code > 255 ? 255 : code;
      }
    }
  }
  return { codes, width, height: people, x: 1, y: 1 };
}

/** Averages the known codes of blocks of `x` × `y`; unknown where most are. */
function reduced(level, x, y) {
  const [width, height] = [Math.ceil(level.width / x), Math.ceil(level.height / y)];
  const codes = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      let [sum, known, all] = [0, 0, 0];
      for (let j = row * y; j < Math.min(level.height, row * y + y); j++) {
        for (let i = column * x; i < Math.min(level.width, column * x + x); i++) {
          const code = level.codes[j * level.width + i];
          all++;
          if (code) {
            known++;
            sum += code;
          }
        }
      }
      codes[row * width + column] = 2 * known >= all ? Math.round(sum / known) : 0;
    }
  }
  return { codes, width, height, x: level.x * x, y: level.y * y };
}

/** The whole matrix and the coarser levels that lie between it and a view where `fit` cells are one pixel. */
export function pyramid(answer, orders, scale, range, fit) {
  const levels = [base(answer, orders, scale, range)];
  const [deepX, deepY] = fit.map((cells) => Math.max(0, Math.floor(Math.log2(cells))));
  const deepest = Math.max(deepX, deepY);
  for (let left = deepest - 1; left >= 0; left--) {
    const last = levels.at(-1);
    const [x, y] = [2 ** Math.max(0, deepX - left), 2 ** Math.max(0, deepY - left)];
    levels.push(reduced(last, x / last.x, y / last.y));
  }
  return levels;
}
