// A problem that the service answers, with what to do about it.

import { el, listed, sentence } from "./predict-dom.js";

const ADVICE = {
  unauthorized: "Reload the page: the browser then asks for a name (any) and the key as the password.",
  forbidden: "Ask the service’s administrator for a key with the scope named here.",
  "body-too-large": "Send fewer chromosomes or people at a time.",
  "limit-passed":
    "Send fewer people, chromosomes or genes at a time, or ask the service’s administrator for a higher limit.",
  "malformed-genotypes": "Look at the place that is named, mend the file and choose it again.",
  "unknown-model": "The models have changed since this page was loaded: reload it.",
  "unknown-gene": "Look at the spelling: symbols and Ensembl identifiers are known.",
  "quota-exceeded": "The people of a day are counted by key; the count starts anew at midnight UTC.",
  overloaded: "Nothing is wrong with the file: send it again.",
  unavailable: "Nothing is wrong with the file: send it again.",
  timeout: "Send fewer people or genes at a time, or wait for a quieter hour.",
};

/** Reads an answer that is not what was asked for; whatever sent it, there is something to say. */
export async function problemOf(response, input) {
  const text = await response.response.text();
  const header = (name) => response.getResponseHeader(name);
  let details = {};
  try {
    details = JSON.parse(text);
  } catch {
    // A proxy's page, perhaps: its status has to do.
  }
  // A file that was sent alone has no name at the service.
  const name = input.type && input.parts[0]?.file.name;
  if (name && details.detail) details.detail = details.detail.replace(/^the body(?=[,:])/, () => name);
  return {
    title: `The service answered ${response.status} ${response.statusText}`.trim(),
    detail: "The answer says nothing more; something between this page and the service may have given it.",
    ...details,
    kind: String(details.type ?? "").replace("/problems/", ""),
    status: response.status,
    id: header("x-request-id") ?? details.instance?.split(":").pop(),
    wait: header("retry-after"),
  };
}

const waiting = (seconds) =>
  seconds > 5400
    ? `${Math.round(seconds / 3600)} hours`
    : seconds > 90
      ? `${Math.round(seconds / 60)} minutes`
      : seconds === 1
        ? "a second"
        : `${seconds} seconds`;

/** The problem's heading, what it says, and what to do. */
export function problemView(problem) {
  const { title, detail, errors = [], candidates = [], not_found: missing = [], kind, status, id, wait } = problem;
  const places = errors.filter((wrong) => wrong.detail !== detail);
  return [
    el("h2", { class: "bad" }, title),
    el("p", { class: "detail" }, sentence(detail)),
    places.length > 0 &&
      el(
        "ul",
        {},
        places.map((wrong) => el("li", {}, `${wrong.pointer}: ${wrong.detail}`)),
      ),
    missing.length > 0 && el("p", {}, `Not known: ${listed(missing)}.`),
    candidates.length > 0 && el("p", {}, `There are: ${listed(candidates)}.`),
    ADVICE[kind] && el("p", {}, ADVICE[kind]),
    wait && Number(wait) > 0 && el("p", {}, `It is worth to try again in ${waiting(Number(wait))}.`),
    status >= 500 &&
      id &&
      el("p", {}, "If it happens again, tell the service’s administrator the request’s id: ", el("code", {}, id)),
  ];
}
