// The forms that try an operation: a GET with the fields' values, its answer below, and the line that does the same.

const SHOWN = 20 * 1024;
const HEADERS = [
  "content-type",
  "content-length",
  "etag",
  "server-timing",
  "x-request-id",
  "x-tissuecast-model-digest",
  "retry-after",
  "ratelimit-limit",
  "ratelimit-remaining",
];

const key = document.getElementById("key");

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** What the form asks for: the address with path and query, and the media type that it wants. */
function asked(form) {
  // Not `form.dataset`: a field of that name stands in its way.
  let path = form.getAttribute("data-path");
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[name]")) {
    const value = field.value.trim();
    if (field.dataset.in === "path") {
      path = path.replace(`{${field.name}}`, encodeURIComponent(value || field.name.toUpperCase()));
    } else if (value) {
      query.append(field.name, value);
    }
  }
  const text = query.toString();
  const select = form.querySelector("[data-accept]");
  const format = query.has("format");
  return {
    address: location.origin + path + (text ? `?${text}` : ""),
    accept: select && !format ? select.value : "",
  };
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The line names the key's variable, never the key. */
function curl({ address, accept }) {
  const parts = ["curl"];
  if (key.value) parts.push('-H "Authorization: Bearer $KEY"');
  if (accept) parts.push("-H", quoted(`Accept: ${accept}`));
  return [...parts, quoted(address)].join(" ");
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KiB`;
}

function isText(type) {
  return /^text\/|json|yaml|xml/.test(type);
}

function save(blob, type, address) {
  const name = new URL(address).pathname.split("/").pop() || "answer";
  return element("a", { href: URL.createObjectURL(blob), download: name }, `Save ${size(blob.size)} of ${type}`);
}

/** The body as the page can show it. */
async function body(blob, type, address) {
  const link = save(blob, type, address);
  const parts = [element("p", {}, link)];
  if (type === "image/svg+xml") {
    const image = element("img", { src: link.href, alt: `The answer, ${size(blob.size)} of ${type}` });
    parts.push(element("div", { className: "card plot" }, image));
  } else if (isText(type)) {
    let text = await blob.slice(0, SHOWN).text();
    if (blob.size > SHOWN) {
      parts.push(element("p", { className: "hint" }, `The first ${size(SHOWN)}:`));
    } else if (type.endsWith("json")) {
      text = JSON.stringify(JSON.parse(text), null, 2);
    }
    const shown = element("pre", { tabIndex: 0 }, element("code", {}, text));
    shown.setAttribute("role", "region");
    shown.setAttribute("aria-label", "Body of the answer");
    parts.push(shown);
  }
  return parts;
}

function headers(response) {
  const shown = element("dl", { className: "facts" });
  for (const name of HEADERS) {
    const value = response.headers.get(name);
    if (value) shown.append(element("dt", {}, name), element("dd", {}, value));
  }
  return shown;
}

const running = new WeakMap();

async function attempt(form) {
  running.get(form)?.abort();
  const stop = new AbortController();
  running.set(form, stop);
  const place = form.querySelector(".answer");
  const said = place.querySelector("[role=status]");
  for (const link of place.querySelectorAll("a[download]")) URL.revokeObjectURL(link.href);
  place.replaceChildren(said);
  place.hidden = false;
  said.textContent = "Asking…";
  const { address, accept } = asked(form);
  const sent = new Headers();
  if (accept) sent.set("accept", accept);
  if (key.value) sent.set("authorization", `Bearer ${key.value}`);
  const began = performance.now();
  try {
    const response = await fetch(address, { headers: sent, signal: stop.signal, cache: "no-store" });
    const blob = await response.blob();
    const took = Math.round(performance.now() - began);
    const type = (response.headers.get("content-type") ?? "no type").split(";")[0];
    const parts = await body(blob, type, address);
    if (stop.signal.aborted) return;
    said.textContent = `${response.status} ${response.statusText} · ${took} ms · ${size(blob.size)} of ${type}`;
    place.append(headers(response), ...parts);
  } catch (error) {
    if (!stop.signal.aborted) said.textContent = `No answer: ${error.message}. Is the service still there?`;
  }
}

function renew(form) {
  form.querySelector("pre.curl code").textContent = curl(asked(form));
}

const forms = [...document.querySelectorAll("details.try form")];
for (const form of forms) {
  form.querySelector(".answer").append(element("p", { role: "status", className: "label" }));
  form.querySelector("button").disabled = false;
  for (const part of form.querySelectorAll(".scripted")) part.hidden = false;
  form.addEventListener("input", () => renew(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form);
  });
  renew(form);
}

// Lines that were written for any service name this one.
for (const code of document.querySelectorAll("pre.curl code")) {
  code.textContent = code.textContent.replaceAll("http://127.0.0.1:8080", location.origin);
}
document.getElementById("key-field").hidden = false;
key.addEventListener("input", () => forms.forEach(renew));

document.documentElement.dataset.ready = "true";
