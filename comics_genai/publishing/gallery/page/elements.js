// An element with attributes, listeners ("on…": function) and children; text is always text, never markup.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const byName = (id) => document.getElementById(id);

// Say something to those who listen to the page.
function say(sentence) {
  byName("said").textContent = sentence;
}

function select(label, value, options, chosen) {
  const id = `choose-${label.toLowerCase().replaceAll(" ", "-")}`;
  const control = h("select", { id, onchange: (event) => chosen(event.target.value) });
  for (const [option, text] of options) {
    control.append(h("option", { value: option, selected: option === value }, text));
  }
  return h("div", { class: "control" }, h("label", { for: id }, label), control);
}

async function copyText(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // From disk a browser may refuse the clipboard: copy as people did before there was one.
    const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(done);
}
