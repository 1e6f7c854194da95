// The page's end of the thread that holds an answer.

/** Starts a thread; `ask` gives a promise of what it finds, `end` lets go of everything it holds. */
export function thread() {
  const worker = new Worker("/assets/predict-worker.js", { type: "module" });
  const waiting = new Map();
  let last = 0;
  const failAll = (message) => {
    waiting.forEach(({ reject }) => reject(new Error(message)));
    waiting.clear();
  };
  worker.onmessage = ({ data: { id, progress, result, error } }) => {
    const { resolve, reject, onProgress } = waiting.get(id) ?? {};
    if (!resolve) return;
    if (progress !== undefined) return onProgress?.(progress);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  };
  worker.onerror = () => failAll("The answer could not be read: the browser may be short of memory.");
  return {
    ask: (command, rest = {}, onProgress = null) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject, onProgress });
        worker.postMessage({ id: last, command, ...rest });
      }),
    stop: () => worker.postMessage({ command: "stop" }),
    end: () => {
      worker.terminate();
      failAll("cancelled");
    },
  };
}

/** What a gene is called: its symbol where it has one, and its model where there are several. */
export const geneName = (gene, severalModels) =>
  `${gene.symbol ?? gene.gene_id}${severalModels ? ` (${gene.model})` : ""}`;

/** Why values are unknown, in words. */
export const REASONS = {
  no_variant_in_model: "the model counts no variant for this gene",
  no_variant_in_input: "the file has none of the gene’s variants",
  no_variant_usable: "none of the gene’s variants in the file could be used",
  below_min_overlap: "too few of the gene’s variants were found (the policy “least share”)",
  missing_genotypes: "a genotype is missing, and the model has no allele frequency to put in its place",
};
