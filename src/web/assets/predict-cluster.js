// Rows and columns put beside what is like them: average linkage on a few dimensions of the z-scores.
//
// The dimensions are those of a randomised singular value decomposition with one power step. An unknown value counts
// as its gene's mean. Everything is deterministic.

const DIMENSIONS = 24;
/** Rows that are linked pairwise; more are gathered into groups first. */
const LINKED = 3000;
const GROUPS = 400;
const ROUNDS = 5;

/** Random signs that are the same every time (xorshift). */
function signs(length) {
  let state = 0x9e3779b9;
  return Float32Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 1 ? 1 : -1;
  });
}

/** Makes the d rows of n orthonormal; those that are nothing new become zero. */
function orthonormal(matrix, n, d) {
  const rows = Array.from({ length: d }, (_, k) => matrix.subarray(k * n, k * n + n));
  const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
  rows.forEach((row, k) => {
    const before = dot(row, row);
    for (const other of rows.slice(0, k)) {
      const along = dot(row, other);
      for (let i = 0; i < n; i++) row[i] -= along * other[i];
    }
    const norm = dot(row, row);
    const scale = norm > 1e-8 * before ? 1 / Math.sqrt(norm) : 0;
    for (let i = 0; i < n; i++) row[i] *= scale;
  });
  return matrix;
}

/** d rows of n as n points of d coordinates. */
function asPoints(matrix, n, d) {
  const found = new Float32Array(n * d);
  for (let k = 0; k < d; k++) for (let i = 0; i < n; i++) found[i * d + k] = matrix[k * n + i];
  return found;
}

/** The products of z with the rows k to k + 3 of the d: four sums that do not wait for one another. */
function dots(z, rows, k, d) {
  const n = z.length;
  const [a, b, c, e] = [0, 1, 2, 3].map((more) => Math.min(k + more, d - 1) * n);
  let [s, t, u, v] = [0, 0, 0, 0];
  for (let p = 0; p < n; p++) {
    const value = z[p];
    s += value * rows[a + p];
    t += value * rows[b + p];
    u += value * rows[c + p];
    v += value * rows[e + p];
  }
  return [s, t, u, v].slice(0, d - k);
}

function addTimes(sums, from, z, weight) {
  for (let p = 0; p < z.length; p++) sums[from + p] += z[p] * weight;
}

/** Coordinates of genes and people in which those that are alike are near. */
async function coordinates({ values, genes, people }, breathe) {
  const n = genes.length;
  const d = Math.min(DIMENSIONS, n, people);
  const z = new Float32Array(people);
  const scores = (gene) => {
    const { mean, sd } = genes[gene];
    const row = values[gene];
    const per = sd > 0 ? 1 / sd : 0;
    for (let p = 0; p < people; p++) z[p] = Number.isNaN(row[p]) ? 0 : (row[p] - mean) * per;
    return sd > 0;
  };
  const ofGenes = async (basis, step) => {
    const found = new Float32Array(n * d);
    for (let g = 0; g < n; g++) {
      if (!scores(g)) continue;
      for (let k = 0; k < d; k += 4) {
        dots(z, basis, k, d).forEach((sum, more) => (found[(k + more) * n + g] = sum));
      }
      await breathe(`finding what varies together, ${step} of 3`);
    }
    return found;
  };
  const ofPeople = async (basis) => {
    const found = new Float32Array(people * d);
    for (let g = 0; g < n; g++) {
      if (!scores(g)) continue;
      for (let k = 0; k < d; k++) addTimes(found, k * people, z, basis[k * n + g]);
      await breathe("finding what varies together, 2 of 3");
    }
    return found;
  };
  const rough = orthonormal(await ofGenes(signs(people * d), 1), n, d);
  const byPerson = await ofPeople(rough);
  const byGene = await ofGenes(orthonormal(byPerson.slice(), people, d), 3);
  return { byPerson: asPoints(byPerson, people, d), byGene: asPoints(byGene, n, d), d };
}

const squared = (points, a, b, d) => {
  let sum = 0;
  for (let k = 0; k < d; k++) sum += (points[a * d + k] - points[b * d + k]) ** 2;
  return sum;
};

