// A profile's plot: numbers by hover and by keyboard, another view without loading the page, and the picture as PNG.

const PNG_SCALE = 2;

/** One stop of the tabulator for all bars; arrow keys go from one to the next. */
function explore(plot) {
  const bars = [...plot.querySelectorAll(".tc-bar")];
  if (bars.length === 0) return;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  plot.append(tip);
  for (const bar of bars) {
    bar.querySelector("title")?.remove();
    bar.setAttribute("tabindex", "-1");
  }
  bars[0].setAttribute("tabindex", "0");

  const show = (bar) => {
    tip.textContent = bar.getAttribute("aria-label");
    tip.hidden = false;
    const [frame, row] = [plot.getBoundingClientRect(), bar.getBoundingClientRect()];
    const left = Math.min(
      row.left - frame.left + plot.scrollLeft + row.width / 2,
      plot.scrollLeft + plot.clientWidth - tip.offsetWidth - 8,
    );
    const below = row.bottom - frame.top + 4;
    tip.style.left = `${Math.max(left, plot.scrollLeft + 8)}px`;
    const above = row.top - frame.top - tip.offsetHeight - 4;
    tip.style.top = `${below + tip.offsetHeight > plot.clientHeight ? above : below}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };
  const move = (from, to) => {
    const bar = bars[Math.min(Math.max(to, 0), bars.length - 1)];
    from.setAttribute("tabindex", "-1");
    bar.setAttribute("tabindex", "0");
    bar.focus();
  };
  for (const [at, bar] of bars.entries()) {
    bar.addEventListener("mouseenter", () => show(bar));
    bar.addEventListener("mouseleave", hide);
    bar.addEventListener("focus", () => show(bar));
    bar.addEventListener("blur", hide);
    bar.addEventListener("keydown", (event) => {
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: bars.length - 1 }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      move(bar, to);
    });
  }
}

/** Adds the picture as PNG to the downloads; drawn from the plot as it stands alone, on white. */
function offerPng(section) {
  const downloads = section.querySelector("[data-downloads]");
  // The first plot is the wide one, which says the gene itself.
  const plot = section.querySelector("[data-plot]");
  const svg = plot.querySelector("svg");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "PNG picture";
  button.addEventListener("click", async () => {
    const { width, height } = svg.viewBox.baseVal;
    const source = URL.createObjectURL(
      new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }),
    );
    try {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [width * PNG_SCALE, height * PNG_SCALE];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      const blob = await new Promise((done) => {
        canvas.toBlob(done, "image/png");
      });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${plot.dataset.plot}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } finally {
      URL.revokeObjectURL(source);
    }
  });
  if (downloads.tagName === "UL") {
    const item = document.createElement("li");
    item.append(button);
    downloads.append(item);
  } else {
    downloads.append(button);
  }
}

/** The view that is being fetched; a later choice takes its place. */
let looking = null;

async function fetched(form, fields, signal) {
  const answer =
    form.method === "post"
      ? await fetch(form.action, { method: "POST", body: fields, signal })
      : await fetch(`${form.action}?${fields}`, { signal });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Puts the section of another view in the place of this one. */
async function look(choice) {
  looking?.abort();
  const { signal } = (looking = new AbortController());
  const form = choice.form;
  const fields = new URLSearchParams(new FormData(form));
  const page = await fetched(form, fields, signal).catch(() => null);
  if (signal.aborted) return;
  const next = page?.getElementById("profile");
  // A problem is a page of its own, and so is what the browser says of a service that it does not reach.
  if (!next) return form.requestSubmit();
  if (form.method !== "post") history.replaceState(null, "", `${form.action}?${fields}`);
  const section = document.getElementById("profile");
  const focus = section.contains(document.activeElement) ? document.activeElement.id || choice.id : null;
  section.replaceWith(next);
  wire();
  if (focus) document.getElementById(focus)?.focus();
}

function wire() {
  const section = document.getElementById("profile");
  if (!section) return;
  for (const plot of section.querySelectorAll("[data-plot]")) explore(plot);
  offerPng(section);
  for (const button of section.querySelectorAll("[data-apply]")) button.hidden = true;
  for (const choice of section.querySelectorAll("[data-view]")) choice.addEventListener("change", () => look(choice));
}

wire();
