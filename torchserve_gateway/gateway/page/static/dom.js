// Elements without markup: text stays text, whatever a file name or an answer holds.

export const byId = (id) => document.getElementById(id);

/** An element: attributes by name, `on…` as listeners, undefined and false left out. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((each) => each !== undefined && each !== null));
  return node;
}

/** Tells a screen reader. */
export function announce(text) {
  byId("announce").textContent = text;
}

/** 0.456 → "0.46", 12.34 → "12.3", 345.6 → "346"; "–" for no number. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const digits = value >= 100 || Number.isInteger(value) ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function bytes(count) {
  return count < 1e6 ? `${short(Math.ceil(count / 1000))} kB` : `${short(count / 1e6)} MB`;
}
