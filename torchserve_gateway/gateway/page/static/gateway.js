// Calls of the gateway: key, uploads with progress, errors in plain words.

const KEY = "gateway-key";
export const UNREACHABLE = "The gateway cannot be reached. Try again.";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** A call that failed, with a message for people. */
export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
    this.wantsKey = status === 401 || status === 403;
    this.mayHelpToRetry = this.wantsKey || status === 0 || status === 408 || status === 429 || status >= 500;
  }
}

export function headers() {
  // A header holds no line break or letter beyond Latin-1; such a key is no key, and the gateway says so.
  return key.get() ? { Authorization: `Bearer ${key.get().replace(/[^\x21-\x7e]/g, "")}` } : {};
}

/** The answer to GET, which has succeeded. */
export async function get(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { headers: headers(), cache: "no-cache", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(UNREACHABLE);
  }
  if (!response.ok) throw failure(response.status, await response.text(), response.headers.get("Retry-After"));
  return response;
}

/** Sends a file for a prediction. Returns the answer: body, type, version, stages in ms. */
export function predict(model, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `predictions/${encodeURIComponent(model)}`);
    request.responseType = "blob";
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / Math.max(event.total, 1));
    request.upload.onload = () => onProgress(1);
    request.onerror = () => reject(new Failure(UNREACHABLE));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onload = async () => {
      if (request.status < 400) resolve(answerOf(request));
      else reject(failure(request.status, await textOf(request), request.getResponseHeader("Retry-After")));
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) reject(new DOMException("cancelled", "AbortError"));
    else request.send(file);
  });
}

const textOf = (request) => (request.response ? request.response.text() : "");

function answerOf(request) {
  return {
    body: request.response ?? new Blob(),
    type: (request.getResponseHeader("Content-Type") ?? "").split(";")[0].trim(),
    model: decoded(request.getResponseHeader("X-Model-Name")),
    version: decoded(request.getResponseHeader("X-Model-Version")),
    stages: stagesOf(request.getResponseHeader("Server-Timing")),
    isCached: ["hit", "shared"].includes(request.getResponseHeader("X-Cache")),
  };
}

function decoded(header) {
  try {
    return decodeURIComponent(header ?? "");
  } catch {
    return header;
  }
}

/** Server-Timing's `queue;dur=21.2, inference;dur=5` as [["queue", 21.2], ["inference", 5]]. */
function stagesOf(header) {
  const found = (header ?? "").matchAll(/([\w-]+);dur=(-?[\d.]+)/g);
  return [...found].map(([, name, ms]) => [name, Math.max(0, Number(ms))]);
}

function failure(status, body, retryAfter) {
  const detail = detailOf(body);
  if (status === 401) return new Failure("This gateway needs a valid API key. Enter yours at the top.", status);
  if (status === 403) return new Failure(`Your key may not do this: ${detail || "it lacks the right"}.`, status);
  const wait = retryAfter ? ` Try again in ${retryAfter} s.` : "";
  return new Failure(sentence(detail || `The gateway answered ${status} without a reason`) + wait, status);
}

/** `detail` of RFC 9457, else the text of another server on the way, if it is short and no page. */
function detailOf(body) {
  try {
    const problem = JSON.parse(body);
    return String(problem.detail ?? problem.message ?? "");
  } catch {
    return body.length < 300 && !body.includes("<") ? body.trim() : "";
  }
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
