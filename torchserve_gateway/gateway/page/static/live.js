// The live view: follows the gateway's events, draws charts and tables.

import { Chart, SPAN_S } from "./charts.js";
import { byId, element, short } from "./dom.js";
import { Failure, get } from "./gateway.js";

const AGAIN_MS = 2000;
// A sample a second; without any for this long the connection is dead.
const SILENCE_MS = 10_000;

export class LiveView {
  constructor(askForKey) {
    this.askForKey = askForKey;
    this.samples = [];
    this.cursor = null;
    this.run = null;
    this.charts = [
      new Chart("Images per second", "images/s", imagesByVersion),
      new Chart("Latency", "ms, p50", { p50: (each) => each.latency_ms.p50, p95: (each) => each.latency_ms.p95, p99: (each) => each.latency_ms.p99 }),
      new Chart("Queue", "in flight", { "in flight": (each) => each.in_flight, waiting: (each) => each.waiting }),
      new Chart("Batch size", "images", { "batch size": (each) => each.batch_size }),
      new Chart("Errors", "errors/s", errorsByKind),
    ];
    byId("charts").replaceChildren(...this.charts.map((each) => each.node));
    for (const chart of this.charts) {
      chart.oncursor = (at) => {
        this.cursor = at;
        this.drawCharts();
      };
    }
  }

  open() {
    if (this.run) return;
    this.run = new AbortController();
    this.follow(this.run.signal);
  }

  close() {
    this.run?.abort();
    this.run = null;
  }

  /** With another key. */
  reconnect() {
    if (!this.run) return;
    this.close();
    this.open();
  }

  async follow(signal) {
    while (!signal.aborted) {
      try {
        await this.stream(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.say(error instanceof Failure && error.status ? error.message : "The gateway cannot be reached. Trying again…", "lost");
        if (error.wantsKey) {
          this.askForKey(error.message);
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async stream(signal) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const response = await get("live/events", { signal: AbortSignal.any([signal, silence.signal]) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        events.forEach((each) => this.take(each));
        if (events.length) this.draw();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  take(event) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(event) ?? [];
    if (name === "history") this.samples = JSON.parse(data);
    if (name === "sample") this.samples.push(JSON.parse(data));
    const oldest = (this.samples.at(-1)?.time ?? 0) - SPAN_S;
    while (this.samples[0]?.time < oldest) this.samples.shift();
    this.say("Live, once a second", "on");
  }

  say(text, state) {
    const node = byId("live-state");
    // A status that did not change is not read out again.
    if (node.textContent !== text) node.textContent = text;
    node.dataset.state = state;
  }

  draw() {
    this.drawCharts();
    const last = this.samples.at(-1);
    if (!last) return;
    rows("versions", Object.entries(last.versions).map(([name, { state, images_per_s: rate }]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, state || "–"),
        element("td", { class: "number" }, short(rate)), element("td", { class: "number" }, last.workers[name] ?? "–"))),
      element("tr", {}, element("td", { colspan: 4, class: "note" }, "Nothing is deployed.")));
    rows("marks", this.samples.flatMap((each) => each.marks.map((mark) => [each.time, mark.text])).reverse().slice(0, 20).map(([time, text]) =>
      element("li", {}, element("time", {}, new Date(time * 1000).toLocaleTimeString("en-GB")), text)),
      element("li", { class: "note" }, "None in this time."));
    rows("errors", totals(this.samples).map(([kind, count]) => element("li", {}, element("span", { class: "count" }, short(count)), kind)),
      element("li", { class: "note" }, "None in this time."));
  }

  drawCharts() {
    this.charts.forEach((each) => each.draw(this.samples, this.cursor));
  }
}

function rows(id, nodes, empty) {
  byId(id).replaceChildren(...(nodes.length ? nodes : [empty]));
}

/** All images; with several versions each of them, too. */
function imagesByVersion(samples) {
  const seen = new Set(samples.flatMap((each) => Object.keys(each.versions).filter((name) => each.versions[name].images_per_s)));
  const versions = seen.size < 2 ? [] : [...seen].slice(-4);
  return {
    all: (each) => each.images_per_s,
    ...Object.fromEntries(versions.map((name) => [name, (each) => each.versions[name]?.images_per_s ?? null])),
  };
}

function errorsByKind(samples) {
  const all = (each) => Object.values(each.errors).reduce((sum, count) => sum + count, 0);
  const kinds = totals(samples).slice(0, 4).map(([kind]) => kind);
  return { all, ...(kinds.length < 2 ? {} : Object.fromEntries(kinds.map((kind) => [kind, (each) => each.errors[kind] ?? 0]))) };
}

function totals(samples) {
  const counts = {};
  for (const { errors } of samples) {
    for (const [kind, count] of Object.entries(errors)) counts[kind] = (counts[kind] ?? 0) + count;
  }
  return Object.entries(counts).sort(([, one], [, other]) => other - one);
}
