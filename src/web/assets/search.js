// Suggestions while a gene is typed: a list box under every search, as the ARIA pattern for a combobox has it.
// The page works without: the form leads to what was typed.

const MOST = 8;
let lists = 0;

/** Whether a text with a colon is a region from its first digit to its last; until then there is nothing to ask. */
function isWholeRegion(text) {
  const ends = /^[^:]+:([\d,_ ]+)[-–]([\d,_ ]+)$/.exec(text)?.slice(1);
  const [first, last] = ends?.map((end) => Number(end.replaceAll(/\D/g, ""))) ?? [];
  return first >= 1 && first <= last && last < 2 ** 32;
}

function attach(form) {
  const input = form.elements.query;
  const list = document.createElement("ul");
  list.id = `suggestions-${(lists += 1)}`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Genes");
  list.hidden = true;
  input.after(list);
  const set = (name, value) => input.setAttribute(name, value);
  set("role", "combobox");
  set("aria-autocomplete", "list");
  set("aria-controls", list.id);
  set("aria-expanded", "false");
  let chosen = -1;
  let asked = null;
  let waiting = 0;

  const close = () => {
    clearTimeout(waiting);
    asked?.abort();
    list.hidden = true;
    chosen = -1;
    set("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (at) => {
    const options = list.children;
    chosen = (at + options.length) % options.length;
    for (const [place, option] of [...options].entries()) {
      option.setAttribute("aria-selected", String(place === chosen));
    }
    options[chosen].scrollIntoView({ block: "nearest" });
    set("aria-activedescendant", options[chosen].id);
  };
  const go = (option) => {
    input.value = option.dataset.gene;
    close();
    form.requestSubmit();
  };
  const show = (genes) => {
    if (document.activeElement !== input) return;
    list.replaceChildren(
      ...genes.map((gene, place) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${place}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.gene = gene.gene_id;
        const about = document.createElement("span");
        about.textContent = [gene.gene_id, gene.chromosome, gene.biotype].filter(Boolean).join(" · ");
        option.append(gene.symbol, about);
        return option;
      }),
    );
    list.hidden = genes.length === 0;
    chosen = -1;
    set("aria-expanded", String(!list.hidden));
    input.removeAttribute("aria-activedescendant");
  };
  const suggest = async () => {
    asked?.abort();
    const text = input.value.trim();
    if (text.length < 2 || (text.includes(":") && !isWholeRegion(text))) return close();
    asked = new AbortController();
    const query = new URLSearchParams({ query: text, items_per_page: MOST });
    if (form.elements.dataset) query.set("dataset", form.elements.dataset.value);
    try {
      const answer = await fetch(`/v1/genes?${query}`, { signal: asked.signal });
      // What is not found yet is said when the search is sent.
      if (answer.ok) show((await answer.json()).data);
      else close();
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 80);
  });
  input.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    // Also before it opens: what is on its way would open it.
    if (event.key === "Escape") close();
    else if (!isOpen) return;
    else if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen < 0 ? -1 : chosen - 1);
    else if (event.key === "Enter" && chosen >= 0) go(list.children[chosen]);
    else return;
    if (isOpen) event.preventDefault();
  });
  // Before the input loses the focus, so that the list is still there.
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[role=option]");
    event.preventDefault();
    if (option) go(option);
  });
  input.addEventListener("blur", close);
  form.addEventListener("submit", close);
}

for (const form of document.querySelectorAll("form[role=search]")) attach(form);
document.documentElement.dataset.ready = "true";
