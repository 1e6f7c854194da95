// Files before they are sent: their kind, their people, and the bytes that tell.

const NAMES = {
  vcf: "vcf",
  bcf: "vcf",
  bed: "bed",
  bim: "bim",
  fam: "fam",
  pgen: "pgen",
  pvar: "pvar",
  psam: "psam",
  bgen: "bgen",
  sample: "sample",
  dosage: "dosage",
  samples: "samples",
  json: "json",
};

/** Decompressed bytes of a VCF that are looked through for its line of people. */
const HEADER_BYTES = 64 << 20;

/** The kind of a file by its name, as the service reads names. */
export function kindOf(name) {
  const bare = name
    .toLowerCase()
    .replace(/\.(gz|bgz|zst)$/, "")
    .replace(/\.txt$/, "");
  return NAMES[bare.split(".").pop()];
}

export const head = async (file, length) => new Uint8Array(await file.slice(0, length).arrayBuffer());

export const isGzip = (start) => start[0] === 0x1f && start[1] === 0x8b;

export const startsWith = (bytes, text) => [...text].every((letter, at) => bytes[at] === letter.charCodeAt(0));

/** The length of the bgzip block that these bytes begin; 0 where they begin none. */
function blockLength(b) {
  if (!isGzip(b) || !(b[3] & 4)) return 0;
  const end = 12 + b[10] + 256 * b[11];
  for (let at = 12; at + 6 <= end; at += 4 + b[at + 2] + 256 * b[at + 3]) {
    if (b[at] === 66 && b[at + 1] === 67) return b[at + 4] + 256 * b[at + 5] + 1;
  }
  return 0;
}

async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

const inflated = (blob) => pieces(blob.stream().pipeThrough(new DecompressionStream("gzip")));

/** A file's bytes, decompressed where it is gzip; bgzip is many gzip members, which browsers do not read on from. */
async function* content(file) {
  const start = await head(file, 18);
  if (!isGzip(start)) {
    yield* pieces(file.stream());
    return;
  }
  let length = blockLength(start);
  if (length === 0) {
    yield* inflated(file);
    return;
  }
  for (let at = 0; length > 0 && at < file.size;) {
    const next = file.slice(at, at + length);
    yield* inflated(next);
    at += length;
    length = blockLength(await head(file.slice(at), 18));
  }
}

/** The people that a VCF or BCF names, or undefined where they cannot be told. */
export async function peopleOfVcf(file) {
  const decoder = new TextDecoder("latin1");
  let [text, seen, columns] = ["", 0, null];
  try {
    for await (const piece of content(file)) {
      seen += piece.length;
      text += decoder.decode(piece, { stream: true });
      const from = text.startsWith("#CHROM\t") ? 0 : text.indexOf("\n#CHROM\t") + 1;
      if (columns === null && (from > 0 || text.startsWith("#CHROM\t"))) [columns, text] = [0, text.slice(from)];
      if (columns !== null) {
        const end = text.search(/[\r\n\0]/);
        columns += (end < 0 ? text : text.slice(0, end)).split("\t").length - 1;
        if (end >= 0) return Math.max(0, columns + 1 - 9);
        text = "";
      } else if (seen > HEADER_BYTES) {
        return undefined;
      } else {
        text = text.slice(text.lastIndexOf("\n"));
      }
    }
  } catch {
    // What cannot be decompressed here is for the service to explain.
  }
  return undefined;
}

/** How many lines a text file has that are neither empty nor comments. */
export async function linesOf(file) {
  let [lines, fresh] = [0, true];
  if (startsWith(await head(file, 4), "\x28\xb5\x2f\xfd")) return undefined; // zstd, which browsers do not read.
  try {
    for await (const piece of content(file)) {
      for (const byte of piece) {
        if (byte === 10 || byte === 13) fresh = true;
        else if (fresh) {
          fresh = false;
          if (byte !== 35) lines++;
        }
      }
    }
  } catch {
    return undefined;
  }
  return lines;
}

/** Two little-endian numbers of 32 bits. */
export function pairAt(bytes, at) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.byteLength >= at + 8 ? [view.getUint32(at, true), view.getUint32(at + 4, true)] : [];
}
