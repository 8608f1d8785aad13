// One picture on its way: sent, answered, failed, sent again, taken away.

import { drawn, overlay, timing } from "./answers.js";
import { announce, byId, bytes, element, short } from "./dom.js";
import { Failure, predict } from "./gateway.js";

export class Picture {
  /** `about` are the gateway's facts, `changed` is called with every change of state. */
  constructor(file, model, about, changed) {
    Object.assign(this, { file, model, about, changed, state: "waiting", failure: null });
    this.name = file.name || "pasted picture";
    this.url = URL.createObjectURL(file);
    this.image = element("img", { src: this.url, alt: "", loading: "lazy", decoding: "async", onerror: () => this.showKind() });
    this.frame = element("div", { class: "frame" }, this.image);
    this.body = element("div", { class: "answer" });
    this.foot = element("div", { class: "foot" });
    this.close = element("button", { class: "close", "aria-label": `Take ${this.name} away`, onclick: () => this.remove() }, "×");
    const title = element("h3", { title: this.name }, this.name);
    this.node = element("li", { class: "card picture" }, element("div", { class: "thumb" }, this.frame),
      element("div", { class: "text" }, title, this.body), this.foot, this.close);
    this.showWaiting("Waiting for its turn…");
  }

  /** Sends it; ends when it is answered, has failed or was cancelled. */
  async send() {
    this.abort = new AbortController();
    this.set("sending");
    try {
      this.showProgress();
      await this.check();
      const answer = await predict(this.model, this.file, (share) => this.showProgress(share), this.abort.signal);
      await this.showAnswer(answer);
      this.set("answered");
    } catch (error) {
      if (error.name === "AbortError") this.showFailure(new Failure("Cancelled."), "cancelled");
      else this.showFailure(error instanceof Failure ? error : new Failure(`This page failed: ${error.message}`, 1));
    }
  }

  /** Stops it if it is not answered yet. */
  cancel() {
    if (this.state === "sending") this.abort.abort();
    if (this.state === "waiting") this.showFailure(new Failure("Cancelled."), "cancelled");
  }

  remove() {
    this.cancel();
    const next = this.node.nextElementSibling ?? this.node.previousElementSibling;
    this.node.remove();
    URL.revokeObjectURL(this.url);
    this.set("gone");
    (next?.querySelector(".close") ?? byId("choose")).focus();
  }

  async check() {
    const { max_request_bytes: most } = this.about;
    if (this.file.size > most) {
      throw new Failure(`This file has ${bytes(this.file.size)}; this gateway takes at most ${bytes(most)}. Make it smaller first.`, 413);
    }
    try {
      await this.file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Failure("This file cannot be read. Is it a folder, or has it moved?", 1);
    }
  }

  set(state) {
    this.state = state;
    this.node.dataset.state = state;
    this.changed(this);
  }

  /** In the place of a picture that browsers cannot show, such as HEIC. */
  showKind() {
    const kind = /\.(\w{1,5})$/.exec(this.name)?.[1] ?? "file";
    this.frame.replaceChildren(element("span", { class: "kind" }, kind.toUpperCase()));
  }

  showWaiting(text) {
    this.body.replaceChildren(element("p", { class: "note" }, text));
    this.foot.replaceChildren();
  }

  /** Changes what is there: a button that is drawn anew would lose its focus, or the click that is on its way. */
  showProgress(share = 0) {
    if (!this.progress?.isConnected) {
      this.progress = element("progress", { max: 1, "aria-label": `Upload of ${this.name}` });
      this.body.replaceChildren(this.progress, element("p", { class: "note" }));
      this.foot.replaceChildren(element("button", { class: "button small", onclick: () => this.cancel() }, "Cancel"));
    }
    if (share < 1) this.progress.value = share;
    else this.progress.removeAttribute("value");
    this.progress.nextSibling.textContent = share < 1 ? `Uploading, ${Math.round(share * 100)} %` : "The model is working…";
  }

  async showAnswer(answer) {
    const { summary, nodes, boxes } = await drawn(answer);
    this.body.replaceChildren(...nodes);
    if (boxes?.length) await this.showBoxes(boxes);
    const total = answer.stages.reduce((sum, [, ms]) => sum + ms, 0);
    const chips = [
      [answer.model || this.model, answer.version].filter(Boolean).join(" "),
      total ? `${short(total)} ms` : "",
      answer.isCached ? "from the cache" : "",
    ].filter(Boolean).map((text, index) => element("span", { class: index ? "chip" : "chip version" }, text));
    this.foot.replaceChildren(...[element("div", { class: "chips" }, ...chips), timing(answer.stages)].filter(Boolean));
    this.failure = null;
    announce(`${this.name}: ${summary}`);
  }

  async showBoxes(boxes) {
    try {
      await this.image.decode();
      this.frame.append(overlay(boxes, this.image));
    } catch {
      // The browser cannot show this picture; the list of objects is there.
    }
  }

  showFailure(failure, state = "failed") {
    this.failure = failure;
    this.body.replaceChildren(element("p", { class: state === "failed" ? "error" : "note" }, failure.message));
    const again = element("button", { class: "button small", onclick: () => this.again() }, "Try again");
    this.foot.replaceChildren(...(failure.mayHelpToRetry ? [again] : []));
    announce(`${this.name}: ${failure.message}`);
    this.set(state);
  }

  again() {
    this.failure = null;
    this.frame.querySelector(".boxes")?.remove();
    this.showWaiting("Waiting for its turn…");
    this.set("waiting");
  }
}
