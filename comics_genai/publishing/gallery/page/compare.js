// Prompts × methods: each row is one prompt, drawn by every method with the same seed.
let methodsOpen = matchMedia("(min-width: 700px)").matches; // on a phone the boxes would fill the screen

function renderCompare(view) {
  const rows = answered;
  const seeds = valuesOf("seed", rows.flatMap(([, some]) => some)).map(([seed]) => seed);
  const seed = seeds.includes(state.seed) ? state.seed : seeds[0];
  const drawn = METHODS.filter((method) => rows.some(([, some]) => some.some((picture) => picture.method === method)));
  const hidden = new Set((state.without ?? "").split("|").filter(Boolean).map(decodeURIComponent));
  const toggle = (method) => {
    if (hidden.has(method)) hidden.delete(method);
    else hidden.add(method);
    go({ without: [...hidden].map(encodeURIComponent).join("|") }, true);
    view.querySelector(`[data-method="${CSS.escape(method)}"]`)?.focus();
  };
  const boxes = drawn.map((method) =>
    h(
      "label",
      { class: "chip" },
      h("input", { type: "checkbox", checked: !hidden.has(method), "data-method": method, onchange: () => toggle(method) }),
      method,
    ),
  );
  view.replaceChildren(
    h("h1", {}, "Compare"),
    h("p", { class: "lead" }, "Each row is one prompt with one seed: the true drawing first, where it is known, then every method. Open a picture to set another beside it."),
    h(
      "div",
      { class: "controls" },
      seeds.length > 1 && select("Seed", seed, seeds.map((value) => [value, value]), (value) => go({ seed: value })),
      h(
        "details",
        { class: "methods", open: methodsOpen, ontoggle: (event) => (methodsOpen = event.target.open) },
        h("summary", {}, `Methods: ${drawn.length - drawn.filter((method) => hidden.has(method)).length} of ${drawn.length}`),
        h("fieldset", { "aria-label": "Methods" }, boxes),
      ),
    ),
  );
  for (const [prompt, some] of rows) {
    const shown = oneOfEach(some, seed).filter((picture) => !hidden.has(picture.method));
    if (!shown.length) continue;
    view.append(
      h(
        "section",
        { class: "group" },
        h("h2", { class: "prompt" }, shortened(prompt, 200)),
        row([trueCard(some), ...shown.map((picture) => card(picture, shown, methodLabel(picture)))].filter(Boolean)),
      ),
    );
  }
  if (!rows.length) view.append(h("p", { class: "nothing" }, "No picture has a prompt, so there is nothing to compare by."));
}
