// A slider through training: the same prompts and seeds, drawn after more and more steps.
const series = pictures.filter((picture) => typeof picture.record.training_step === "number");
const STEPS = valuesOf("training_step", series).map(([step]) => Number(step));

function renderTraining(view) {
  const at = Math.max(0, STEPS.indexOf(Number(state.step ?? STEPS.at(-1))));
  if (!view.firstChild) view.append(trainingFrame());
  const slider = byName("training-step");
  slider.value = at;
  slider.setAttribute("aria-valuetext", `${STEPS[at]} steps`);
  byName("training-told").textContent = `after ${STEPS[at]} of ${STEPS.at(-1)} steps`;
  const focused = document.activeElement?.dataset?.id;
  const shown = series.filter((picture) => picture.record.training_step === STEPS[at]);
  const groups = new Map();
  for (const picture of shown) {
    const name = picture.asked;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(picture);
  }
  byName("training-rows").replaceChildren(
    ...[...groups].map(([prompt, some]) =>
      h(
        "section",
        { class: "group" },
        h("h2", { class: "prompt" }, shortened(prompt, 200) || "Without a prompt"),
        row([trueCard(some), ...some.map((picture) => card(picture, shown, trainingLabel(picture)))].filter(Boolean)),
      ),
    ),
  );
  if (focused) document.querySelector(`#training-rows .open[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function trainingLabel(picture) {
  const seed = picture.record.seed;
  return [
    h("b", {}, picture.method),
    h("span", { class: "quiet" }, `${picture.record.training_step} steps${seed === undefined ? "" : `, seed ${seed}`}`),
    ...verdict(picture),
  ];
}

function trainingFrame() {
  const slider = h("input", {
    type: "range",
    id: "training-step",
    min: 0,
    max: STEPS.length - 1,
    step: 1,
    oninput: (event) => go({ step: STEPS[Number(event.target.value)] }, true),
  });
  return h(
    "div",
    {},
    h("h1", {}, "Through training"),
    h("p", { class: "lead" }, "The same prompts with the same seeds, drawn after more and more training steps. Move the slider."),
    h("div", { class: "slider" }, h("label", { for: "training-step" }, "Training steps"), slider, h("output", { id: "training-told", for: "training-step" })),
    h("div", { id: "training-rows" }),
  );
}