/** The order of the leaves of average linkage, by the nearest-neighbour chain. */
async function linked(points, n, d, breathe) {
  if (n < 3) return Int32Array.from({ length: n }, (_, at) => at);
  const distance = new Float32Array(n * n);
  for (let a = 0; a < n; a++) {
    for (let b = 0; b < a; b++) distance[a * n + b] = distance[b * n + a] = Math.sqrt(squared(points, a, b, d));
    await breathe("linking");
  }
  const size = new Float32Array(n).fill(1);
  const lead = Float32Array.from({ length: n }, (_, at) => points[at * d]);
  const active = Int32Array.from({ length: n }, (_, at) => at);
  const node = Array.from({ length: n }, (_, at) => at);
  const chain = [];
  for (let live = n; live > 1; live--) {
    if (chain.length === 0) chain.push(active[0]);
    for (;;) {
      const a = chain.at(-1);
      let best = chain.length > 1 ? chain.at(-2) : -1;
      let least = best < 0 ? Infinity : distance[a * n + best];
      for (let i = 0; i < live; i++) {
        const b = active[i];
        if (b !== a && distance[a * n + b] < least) [best, least] = [b, distance[a * n + b]];
      }
      if (best < 0) best = active[0] === a ? active[1] : active[0];
      if (best === chain.at(-2)) break;
      chain.push(best);
    }
    const b = chain.pop();
    const a = chain.pop();
    const both = size[a] + size[b];
    for (let i = 0; i < live; i++) {
      const c = active[i];
      const mean = (size[a] * distance[a * n + c] + size[b] * distance[b * n + c]) / both;
      distance[a * n + c] = distance[c * n + a] = mean;
    }
    // Of the two orders of a pair, the one that runs along the first dimension.
    node[a] = lead[a] <= lead[b] ? [node[a], node[b]] : [node[b], node[a]];
    lead[a] = (size[a] * lead[a] + size[b] * lead[b]) / both;
    size[a] = both;
    const gone = active.indexOf(b);
    active[gone] = active[live - 1];
    await breathe("linking");
  }
  const order = [];
  const stack = [node[active[0]]];
  while (stack.length) {
    const next = stack.pop();
    if (typeof next === "number") order.push(next);
    else stack.push(next[1], next[0]);
  }
  return Int32Array.from(order);
}

/** Gathers points into groups by k-means. */
async function grouped(points, n, d, breathe) {
  const k = Math.min(GROUPS, Math.ceil(n / 20));
  const sorted = Int32Array.from({ length: n }, (_, at) => at).sort((a, b) => points[a * d] - points[b * d]);
  const centres = new Float32Array(k * d);
  for (let c = 0; c < k; c++) {
    const from = sorted[Math.floor(((c + 0.5) * n) / k)];
    centres.set(points.subarray(from * d, from * d + d), c * d);
  }
  const group = new Int32Array(n);
  for (let round = 0; round < ROUNDS; round++) {
    const sums = new Float64Array(k * d);
    const sizes = new Int32Array(k);
    for (let i = 0; i < n; i++) {
      let [best, least] = [0, Infinity];
      for (let c = 0; c < k; c++) {
        let sum = 0;
        for (let j = 0; j < d && sum < least; j++) sum += (points[i * d + j] - centres[c * d + j]) ** 2;
        if (sum < least) [best, least] = [c, sum];
      }
      group[i] = best;
      sizes[best]++;
      for (let j = 0; j < d; j++) sums[best * d + j] += points[i * d + j];
      if (i % 16 === 0) await breathe(`grouping, round ${round + 1} of ${ROUNDS}`);
    }
    for (let at = 0; at < k * d; at++) {
      const size = sizes[Math.floor(at / d)];
      if (size) centres[at] = sums[at] / size;
    }
  }
  const members = Array.from({ length: k }, () => []);
  group.forEach((of, point) => members[of].push(point));
  return { centres, members };
}

async function ordered(points, n, d, breathe) {
  if (n <= LINKED) return linked(points, n, d, breathe);
  const { centres, members } = await grouped(points, n, d, breathe);
  const order = [];
  for (const group of await linked(centres, members.length, d, breathe)) {
    const own = members[group];
    const near = Float32Array.from(own.flatMap((point) => [...points.subarray(point * d, point * d + d)]));
    // Points that are all alike may come as one large group: their order says nothing.
    const inside = own.length <= LINKED ? await linked(near, own.length, d, breathe) : own.keys();
    for (const at of inside) order.push(own[at]);
  }
  return Int32Array.from(order);
}

/** The orders of people and genes. */
export async function clustered(answer, breathe) {
  const { byPerson, byGene, d } = await coordinates(answer, breathe);
  const people = await ordered(byPerson, answer.people, d, (text) => breathe(`people: ${text}`));
  const genes = await ordered(byGene, answer.genes.length, d, (text) => breathe(`genes: ${text}`));
  return { people, genes };
}
