// The map's colours: told apart with every kind of colour vision, and the same in dark and light.

const DIVERGING = ["#123f7a", "#3f7fc1", "#a6c9e8", "#f6f6f4", "#f2c48d", "#cf7a25", "#6e3306"];
const SEQUENTIAL = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"];

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** A colour for each code of the pyramid; code 0 is unknown, which is hatched instead. */
export function colours(scale) {
  const stops = (scale === "z" ? DIVERGING : SEQUENTIAL).map(parts);
  const table = new Uint32Array(256);
  for (let code = 1; code < 256; code++) {
    const at = ((code - 1) / 254) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const next = stops[low + 1];
    table[code] = packed(stops[low].map((part, k) => Math.round(part + (at - low) * (next[k] - part))));
  }
  return table;
}

/** The two greys of the hatch that stands for unknown. */
export const hatch = (isDarkNow) =>
  (isDarkNow ? ["#5d646b", "#7d858d"] : ["#d5d9dc", "#a9afb5"]).map((hex) => packed(parts(hex)));

export const isHatched = (x, y) => ((x + y) & 7) < 2;

const dark = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => dark.matches;

/** Has something drawn again in the other theme, until the signal. */
export const onTheme = (redraw, signal) => dark.addEventListener("change", redraw, { signal });

/** Draws the key of the colours into a context: a strip from low to high. */
export function drawKey(context, x, y, width, height, scale) {
  const table = colours(scale);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[1 + Math.round(((i % width) / (width - 1)) * 254)];
  context.putImageData(image, x, y);
}

/** Draws a swatch of what is unknown. */
export function drawUnknown(context, x, y, width, height) {
  const [plain, line] = hatch(isDark());
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = isHatched(i % width, Math.floor(i / width)) ? line : plain;
  context.putImageData(image, x, y);
}
