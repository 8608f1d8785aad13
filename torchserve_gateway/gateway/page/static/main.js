// Tabs and the key; everything else belongs to the views.

import { byId, element } from "./dom.js";
import { get, key } from "./gateway.js";
import { LiveView } from "./live.js";
import { TryView } from "./try.js";

const TITLES = { try: "Try a model", live: "Live" };
const tabs = [...document.querySelectorAll("[role=tab]")];

try {
  const about = await (await get("page/about")).json();
  start(about);
} catch (error) {
  document.querySelector("main").prepend(element("p", { class: "notice", role: "alert" }, error.message));
}

function start(about) {
  const askForKey = (message) => {
    byId("key-form").hidden = false;
    byId("key-note").textContent = message;
  };
  const views = { try: new TryView(about, askForKey), live: new LiveView(askForKey) };
  const show = (name) => {
    for (const tab of tabs) {
      const isShown = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", isShown);
      tab.tabIndex = isShown ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !isShown;
    }
    document.title = `${TITLES[name]} – TorchServe gateway`;
    if (name === "live") views.live.open();
    else views.live.close();
  };
  takeTabs(show);
  takeKey(about, views);
  // A page that the browser keeps for its back button must not keep a stream.
  addEventListener("pagehide", () => views.live.close());
  addEventListener("pageshow", (event) => event.persisted && location.hash === "#live" && views.live.open());
  views.try.refresh();
  document.body.dataset.ready = "";
}

function takeTabs(show) {
  const select = (tab) => history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  const named = () => (location.hash === "#live" ? "live" : "try");
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => {
      select(tab);
      show(named());
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      next.focus();
      next.click();
    });
  }
  addEventListener("hashchange", () => show(named()));
  show(named());
}

function takeKey(about, views) {
  byId("key-form").hidden = !about.keys;
  byId("key").value = key.get();
  byId("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    key.set(byId("key").value.trim());
    byId("key-note").textContent = key.get() ? "This key is used now, in this tab only." : "No key is used.";
    views.try.retryRefused();
    views.live.reconnect();
    await views.try.refresh();
  });
}
