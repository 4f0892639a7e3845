// Every picture, narrowed by filters and words, in an order and a size of one's choice.
const SIZES = [["128", "small"], ["", "medium"], ["256", "large"], ["384", "very large"]];
const GROUPS = [["", "Method"], ["asked", "Prompt"], ["none", "Nothing"]];

function found() {
  const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = FACETS.filter(([name]) => state[name]);
  return pictures.filter((picture) => {
    const prompt = promptOf(picture).toLowerCase();
    return wanted.every(([name]) => facet(picture, name) === state[name]) && words.every((word) => prompt.includes(word));
  });
}

function sorted(some) {
  const [by, direction] = (state.sort ?? "").split(":");
  const sign = direction === "down" ? -1 : 1;
  const keys = {
    seed: (picture) => Number(picture.record.seed ?? Infinity),
    time: (picture) => (hasTimes ? Date.parse(picture.record.drawn_at) || 0 : order.get(picture)),
  };
  const key = keys[by] ?? (SCORES.includes(by) ? (picture) => picture.scores.numbers?.[by] : null);
  if (!key) return some;
  const known = some.filter((picture) => key(picture) !== undefined);
  const unknown = some.filter((picture) => key(picture) === undefined);
  known.sort((a, b) => sign * (key(a) - key(b)) || order.get(a) - order.get(b));
  return [...known, ...unknown];
}

function sortOptions() {
  return [
    ["", "as in the runs"],
    ...SCORES.flatMap((label) => [[`${label}:down`, `${label}, highest first`], [`${label}:up`, `${label}, lowest first`]]),
    ["seed:up", "seed"],
    ["time:down", "drawn last first"],
    ["time:up", "drawn first first"],
  ];
}

function renderBrowse(view) {
  if (!view.firstChild) view.append(browseFrame());
  const search = byName("search");
  if (document.activeElement !== search) search.value = state.q ?? "";
  document.documentElement.dataset.size = SIZES.some(([size]) => size === state.size) ? state.size : "";
  byName("filters").replaceChildren(...filterControls());
  const some = sorted(found());
  byName("count").textContent = some.length === 1 ? "1 picture" : `${some.length} of ${pictures.length} pictures`;
  const place = byName("found");
  if (!some.length) {
    place.replaceChildren(
      h("p", { class: "nothing" }, "No picture fits. Take a filter off, or search for fewer words."),
    );
    return;
  }
  const group = state.group || (state.sort ? "none" : "method");
  if (group === "none") {
    place.replaceChildren(wall(some, ""));
    return;
  }
  const groups = new Map(group === "method" ? METHODS.map((method) => [method, []]) : []);
  for (const picture of some) {
    const name = facet(picture, group);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(picture);
  }
  place.replaceChildren(...groupSections(groups, group));
}

// Sections are filled as one comes near them: three thousand cards at once would hold the page up.
function groupSections(groups, group) {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        observer.unobserve(entry.target);
        entry.target.replaceChildren(wall(entry.target.pictures, group));
        entry.target.style.minHeight = "";
      }
    },
    { rootMargin: "900px" },
  );
  return [...groups].filter(([, some]) => some.length).map(([name, some], i) => {
    const place = h("div", {});
    place.pictures = some;
    if (i === 0) place.append(wall(some, group));
    else {
      place.style.minHeight = "260px";
      observer.observe(place);
    }
    return h(
      "section",
      { class: "group" },
      h("h2", {}, shortened(name, 160) || "Without a prompt", " ", h("span", { class: "quiet" }, some.length)),
      place,
    );
  });
}

function browseFrame() {
  const search = h("input", {
    id: "search",
    type: "search",
    placeholder: "such as jumping beach",
    autocomplete: "off",
    oninput: (event) => go({ q: event.target.value }, true),
  });
  const filters = h(
    "details",
    { id: "filter-box", open: matchMedia("(min-width: 700px)").matches },
    h("summary", {}, "Filters and order"),
    h("div", { id: "filters", class: "controls" }),
  );
  return h(
    "div",
    {},
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Browse"),
      h("div", { class: "control search" }, h("label", { for: "search" }, "Search in prompts"), search),
    ),
    filters,
    h("p", { class: "count", id: "count", role: "status" }),
    h("div", { id: "found" }),
  );
}

function filterControls() {
  const controls = [];
  for (const [name, label] of FACETS) {
    const values = valuesOf(name);
    if (values.length < 2 && !state[name]) continue;
    const options = values.map(([value, count]) => [value, `${shortened(value, 60)} (${count})`]);
    controls.push(select(label, state[name] ?? "", [["", "all"], ...options], (value) => go({ [name]: value })));
  }
  controls.push(
    select("Order", state.sort ?? "", sortOptions(), (value) => go({ sort: value })),
    select("Together by", state.group ?? "", GROUPS, (value) => go({ group: value })),
    select("Size", state.size ?? "", SIZES, (value) => go({ size: value })),
  );
  const used = ["q", "sort", "group", ...FACETS.map(([name]) => name)].filter((name) => state[name]);
  if (used.length) {
    const none = Object.fromEntries(used.map((name) => [name, ""]));
    controls.push(h("button", { type: "button", onclick: () => go(none) }, "Show everything again"));
  }
  return controls;
}
