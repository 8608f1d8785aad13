// The same request from a shell and from Python.

import { announce, byId } from "./dom.js";

/** Shows both for this model and file. A key is named by its variable, so that none is copied. */
export function showSnippets(model, fileName, withKey) {
  const url = new URL(`predictions/${encodeURIComponent(model)}`, document.baseURI).href;
  const key = withKey ? ' \\\n     -H "Authorization: Bearer $GATEWAY_KEY"' : "";
  byId("curl").textContent = `curl -T "${fileName}"${key} \\\n     ${url}`;
  byId("python").textContent = [
    ...(withKey ? ["import os", ""] : []),
    "import httpx",
    "",
    ...(withKey ? ['headers = {"Authorization": f"Bearer {os.environ[\'GATEWAY_KEY\']}"}'] : []),
    `with open("${fileName}", "rb") as picture:`,
    "    answer = httpx.put(",
    `        "${url}",`,
    `        content=picture.read(),${withKey ? " headers=headers," : ""}`,
    "    )",
    "print(answer.json())",
  ].join("\n");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const isCopied = await copied(byId(button.dataset.copy));
    button.textContent = isCopied ? "Copied" : "Press Ctrl+C";
    announce(button.textContent);
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

/** Without TLS browsers offer no clipboard but on this machine; then the text is selected. */
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}
