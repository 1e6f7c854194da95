// Saving what is there, and the curl line that asks for the same.

import { el, svg, theme } from "./predict-dom.js";

/** Saves a blob under a name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const saveJson = (value, name) =>
  save(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }), name);

/** Saves a drawing with the colours that it has on the page. */
export function saveSvg(drawing, name) {
  const copy = drawing.cloneNode(true);
  const of = drawing.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, at) => {
    const style = getComputedStyle(of[at]);
    for (const property of ["fill", "stroke", "stroke-width", "stroke-dasharray"]) {
      const value = style.getPropertyValue(property);
      if (value && value !== "none") element.setAttribute(property, value);
    }
    element.removeAttribute("class");
  });
  const { width, height } = drawing.viewBox.baseVal;
  copy.prepend(svg("rect", { width, height, fill: theme("--paper") }));
  copy.removeAttribute("class");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("font-family", "system-ui, sans-serif");
  save(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }), name);
}

/** Quotes a text for a POSIX shell. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Quotes a file's name for curl's -F, where blanks and semicolons have a meaning. */
const inForm = (name) => (/^[\w.-]+$/.test(name) ? `@${name}` : `@"${name.replace(/["\\]/g, "\\$&")}"`);

/** The curl command that does what the form does. */
export function curlLine(url, input, output) {
  const parts = ["curl", "--fail-with-body", "-o", output];
  if (!input) parts.push("-H", "content-type: text/vcf", "--data-binary", "@cohort.vcf.gz");
  else if (input.type) {
    const name = input.parts[0]?.file.name ?? "genotypes.json";
    parts.push("-H", `content-type: ${input.type}`, "--data-binary", `@${name}`);
  } else for (const { kind, file } of input.parts) parts.push("-F", `${kind}=${inForm(file.name)}`);
  return [...parts, url].map(quoted).join(" ");
}
