// Suggestions while a gene is typed: a list box under every search, as the ARIA pattern for a combobox has it.
// The page works without: the form leads to what was typed.

const MOST = 8;
let lists = 0;

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

  const close = () => {
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
    if (text.length < 2) return close();
    asked = new AbortController();
    const query = new URLSearchParams({ query: text, items_per_page: MOST });
    if (form.elements.dataset) query.set("dataset", form.elements.dataset.value);
    try {
      const answer = await fetch(`/v1/genes?${query}`, { signal: asked.signal });
      // What is not found yet is said when the search is sent.
      if (answer.ok) show((await answer.json()).data);
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };

  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 80);
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen < 0 ? -1 : chosen - 1);
    else if (event.key === "Enter" && chosen >= 0) go(list.children[chosen]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  // Before the input loses the focus, so that the list is still there.
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[role=option]");
    event.preventDefault();
    if (option) go(option);
  });
  input.addEventListener("blur", close);
  form.addEventListener("submit", () => {
    clearTimeout(waiting);
    asked?.abort();
  });
}

for (const form of document.querySelectorAll("form[role=search]")) attach(form);
document.documentElement.dataset.ready = "true";
