// Draws an answer by its shape: classes as bars, objects as boxes, pictures as pictures, all else as text.

import { element, short } from "./dom.js";

const SHOWN_CLASSES = 5;
const SHOWN_CHARACTERS = 20_000;

/** Reads the answer. Returns { summary, nodes, boxes }; boxes are null unless it lists objects. */
export async function drawn({ body, type }) {
  if (type.startsWith("image/")) return { summary: "a picture", nodes: [picture(body)], boxes: null };
  const text = await body.text();
  const value = parsed(text);
  const boxes = boxesOf(value);
  if (boxes) return { ...objects(boxes), boxes };
  if (isClasses(value)) return { ...classes(Object.entries(value)), boxes: null };
  const shown = value === undefined || typeof value === "string" ? (value ?? text) : JSON.stringify(value, null, 2);
  return { summary: shown.slice(0, 100) || "an empty answer", nodes: [plain(shown)], boxes: null };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isClasses(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const scores = Object.values(value);
  return scores.length > 0 && scores.every((each) => typeof each === "number" && each >= 0 && each <= 1.0001);
}

/** [{class, score, x, y, width, height}] in pixels; also torchvision's [{"dog": [x1, y1, x2, y2], "score": 0.9}]. */
function boxesOf(value) {
  if (!Array.isArray(value)) return null;
  const boxes = value.map(boxOf);
  return boxes.every(Boolean) ? boxes : null;
}

function boxOf(each) {
  if (each === null || typeof each !== "object" || Array.isArray(each)) return null;
  const { class: name, score, x, y, width, height } = each;
  if ([x, y, width, height].every(Number.isFinite)) return { name: String(name ?? "object"), score, x, y, width, height };
  const [found] = Object.entries(each).filter(([, corners]) => Array.isArray(corners) && corners.length === 4);
  if (!found || !found[1].every(Number.isFinite)) return null;
  const [left, top, right, bottom] = found[1];
  return { name: found[0], score, x: left, y: top, width: right - left, height: bottom - top };
}

function percent(score) {
  return `${(score * 100).toFixed(score > 0.9995 || score < 0.0005 ? 0 : 1)} %`;
}

function classes(entries) {
  const sorted = entries.toSorted(([, one], [, other]) => other - one);
  const [[name, score]] = sorted;
  const nodes = [bars(sorted.slice(0, SHOWN_CLASSES))];
  if (sorted.length > SHOWN_CLASSES) {
    const rest = sorted.slice(SHOWN_CLASSES);
    nodes.push(element("details", {}, element("summary", {}, `${rest.length} more`), bars(rest)));
  }
  return { summary: `${name}, ${percent(score)}`, nodes };
}

function bars(entries) {
  return element("ul", { class: "bars" }, ...entries.map(([name, score]) => {
    const fill = element("span", { class: "fill" });
    fill.style.inlineSize = `${Math.min(100, score * 100)}%`;
    return element("li", {},
      element("span", { class: "label" }, name),
      element("span", { class: "value" }, percent(score)),
      element("span", { class: "track", "aria-hidden": "true" }, fill));
  }));
}

function objects(boxes) {
  if (!boxes.length) return { summary: "nothing found", nodes: [element("p", { class: "note" }, "Nothing found in this picture.")] };
  const rows = boxes.map(({ name, score }, index) =>
    element("li", {},
      element("span", { class: `dot box-${index % 5}`, "aria-hidden": "true" }),
      element("span", { class: "label" }, name),
      element("span", { class: "value" }, Number.isFinite(score) ? percent(score) : "")));
  const names = boxes.map((each) => each.name).join(", ");
  return { summary: `${boxes.length} found: ${names}`.slice(0, 200), nodes: [element("ul", { class: "found" }, ...rows)] };
}

/** Boxes over a picture of this natural size. */
export function overlay(boxes, { naturalWidth, naturalHeight }) {
  return element("div", { class: "boxes", "aria-hidden": "true" }, ...boxes.map((box, index) => {
    const node = element("div", { class: `box box-${index % 5}` }, element("span", {}, box.name));
    node.style.left = `${(box.x / naturalWidth) * 100}%`;
    node.style.top = `${(box.y / naturalHeight) * 100}%`;
    node.style.width = `${(box.width / naturalWidth) * 100}%`;
    node.style.height = `${(box.height / naturalHeight) * 100}%`;
    return node;
  }));
}

function picture(body) {
  const url = URL.createObjectURL(body);
  return element("img", { src: url, class: "answer-picture", alt: "The model's answer", onload: () => URL.revokeObjectURL(url) });
}

function plain(text) {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}\n… ${text.length} characters in all` : text;
  return element("pre", { class: "plain", tabindex: "0", "aria-label": "The answer" }, cut);
}

/** Time by stage: a bar, and its parts in words. */
export function timing(stages) {
  const total = stages.reduce((sum, [, ms]) => sum + ms, 0);
  if (!total) return null;
  const parts = stages.filter(([, ms]) => ms / total > 0.004 || ms >= 1);
  const bar = element("div", { class: "stage-bar", "aria-hidden": "true" }, ...parts.map(([name, ms]) => {
    const part = element("span", { class: `stage-${name}` });
    part.style.flexGrow = ms;
    return part;
  }));
  const words = parts.map(([name, ms]) =>
    element("li", {}, element("span", { class: `dot stage-${name}`, "aria-hidden": "true" }), `${name} ${short(ms)} ms`));
  return element("div", { class: "timing" }, bar, element("ul", { class: "stages", "aria-label": "Time by stage" }, ...words));
}
