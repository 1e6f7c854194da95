// Elements, numbers in words, and theme colours: what every part of the page /predict builds with.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes an HTML element; text is never read as markup. */
export const el = (name, attributes = {}, ...children) => build(document.createElement(name), attributes, children);

/** Makes an SVG element. */
export const svg = (name, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, name), attributes, children);

/** A sentence with a capital letter; a file's name stays as it is. */
export const sentence = (text) => text.replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1));

export const byId = (id) => document.getElementById(id);

/** 1234567 as "1,234,567". */
export const count = (n) => n.toLocaleString("en");

/** "1 person", "280 people". */
export const several = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** How many decimals tell numbers a step apart. */
const decimalsOf = (step) => -Math.floor(Math.log10(step) + 1e-9);

/** A measured number with as many digits as say something: three, or those that tell it from one a step away. */
export function number(value, step = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const digits = step > 0 ? Math.min(15, Math.max(3, 1 + decimalsOf(step) - decimalsOf(size))) : 3;
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

/** A number of an axis: all have the decimals of its step; `most` is the largest beside it. */
export function stepped(value, step, most) {
  if (value === 0) return "0";
  const isPlain = most < 1e5 && most >= 1e-3;
  const text = isPlain
    ? value.toFixed(Math.max(0, decimalsOf(step)))
    : value.toExponential(Math.max(0, decimalsOf(step) - decimalsOf(Math.abs(value))));
  return text.replaceAll("-", "−");
}

/** A share as a percentage that never rounds something to nothing, nor almost all to all. */
export function percent(part, whole) {
  if (part === 0 || whole === 0) return "0 %";
  const share = (100 * part) / whole;
  if (share < 0.1) return "< 0.1 %";
  if (part < whole && share > 99.9) return "> 99.9 %";
  return `${share < 1 || (share > 99 && share < 100) ? share.toFixed(1) : Math.round(share)} %`;
}

/** Names parted by commas, the first of many. */
export const listed = (names, most = 40) =>
  names.slice(0, most).join(", ") + (names.length > most ? ` and ${count(names.length - most)} more` : "");

export function bytes(n) {
  if (n < 1000) return several(n, "byte");
  const [unit, name] = n < 1e6 ? [1e3, "kB"] : n < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(n / unit).toFixed(n / unit < 10 ? 1 : 0)} ${name}`;
}

/** A colour of the theme in force. */
export const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Empties and shows a section, or hides it where there is nothing to show. */
export function fill(section, ...children) {
  const shown = children.flat().filter(Boolean);
  section.replaceChildren(...shown);
  section.hidden = shown.length === 0;
}

/** Brings a heading into view and the keyboard to it. */
export function focusOn(heading) {
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  heading.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

/** The round step of an axis from low to high. */
export function tickStep(low, high, about) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((one) => one * power >= raw);
}

/** The places on an axis from low to high. */
export function ticks(low, high, step) {
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(at * step || 0);
  return found;
}
