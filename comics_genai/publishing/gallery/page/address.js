// The state of the page is its address: a link shows the same pictures again.
let state = readAddress();

function readAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function addressOf(changes) {
  const next = { ...state, ...changes };
  const kept = Object.entries(next).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return "#" + new URLSearchParams(kept).toString();
}

// Change the state: as a step that "back" undoes, or, for typing and sliding, in place.
function go(changes, inPlace = false) {
  const address = addressOf(changes);
  if (inPlace) history.replaceState(null, "", address);
  else if (address !== location.hash) history.pushState(null, "", address);
  state = readAddress();
  render();
}

addEventListener("popstate", () => {
  state = readAddress();
  render();
});
