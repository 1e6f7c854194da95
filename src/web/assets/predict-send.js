// A request with its progress: sending, waiting, receiving; cancelled by a button.

import { bytes, el, fill } from "./predict-dom.js";

/** A transfer that came to no answer: broken off, cancelled, or given up with what had asked for it. */
class Broken extends Error {
  constructor(message, how = {}) {
    super(message);
    Object.assign(this, how);
  }
}

/** What is on its way: there is one at a time. */
let current = null;

/** Gives up what is on its way, and where it was shown; with a section, only what is shown there. */
export function giveUp(section = current?.section) {
  if (!current || current.section !== section) return;
  const given = current;
  current = null;
  given.request.cancel();
  fill(given.section);
}

/** Whether something is on its way still; if so, that is said where its progress stands. */
export function isUnderWay() {
  current?.refuse();
  return current !== null;
}

function bodyOf(input) {
  if (input.body) return input.body;
  const form = new FormData();
  for (const { kind, file } of input.parts) form.append(kind, file, file.name);
  return form;
}

const SAID = { sending: "Sending.", working: "Sent; reading and predicting.", receiving: "Receiving the answer." };

/** Posts genotypes; tells each step of the way, and gives the answer as it came. */
function post(url, input, on) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    let [stage, length] = ["sending", 0];
    request.open("POST", url);
    request.responseType = "blob";
    if (input.type) request.setRequestHeader("content-type", input.type);
    request.upload.onprogress = ({ loaded, total }) => on("sending", loaded, (length = total));
    request.upload.onload = () => on((stage = "working"));
    request.onprogress = ({ loaded }) => on((stage = "receiving"), loaded);
    request.onload = () => resolve(request);
    request.onabort = () => reject(new Broken("Nothing was kept.", { cancelled: true }));
    request.onerror = () => {
      const where = {
        sending:
          `while ${length ? `the ${bytes(length)} were` : "the file was"} being sent. The service may have ` +
          "refused it, or the file has changed since it was chosen: choose it again.",
        working: "before an answer came. Send it again.",
        receiving: "in the middle of the answer. What had come is not shown, since it is not whole: send it again.",
      }[stage];
      reject(new Broken(`The connection broke off ${where}`));
    };
    request.send(bodyOf(input));
  });
  return { done, cancel: () => request.abort() };
}

/** Runs a request while a section shows how far it is. */
export async function follow(section, url, input, title) {
  const opener = document.activeElement;
  const bar = el("progress", { max: 1, "aria-label": title });
  const text = el("p", { class: "progress-text" });
  const said = el("p", { role: "status", class: "visually-hidden" });
  const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
  fill(section, el("p", { class: "label" }, title), bar, text, said, el("div", { class: "buttons" }, cancel));
  let [stage, began, moved] = ["", performance.now(), ""];
  const elapsed = () => `${Math.floor((performance.now() - began) / 1000)} s`;
  const show = () => {
    if (stage === "working") text.textContent = `reading and predicting… ${elapsed()}`;
    else text.textContent = moved;
  };
  const clock = setInterval(show, 500);
  const request = post(url, input, (next, loaded = 0, total = 0) => {
    if (next !== stage) {
      [stage, began] = [next, performance.now()];
      said.textContent = SAID[next];
      bar.removeAttribute("value");
    }
    if (next === "sending" && total) {
      bar.value = loaded / total;
      moved = `${Math.floor((100 * loaded) / total)} % of ${bytes(total)} sent`;
    }
    if (next === "receiving") moved = `${bytes(loaded)} of the answer received`;
    show();
  });
  const refuse = () => {
    said.className = "hint";
    said.textContent = "This is still on its way: wait for it, or cancel it, before you send the file again.";
    section.scrollIntoView({ block: "nearest" });
  };
  const own = (current = { request, section, refuse });
  cancel.addEventListener("click", request.cancel);
  try {
    return await request.done;
  } catch (error) {
    if (current !== own) error.superseded = true;
    throw error;
  } finally {
    clearInterval(clock);
    if (current === own) {
      current = null;
      const hadFocus = section.contains(document.activeElement);
      fill(section);
      if (hadFocus) opener.focus();
    }
  }
}
