// Pictures in rows: one card each, opened by a click or Enter. Only one card of a wall is a stop of the Tab key; from it
// the arrows move.
const SMALL = 128; // pixels: up to here a picture is enlarged by its pixels, not blurred
const CHUNK = 60; // cards added at once while one scrolls

function imageOf(shown, alt, full = false) {
  return h("img", {
    src: full ? shown.source : shown.thumbnail,
    alt,
    width: shown.width,
    height: shown.height,
    loading: full ? null : "lazy",
    decoding: "async",
    class: shown.width <= SMALL ? "pixels" : null,
  });
}

function pictureOf(picture, full = false) {
  const alt = described(picture);
  if (!picture.state) {
    const image = imageOf(picture, alt, full);
    image.addEventListener("error", () => image.replaceWith(placeholder("missing", alt)), { once: true });
    return image;
  }
  return placeholder(picture.state, alt);
}

function placeholder(state, alt) {
  const words = `This picture is ${state}`;
  return h("span", { class: "absent", role: "img", "aria-label": `${words}: ${shortened(alt, 200)}` }, words);
}

// among: the pictures that the arrows go through in the large view. label: elements beneath the picture.
function card(picture, among, label) {
  const open = h(
    "button",
    { type: "button", class: "open", "data-id": picture.id, tabindex: "-1", onclick: () => openCloseup(picture, among) },
    pictureOf(picture),
  );
  return h(
    "li",
    { class: "card" },
    h("div", { class: "mat" }, ...[open, heartOf(picture)].filter(Boolean)),
    h("p", { class: "caption" }, label),
  );
}

// without: the facet that the pictures are grouped by, which a heading says already.
function captionOf(picture, without) {
  const { seed, index, training_step: step } = picture.record;
  const place = [
    seed !== undefined && `seed ${seed}`,
    index !== undefined && `number ${index + 1}`,
    step !== undefined && `${step} training steps`,
  ];
  const score = SCORES.length ? scoreText(picture, SCORES[0]) : "";
  return [
    without !== "method" && h("b", {}, picture.method),
    without !== "asked" && h("span", { class: "words" }, shortened(promptOf(picture))),
    h("span", { class: "quiet" }, place.filter(Boolean).join(", ") || picture.record.file_name),
    score && h("span", { class: "quiet" }, `${SCORES[0]} ${score}`),
  ];
}

// A wall that grows as one scrolls towards its end.
function wall(shown, without) {
  const list = h("ul", { class: "wall", role: "list" });
  const end = h("div", { class: "end", "aria-hidden": "true" });
  let count = 0;
  const more = () => {
    list.append(...shown.slice(count, count + CHUNK).map((picture) => card(picture, shown, captionOf(picture, without))));
    count = Math.min(count + CHUNK, shown.length);
    firstStop(list);
    if (count >= shown.length) observer.disconnect();
  };
  const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
    rootMargin: "1200px",
  });
  more();
  if (count < shown.length) observer.observe(end);
  return h("div", {}, list, end);
}

function row(cards) {
  const list = h("ul", { class: "wall row", role: "list" }, ...cards);
  firstStop(list);
  return list;
}

function firstStop(list) {
  const stops = list.querySelectorAll(".open");
  if (stops.length && ![...stops].some((stop) => stop.tabIndex === 0)) stops[0].tabIndex = 0;
}

function moveFocus(from, key) {
  const stops = [...from.closest("main").querySelectorAll("section:not([hidden]) .open")];
  const box = from.getBoundingClientRect();
  let next = null;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    next = stops[stops.indexOf(from) + (key === "ArrowRight" ? 1 : -1)];
  } else {
    const down = key === "ArrowDown";
    let best = Infinity;
    for (const stop of stops) {
      const other = stop.getBoundingClientRect();
      const away = down ? other.top - box.bottom : box.top - other.bottom;
      const distance = 4 * away + Math.abs(other.left - box.left);
      if (away >= 0 && distance < best) [best, next] = [distance, stop];
    }
  }
  if (!next) return;
  for (const stop of next.closest("ul").querySelectorAll(".open")) stop.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
