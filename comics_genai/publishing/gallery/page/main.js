// Which view is shown, and the keys.
const VIEWS = [
  ["story", "Result", () => renderStory(), () => true],
  ["browse", "Browse", renderBrowse, () => true],
  ["compare", "Compare", renderCompare, () => answered.length > 0],
  ["training", "Training", renderTraining, () => STEPS.length > 1],
  ["picked", "Picked", renderPicked, () => true],
];

let drawn = ""; // the address that the view was last drawn for, but for what the large view changes

function currentView() {
  return VIEWS.find(([name, , , there]) => name === state.view && there()) ?? VIEWS[0];
}

function renderTabs() {
  const current = currentView()[0];
  byName("tabs").replaceChildren(
    ...VIEWS.filter(([, , , there]) => there()).map(([name, text]) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: addressOf({ view: name === "story" ? "" : name, open: "", beside: "" }), "aria-current": name === current ? "page" : null, "aria-label": name === "picked" ? `Picked: ${picked.size}` : null },
          ...(name === "picked" ? [h("span", { class: "long" }, `${text} `), `♥ ${picked.size}`] : [text]),
        ),
      ),
    ),
  );
}

function render() {
  const [name, , draw] = currentView();
  const { open, beside, ...rest } = state;
  const now = JSON.stringify([name, rest]);
  renderTabs();
  if (now !== drawn) {
    drawn = now;
    for (const [other] of VIEWS) byName(`view-${other}`).hidden = other !== name;
    draw(byName(`view-${name}`));
  }
  renderCloseup();
}

function renderProblems() {
  if (!data.problems.length) return;
  const count = data.problems.length === 1 ? "1 thing" : `${data.problems.length} things`;
  byName("problems").append(
    h("details", {}, h("summary", {}, `${count} could not be read`), h("ul", {}, ...data.problems.map((problem) => h("li", {}, problem)))),
  );
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches?.("input:not([type=checkbox]), select, textarea");
  const inCloseup = byName("closeup").open;
  if (inCloseup && !typing && (event.key === "ArrowLeft" || event.key === "ArrowRight") && !event.target.matches("pre")) {
    event.preventDefault();
    stepCloseup(event.key === "ArrowRight" ? 1 : -1);
  } else if (!inCloseup && event.key === "/" && !typing) {
    event.preventDefault();
    go({ view: "browse" });
    byName("search").focus();
  } else if (!inCloseup && event.key.startsWith("Arrow") && event.target.matches?.(".open")) {
    event.preventDefault();
    moveFocus(event.target, event.key);
  } else if (event.key.toLowerCase() === "h" && !typing) {
    const id = inCloseup ? state.open : event.target.dataset?.id;
    if (byId.has(id)) togglePicked(byId.get(id));
  } else if (event.key === "Escape" && event.target.id === "search") {
    event.target.blur();
  }
});

byName("closeup").addEventListener("cancel", (event) => {
  event.preventDefault();
  closeCloseup();
});
byName("closeup").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) closeCloseup();
});
byName("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byName("main").focus();
});

renderDrawings();
renderProblems();
render();
