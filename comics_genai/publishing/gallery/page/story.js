// The first screen: the drawings, and beneath them one new pose by every method.
const MOST_ON_FIRST_SCREEN = 12;
const unprompted = pictures.filter((picture) => !picture.asked && !picture.record.training_step);

// One picture a method, of this seed; of a training series the last step.
function oneOfEach(some, seed) {
  const chosen = new Map();
  for (const picture of some) {
    if (seed !== undefined && String(picture.record.seed) !== String(seed)) continue;
    const before = chosen.get(picture.method);
    const later = (picture.record.training_step ?? 0) > (before?.record.training_step ?? 0);
    if (!before || later) chosen.set(picture.method, picture);
  }
  return [...chosen.values()].sort((a, b) => METHODS.indexOf(a.method) - METHODS.indexOf(b.method));
}

function trueCard(some) {
  const shown = some.find((picture) => picture.true)?.true;
  if (!shown) return null;
  return h(
    "li",
    { class: "card true" },
    h("div", { class: "mat" }, imageOf(shown, "The true drawing")),
    h("p", { class: "caption" }, h("b", {}, "the true drawing"), h("span", { class: "quiet" }, "what was asked for")),
  );
}

function methodLabel(picture) {
  return [h("b", {}, picture.method), ...verdict(picture)];
}

function verdict(picture) {
  const { right, wrong } = picture.scores;
  if (!wrong) return [];
  return [h("span", { class: "quiet" }, wrong.length ? `${right.length} of ${right.length + wrong.length} right` : "all right")];
}

function renderDrawings() {
  const list = byName("drawings");
  if (!list) return;
  list.replaceChildren(
    ...data.drawings.map((drawing) => h("li", {}, imageOf(drawing, drawing.caption || `The drawing ${drawing.name}`))),
  );
}

function renderStory() {
  const place = byName("story");
  place.replaceChildren();
  if (answered.length) {
    const at = Math.min(Math.max(Number(state.pose) || 1, 1), answered.length);
    const [prompt, some] = answered[at - 1];
    const seed = some[0].record.seed;
    const step = (by) => go({ pose: ((at - 1 + by + answered.length) % answered.length) + 1 }, true);
    const shown = oneOfEach(some, seed);
    place.append(
      h(
        "div",
        { class: "became" },
        h("h2", {}, "became"),
        h("blockquote", {}, shortened(prompt, 220)),
        answered.length > 1 &&
          h(
            "div",
            { class: "stepper" },
            h("button", { type: "button", onclick: () => step(-1), "aria-label": "Pose before" }, "‹"),
            h("span", {}, `pose ${at} of ${answered.length}`),
            h("button", { type: "button", onclick: () => step(1), "aria-label": "Next pose" }, "›"),
          ),
      ),
      row([trueCard(some), ...shown.map((picture) => card(picture, shown, methodLabel(picture)))].filter(Boolean)),
    );
  }
  const each = oneOfEach(unprompted);
  const free = each.length > 1 ? each : unprompted.slice(0, MOST_ON_FIRST_SCREEN);
  if (free.length) {
    const note = "Drawn without words: by models that take none, or pictures without a record.";
    const label = (picture) => (each.length > 1 ? methodLabel(picture) : captionOf(picture, "method"));
    const heading = answered.length
      ? [h("h2", {}, "Without a prompt"), h("p", { class: "note" }, note)]
      : [h("div", { class: "became" }, h("h2", {}, "became"))];
    place.append(...heading, row(free.map((picture) => card(picture, free, label(picture)))));
  }
  place.append(
    h(
      "p",
      { class: "onward" },
      h("a", { href: addressOf({ view: "browse" }) }, `Browse all ${pictures.length} pictures`),
      answered.length > 1 && h("a", { href: addressOf({ view: "compare" }) }, `Compare the methods on ${answered.length} prompts`),
    ),
  );
}
