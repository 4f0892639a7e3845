// What the page knows. A picture is {id, state: "" | what is wrong with it, method, asked, record, scores, command, also}
// and, where its file could be read, {source, thumbnail, width, height, path, nearest, true}.
const data = JSON.parse(document.getElementById("gallery-data").textContent);
const pictures = data.pictures;
const byId = new Map(pictures.map((picture) => [picture.id, picture]));
const order = new Map(pictures.map((picture, i) => [picture, i]));

const FACETS = [
  ["method", "Method"],
  ["character", "Character"],
  ["asked", "Prompt"],
  ["training_step", "Training steps"],
  ["learning_rate", "Learning rate"],
  ["steps", "Sampling steps"],
  ["scheduler", "Scheduler"],
  ["guidance", "Guidance"],
  ["adapter_scale", "Adapter scale"],
];

// A facet's value as text, "" where the record does not say.
function facet(picture, name) {
  let value = name === "method" || name === "asked" ? picture[name] : picture.record[name];
  // Older records call the scale of the adapter its strength.
  if (name === "adapter_scale" && value === undefined && picture.record.adapter) value = picture.record.strength;
  if (value === undefined || value === null || value === "") return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// Distinct values with their counts: numbers in order, words as they first come.
function valuesOf(name, among = pictures) {
  const counts = new Map();
  for (const picture of among) {
    const value = facet(picture, name);
    if (value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const entries = [...counts];
  return entries.every(([value]) => value.trim() !== "" && Number.isFinite(Number(value)))
    ? entries.sort((a, b) => Number(a[0]) - Number(b[0]))
    : entries;
}

const SCORES = [...new Set(pictures.flatMap((picture) => Object.keys(picture.scores.numbers ?? {})))];
const hasTimes = pictures.some((picture) => typeof picture.record.drawn_at === "string");

function promptOf(picture) {
  return typeof picture.record.prompt === "string" ? picture.record.prompt : "";
}

// What a picture shows, for those who do not see it: its prompt, or who drew it where there was none.
function described(picture) {
  const number = picture.record.index ?? picture.record.seed;
  const named = number === undefined ? picture.record.file_name : `Picture ${number}`;
  return promptOf(picture) || `${named}, ${picture.method}`;
}

// The prompts that several methods answer, with their pictures; those that most answer come first.
const answered = (() => {
  const groups = new Map();
  for (const picture of pictures) {
    if (!picture.asked) continue;
    if (!groups.has(picture.asked)) groups.set(picture.asked, []);
    groups.get(picture.asked).push(picture);
  }
  const count = (some) => new Set(some.map((picture) => picture.method)).size;
  const all = [...groups].sort((a, b) => count(b[1]) - count(a[1]));
  const several = all.filter(([, some]) => count(some) > 1);
  return several.length ? several : all;
})();

// Methods that answer prompts come before those that take none.
const METHODS = (() => {
  const methods = valuesOf("method").map(([method]) => method);
  const asked = new Set(pictures.filter((picture) => picture.asked).map((picture) => picture.method));
  return [...methods.filter((method) => asked.has(method)), ...methods.filter((method) => !asked.has(method))];
})();

// What all those prompts begin with is left out where space is short; the large view has the whole words.
const sharedStart = (() => {
  const prompts = answered.map(([prompt]) => prompt);
  if (prompts.length < 2) return "";
  let shared = prompts[0];
  for (const prompt of prompts) while (!prompt.startsWith(shared)) shared = shared.slice(0, -1);
  const comma = shared.lastIndexOf(", ");
  return comma < 0 ? "" : shared.slice(0, comma + 2);
})();

function shortened(prompt, most = 90) {
  const rest = prompt.startsWith(sharedStart) ? prompt.slice(sharedStart.length) : prompt;
  const letters = [...rest];
  return letters.length > most ? letters.slice(0, most).join("").trimEnd() + "…" : rest;
}

function percent(value) {
  return `${Math.round(100 * value)} %`;
}

function scoreText(picture, label) {
  const value = picture.scores.numbers?.[label];
  if (value === undefined) return "";
  return picture.scores.shares.includes(label) ? percent(value) : String(Math.round(1000 * value) / 1000);
}
