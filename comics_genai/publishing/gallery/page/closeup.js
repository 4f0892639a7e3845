// One picture large, with all that is known of it; another, or the nearest drawing, beside it.
let among = pictures; // what the arrows go through
let opener = null; // where the focus goes back to

function openCloseup(picture, some) {
  among = some ?? pictures;
  opener = document.activeElement;
  go({ open: picture.id });
}

function closeCloseup() {
  go({ open: "", beside: "" });
}

function stepCloseup(by) {
  const at = among.findIndex((picture) => picture.id === state.open);
  const next = among[(at + by + among.length) % among.length];
  if (next) go({ open: next.id }, true);
}

function renderCloseup() {
  const dialog = byName("closeup");
  const picture = byId.get(state.open);
  if (!picture) {
    if (dialog.open) {
      dialog.close();
      if (opener?.isConnected) opener.focus();
    }
    return;
  }
  if (!among.includes(picture)) among = pictures;
  const focused = document.activeElement?.dataset?.act;
  dialog.replaceChildren(
    h("div", { class: "bar" }, ...barOf(picture)),
    h("div", { class: "stage" }, h("div", { class: "frames" }, ...stageOf(picture)), besideSelect(picture), ...scoresOf(picture)),
    h("div", { class: "facts" }, ...factsOf(picture)),
  );
  if (!dialog.open) dialog.showModal();
  const again = focused && dialog.querySelector(`[data-act="${focused}"]`);
  (again || dialog.querySelector("[data-act=next]")).focus();
  dialog.scrollTop = 0;
}

function barOf(picture) {
  const at = among.indexOf(picture) + 1;
  const action = (act, text, label, act_) => h("button", { type: "button", "data-act": act, "aria-label": label, title: label, onclick: act_ }, text);
  return [
    action("before", "←", "Picture before (left arrow)", () => stepCloseup(-1)),
    action("next", "→", "Next picture (right arrow)", () => stepCloseup(1)),
    h("span", { class: "quiet" }, `${at} of ${among.length}`),
    h("span", { class: "spring" }),
    heartOf(picture, true),
    action("close", "✕", "Close (Esc)", closeCloseup),
  ].filter(Boolean);
}

function stageOf(picture) {
  const other = byId.get(state.beside);
  const frames = [frame(pictureOf(picture, true), picture.method)];
  if (other && other !== picture) {
    frames.push(frame(pictureOf(other, true), `beside it: ${other.method}, seed ${other.record.seed ?? "unknown"}`));
    return frames;
  }
  if (picture.true) frames.push(frame(imageOf(picture.true, "The true drawing", true), "the true drawing"));
  if (picture.nearest) {
    const drawing = data.drawings[picture.nearest.drawing];
    const how = picture.nearest.by === "colours" ? "nearest drawing by colours" : "nearest drawing";
    frames.push(frame(imageOf(drawing, drawing.caption || drawing.name, true), how));
  }
  return frames;
}

function frame(image, words) {
  return h("figure", {}, image, h("figcaption", {}, words));
}

function factsOf(picture) {
  const record = picture.record;
  const told = FACETS.filter(([name]) => name !== "asked").map(([name, label]) => [label, facet(picture, name)]);
  const rows = [...told, ["Seed", record.seed], ["Base", record.base], ["Size", picture.width && `${picture.width} × ${picture.height} pixels`]];
  return [
    h("h2", { id: "closeup-title" }, promptOf(picture) || described(picture)),
    h("dl", {}, ...rows.filter(([, value]) => value !== "" && value !== undefined && value !== null).flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, String(value))])),
    ...commandBox(picture),
    h("details", {}, h("summary", {}, "The whole record"), h("pre", { tabindex: "0" }, JSON.stringify(record, null, 2))),
    picture.also.length > 0 && h("p", { class: "quiet" }, `The same picture is also ${picture.also.join(", ")}.`),
    picture.source && h("p", {}, h("a", { href: picture.source }, "Open the picture file")),
  ];
}

const MOST_BESIDE = 200; // choices that a menu can hold

// Other answers to the same prompt with the same seed; then the picked pictures.
function besideSelect(picture) {
  const same = pictures.filter((other) => other.asked === picture.asked && other.record.seed === picture.record.seed);
  const others = [...new Set([...same.slice(0, MOST_BESIDE), ...[...picked].map((id) => byId.get(id)), byId.get(state.beside)])];
  const options = others
    .filter((other) => other && other !== picture)
    .map((other) => {
      const { training_step: step, seed } = other.record;
      return [other.id, [picked.has(other.id) && "♥", other.method, step && `${step} steps`, seed !== undefined && `seed ${seed}`].filter(Boolean).join(" · ")];
    });
  if (!options.length) return h("p", { class: "quiet" }, "Pictures with a heart can be set beside this one.");
  return select("Set beside it", state.beside ?? "", [["", picture.nearest || picture.true ? "the drawings" : "nothing"], ...options], (value) => go({ beside: value }, true));
}

function scoresOf(picture) {
  const { right = [], wrong = [], sentences = [], numbers = {} } = picture.scores;
  const parts = [];
  if (wrong.length) parts.push(h("p", {}, h("b", {}, "Wrong: "), wrong.join(", "), "."));
  if (right.length) parts.push(h("p", {}, h("b", {}, "Right: "), right.join(", "), "."));
  if (sentences.length) parts.push(h("p", {}, sentences.join(" ")));
  const labels = Object.keys(numbers);
  if (labels.length) parts.push(h("p", { class: "quiet" }, labels.map((label) => `${label} ${scoreText(picture, label)}`).join(" · ")));
  return parts.length ? [h("div", { class: "scores" }, ...parts)] : [];
}

function commandBox(picture) {
  if (!picture.command) return [];
  const copy = h("button", { type: "button", "data-act": "copy", onclick: () => copyText(picture.command, "The command is copied.").then(() => (copy.textContent = "Copied")) }, "Copy command");
  return [h("div", { class: "command" }, h("p", {}, "This command draws it again:"), h("pre", { tabindex: "0" }, picture.command), copy)];
}
