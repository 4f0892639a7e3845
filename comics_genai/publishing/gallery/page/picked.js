// Hearts: ids of pictures, kept by this browser for this page.
const PICKED_KEY = `comics-genai-picked:${location.pathname}`;
const picked = new Set(readPicked());

function readPicked() {
  try {
    const saved = JSON.parse(localStorage.getItem(PICKED_KEY) ?? "[]");
    return Array.isArray(saved) ? saved.filter((id) => byId.has(id)) : [];
  } catch {
    return []; // a browser that keeps nothing for pages: hearts last as long as the page
  }
}

function togglePicked(picture) {
  if (!picture.path) return;
  if (picked.has(picture.id)) picked.delete(picture.id);
  else picked.add(picture.id);
  try {
    localStorage.setItem(PICKED_KEY, JSON.stringify([...picked]));
  } catch {
    say("This browser keeps no hearts: save the list before you leave.");
  }
  for (const heart of document.querySelectorAll(".heart")) showHeart(heart);
  renderTabs();
  say(picked.has(picture.id) ? "Picked." : "No longer picked.");
}

function showHeart(heart) {
  heart.setAttribute("aria-pressed", String(picked.has(heart.dataset.id)));
}

function heartOf(picture, reachable) {
  if (!picture.path) return null; // no file to go on a list
  const heart = h(
    "button",
    {
      class: "heart",
      type: "button",
      title: "Heart (H)",
      "aria-label": `Pick: ${shortened(described(picture), 60)}`,
      "data-id": picture.id,
      // In a wall of pictures the H key does it, so that Tab does not stop twice at each.
      tabindex: reachable ? null : "-1",
      onclick: (event) => {
        event.stopPropagation();
        togglePicked(picture);
      },
    },
    h("span", { "aria-hidden": "true" }, "♥"),
  );
  showHeart(heart);
  return heart;
}

// The list as `finetune --add-picked` reads it: paths from the folder of this page.
function pickedList() {
  const paths = [...picked].map((id) => byId.get(id)?.path).filter(Boolean);
  return JSON.stringify({ format: "comics-genai-picked", version: 1, pictures: paths }, null, 2) + "\n";
}

function savePicked() {
  const address = URL.createObjectURL(new Blob([pickedList()], { type: "application/json" }));
  h("a", { href: address, download: "picked.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

function renderPicked(view) {
  const chosen = [...picked].map((id) => byId.get(id)).filter(Boolean);
  view.replaceChildren(
    h("h1", {}, "Picked"),
    h(
      "p",
      { class: "lead" },
      chosen.length
        ? "Your hearts stay in this browser. Save them as a list, and fine-tuning takes them as further drawings: "
        : "No picture has a heart yet. Click the heart on a picture, or press H, and it is listed here.",
      chosen.length ? h("code", {}, "finetune --add-picked picked.json") : null,
    ),
  );
  if (!chosen.length) return;
  const clear = () => {
    if (!confirm(`Take the hearts off ${chosen.length} pictures?`)) return;
    for (const picture of chosen) togglePicked(picture);
    render();
  };
  view.append(
    h(
      "div",
      { class: "controls" },
      h("button", { type: "button", class: "main", onclick: savePicked }, "Save the list"),
      h("button", { type: "button", onclick: () => copyText(pickedList(), "The list is copied.") }, "Copy the list"),
      h("button", { type: "button", onclick: clear }, "Take all hearts off"),
    ),
    wall(chosen, ""),
  );
}
