// Takes pictures in by picker, drop, paste and sample; sends a few at a time.

import { announce, byId, element } from "./dom.js";
import { get } from "./gateway.js";
import { Picture } from "./picture.js";
import { showSnippets } from "./snippets.js";

// A browser opens six connections to a host; the live view needs one.
const AT_ONCE = 4;
const SAFE_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_. -]*$/u;

export class TryView {
  constructor(about, askForKey) {
    Object.assign(this, { about, askForKey, model: about.model, fileName: "picture.jpg", pictures: [] });
    this.results = byId("results");
    this.takeFiles();
    this.takeDrops();
    byId("model").addEventListener("change", () => this.choose(byId("model").value));
    byId("cancel-all").addEventListener("click", () => this.pictures.forEach((each) => each.cancel()));
    byId("clear").addEventListener("click", () => this.clear());
    this.showCode();
  }

  /** Models and samples that the key allows; without the right the chosen model stays. */
  async refresh() {
    await Promise.allSettled([this.loadModels(), this.loadSamples()]);
  }

  /** Sends again what failed for want of a key. */
  retryRefused() {
    this.pictures.filter((each) => each.state === "failed" && each.failure?.wantsKey).forEach((each) => each.again());
  }

  async loadModels() {
    const rows = await (await get("models")).json();
    const names = [...new Set([this.about.model, ...rows.filter((row) => row.on).map((row) => row.model)])];
    byId("model").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    byId("model").value = this.model;
    byId("model-choice").hidden = names.length < 2;
  }

  /** Pictures of the chosen model, where it has some. */
  async loadSamples() {
    const model = this.model, query = `?model=${encodeURIComponent(model)}`;
    const names = await (await get(`page/samples${query}`)).json();
    const buttons = await Promise.all(names.map(async (name) => {
      const blob = await (await get(`page/samples/${encodeURIComponent(name)}${query}`)).blob();
      const file = new File([blob], name, { type: blob.type });
      const image = element("img", { src: URL.createObjectURL(blob), alt: "" });
      return element("button", { class: "sample", "aria-label": `Try ${name}`, onclick: () => this.add([file]) }, image);
    }));
    // Another model may have been chosen meanwhile.
    if (model !== this.model) return;
    byId("samples").querySelector(".sample-row").replaceChildren(...buttons);
    byId("samples").hidden = !buttons.length;
  }

  choose(model) {
    this.model = model;
    byId("samples").hidden = true;
    this.showCode();
    // Without them the page does what it is for.
    this.loadSamples().catch(() => {});
  }

  takeFiles() {
    for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) {
      byId(button).addEventListener("click", () => byId(input).click());
      byId(input).addEventListener("change", () => {
        this.add([...byId(input).files]);
        byId(input).value = "";
      });
    }
    document.addEventListener("paste", (event) => {
      if (byId("try").hidden || !event.clipboardData?.files.length) return;
      event.preventDefault();
      this.add([...event.clipboardData.files]);
    });
  }

  takeDrops() {
    const drop = byId("drop");
    const over = (isOver) => drop.classList.toggle("over", isOver);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      if (byId("try").hidden) byId("tab-try").click();
      const files = [...event.dataTransfer.files];
      if (files.length) this.add(files);
      else this.notice("That was a link or text. Save the picture first, then drop the file.");
    });
  }

  add(files) {
    if (!files.length) return;
    this.notice("");
    const added = files.map((file) => new Picture(file, this.model, this.about, (picture) => this.changed(picture)));
    this.pictures.unshift(...added);
    this.results.prepend(...added.map((each) => each.node));
    announce(files.length === 1 ? `${added[0].name} added` : `${files.length} pictures added`);
    this.pump();
  }

  clear() {
    for (const each of [...this.pictures]) each.remove();
    byId("choose").focus();
  }

  changed(picture) {
    if (picture.state === "gone") this.pictures = this.pictures.filter((each) => each !== picture);
    if (picture.state === "answered") {
      this.fileName = SAFE_NAME.test(picture.file.name) ? picture.file.name : "picture.jpg";
      this.showCode();
    }
    if (picture.state === "failed" && picture.failure.wantsKey) this.askForKey(picture.failure.message);
    this.showTally();
    // Not at once: the constructor of a picture calls this before it is in the list.
    queueMicrotask(() => this.pump());
  }

  pump() {
    const free = AT_ONCE - this.pictures.filter((each) => each.state === "sending").length;
    this.pictures.filter((each) => each.state === "waiting").slice(0, Math.max(0, free)).forEach((each) => each.send());
  }

  showTally() {
    const count = (...states) => this.pictures.filter((each) => states.includes(each.state)).length;
    const [all, answered, failed, open] = [this.pictures.length, count("answered"), count("failed"), count("waiting", "sending")];
    byId("result-bar").hidden = !all;
    byId("drop").classList.toggle("compact", all > 0);
    byId("cancel-all").hidden = !open;
    byId("clear").hidden = Boolean(open);
    const parts = [`${answered} of ${all} answered`, failed && `${failed} failed`, open && `${open} to go`];
    byId("tally").textContent = parts.filter(Boolean).join(", ");
  }

  showCode() {
    showSnippets(this.model, this.fileName, this.about.keys);
  }

  notice(text) {
    byId("notice").textContent = text;
    byId("notice").hidden = !text;
  }
}
