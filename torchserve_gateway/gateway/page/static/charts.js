// Line charts over the last 15 minutes in SVG: a few series, marks on the time axis, a cursor.

import { element, short, svg } from "./dom.js";

export const SPAN_S = 900;
// A gateway that has just started fills the width sooner.
const LEAST_SPAN_S = 120;
const [WIDTH, HEIGHT, TOP, BOTTOM] = [600, 150, 16, 20];
// Samples come every second; a longer pause is a gap.
const GAP_S = 5;
const LABEL_PX = 50;

export class Chart {
  /** `series`: functions of a sample by name, or a function of all samples that returns them. */
  constructor(title, unit, series) {
    Object.assign(this, { title, unit, series, samples: [], at: null });
    this.value = element("p", { class: "now" }, "–");
    this.legend = element("ul", { class: "legend" });
    this.plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
    this.scale = element("div", { class: "scale", "aria-hidden": "true" });
    this.axis = element("div", { class: "axis", "aria-hidden": "true" }, ...Array.from({ length: 4 }, () => element("span")));
    this.marks = element("div", { class: "mark-labels", "aria-hidden": "true" });
    const area = element("div", { class: "plot" }, this.plot, this.scale, this.marks);
    this.node = element("section", { class: "card chart" },
      element("div", { class: "chart-top" }, element("h3", {}, title), this.value), area, this.axis, this.legend);
    area.addEventListener("pointermove", (event) => this.oncursor?.((event.clientX - area.getBoundingClientRect().left) / area.clientWidth));
    area.addEventListener("pointerleave", () => this.oncursor?.(null));
  }

  /** Draws these samples; `at`, 0 to 1 from the left, is the cursor. */
  draw(samples, at) {
    const end = samples.length ? samples.at(-1).time : Date.now() / 1000;
    const span = Math.min(SPAN_S, Math.max(LEAST_SPAN_S, end - (samples[0]?.time ?? end)));
    const x = (sample) => WIDTH * (1 - (end - sample.time) / span);
    const series = typeof this.series === "function" ? this.series(samples) : this.series;
    const lines = Object.entries(series).map(([name, value]) => ({ name, points: samples.map((each) => [x(each), each.time, value(each)]) }));
    const top = niceTop(Math.max(0, ...lines.flatMap((line) => line.points.map(([, , value]) => value ?? 0))));
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const marked = samples.filter((each) => each.marks.length);
    this.plot.replaceChildren(
      ...[0, 0.5, 1].map((share) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(top * share), y2: y(top * share) })),
      ...marked.map((each) => svg("line", { class: "mark", x1: x(each), x2: x(each), y1: 0, y2: HEIGHT - BOTTOM })),
      ...(lines.length === 1 ? [svg("path", { class: "area s0", d: area(lines[0].points, y) })] : []),
      ...lines.map((line, index) => svg("path", { class: `line s${index % 5}`, d: path(line.points, y) })).reverse(),
      ...(at === null ? [] : [svg("line", { class: "cursor", x1: at * WIDTH, x2: at * WIDTH, y1: 0, y2: HEIGHT - BOTTOM })]));
    this.scale.replaceChildren(element("span", {}, short(top)));
    [...this.axis.children].forEach((node, index) => (node.textContent = ago(span * (1 - index / 3))));
    this.showMarks(marked, x);
    this.showValues(lines, at, top);
  }

  /** Labels of the marks, the newest first; a label that would cover another is left out. */
  showMarks(marked, x) {
    const least = LABEL_PX / (this.marks.clientWidth || WIDTH);
    let free = 1.05;
    this.marks.replaceChildren(...marked.flatMap((each) => each.marks.map((mark) => [x(each) / WIDTH, mark.label])).reverse().flatMap(([share, label]) => {
      if (share + least > free) return [];
      free = share;
      const node = element("span", { class: share > 1 - least ? "left" : "" }, label);
      node.style.left = `${share * 100}%`;
      return [node];
    }));
  }

  showValues(lines, at, top) {
    const values = lines.map(({ name, points }) => [name, at === null ? points.at(-1)?.[2] : nearest(points, at)]);
    const [, first] = values[0] ?? [];
    this.value.replaceChildren(short(first), element("span", { class: "unit" }, ` ${this.unit}`));
    this.legend.replaceChildren(...(lines.length < 2 ? [] : values.map(([name, value], index) =>
      element("li", {}, element("span", { class: `dot s${index % 5}`, "aria-hidden": "true" }), `${name} ${short(value)}`))));
    const said = values.map(([name, value]) => `${name} ${short(value)}`).join(", ");
    this.plot.setAttribute("aria-label", `${this.title}, in ${this.unit}: ${said}; the scale ends at ${short(top)}`);
  }
}

function ago(seconds) {
  if (seconds < 1) return "now";
  return seconds < 100 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 1.5, 2, 3, 5, 7.5, 10].map((each) => each * power).find((each) => each >= value);
}

function path(points, y) {
  let before = null;
  return points.map(([x, time, value]) => {
    if (value === null || value === undefined) {
      before = null;
      return "";
    }
    const isNew = before === null || time - before > GAP_S;
    before = time;
    return `${isNew ? "M" : "L"}${x.toFixed(1)} ${y(value).toFixed(1)}`;
  }).join("");
}

function area(points, y) {
  const known = points.filter(([, , value]) => value !== null && value !== undefined);
  if (!known.length) return "";
  const base = y(0).toFixed(1);
  const tops = known.map(([x, , value]) => `L${x.toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return `M${known[0][0].toFixed(1)} ${base}${tops}L${known.at(-1)[0].toFixed(1)} ${base}Z`;
}

function nearest(points, at) {
  const wanted = at * WIDTH;
  const close = points.reduce((best, each) => (Math.abs(each[0] - wanted) < Math.abs((best?.[0] ?? Infinity) - wanted) ? each : best), null);
  return close && Math.abs(close[0] - wanted) < 10 ? close[2] : null;
}
