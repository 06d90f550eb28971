// Attacks §6.2 against the running Worker, over raw sockets: what is decided on is what is sent.
//
// Two routes to two upstreams, one with a token and one without. A line is either refused by us and
// nobody is asked, or it reaches the upstream of the route that it literally names, byte for byte, with
// the token only there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";

import { sendBytes } from "./support/raw.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { ROOT } from "./support/worker.mjs";
import { AUDIENCE, startWorld } from "./support/world.mjs";

let world;
let secured;
let open;
let cookie;
before(async () => {
  secured = await startUpstream();
  open = await startUpstream();
  world = await startWorld({
    routes: () => [
      { path: "/api/*", upstream: { url: secured.url }, session: "required", resource: AUDIENCE },
      { path: "/public/*", upstream: { url: open.url }, session: "anonymous" },
    ],
  });
  const browser = await world.loggedIn();
  cookie = world.headersOf(browser).Cookie;
});
after(async () => {
  await world?.stop();
  await Promise.all([secured?.stop(), open?.stop()]);
});
beforeEach(() => {
  secured.seen.length = 0;
  open.seen.length = 0;
});

function bytes(method, target, headers = []) {
  const lines = [`${method} ${target} HTTP/1.1`, `Host: localhost:${world.worker.port}`, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty", `Cookie: ${cookie}`, ...headers, "Connection: close", "", ""];
  return Buffer.from(lines.join("\r\n"), "utf8");
}

async function ask(method, target, headers) {
  const before = [secured.seen.length, open.seen.length];
  const answer = await sendBytes(world.origin, bytes(method, target, headers));
  return { answer, secured: secured.seen.slice(before[0]), open: open.seen.slice(before[1]) };
}

// Refused: 400 of ours (or of the runtime, which is before us).
const REFUSED = [
  "/api/../admin", "/api/..%2fadmin", "/api/%2e%2e/admin", "/api/%2e%2e%2fadmin", "/api/.%2e/admin", "/api/%2E./admin", "/api/%252e%252e/admin",
  "/api/%%32%65%%32%65/admin", "/api/..;/admin", "/api/..;x/admin", "/api/..%3bx/admin", "//api/x", "/api//x", "/%2fapi/x", "/api%2fx", "/api%2Fx", "/api%5cx", "/api\\x",
  "/api/./x", "/api/%2e/x", "/api/x/.", "/api/x/..", "/api/..", "/api/.", "/api/x%00", "/api%00/x", "/api/x%09", "/public/%2e%2e/api/x", "/public/../api/x", "/public/..%2fapi/x",
  "/public/..\\api/x", "/public/%5c..%5capi/x", "/api/x%c0%af..%c0%afadmin", "/api/%u002e%u002e/", "/api/x%ff", "/api/ｘ", "/api/../../admin", "/api/%zz", "/api/%", "/api/%2",
  "/api/x%0d%0aHost:evil", "/api/x%0a", "/api/x%7f", "/callback/../api", "/api/%ef%bc%8e%ef%bc%8e%2fadmin", "/api/%c0%ae%c0%ae/admin", "/api/x/%25252e%25252e/admin",
  "/auth/../api/x", "/public//api/x", "///api/x", "/api/x\\..\\..\\admin", "/.//evil.example", "/\\evil.example/api/x", "/api/..%20/x", "/api/...", "/api/.%20./x",
].map((target) => [target, "refused"]);

// Sent on as they are, to the upstream with the token.
const SECURED = [
  "/api", "/api/", "/api/x", "/api/x/", "/api/x.json", "/api/x%2ejson", "/api/x%20", "/api/%20/x", "/api/x?", "/api/x?a=b&c=%2F..%2F", "/api/x?x=/public", "/api/x;v=1", "/api/@evil.example", "/api/.evil.example",
  "/api/:8080", "/api/x%3f/public", "/api/x%23/public", "/api/caf%C3%A9", "/api/..x", "/api/x..", "/api/a+b", "/api/a,b;c=d", "/api/a:b@c", "/api/%7Bid%7D", "/api/x?y=../../z", "/api/x?q=a%0d%0ab", "/api/x?//evil.example", `/api/${"a".repeat(8000)}`,
  "/api/x?_method=DELETE",
].map((target) => [target, "secured"]);

const OPEN = ["/public", "/public/x", "/public/x?x=/api/x", "/public/api/x"].map((target) => [target, "open"]);

// Not ours: the static files' (there are none here, so 404), never a route's.
const ELSEWHERE = ["/API/x", "/Api/X", "/apiary", "/api-internal", "/api.x", "/api;/x", "/api;a=b/x", "/apix/../api", "/callbackx", "/callback/", "/x?x=/api/x", "/ap%69/x", "/", "/private?x=/public"].map((target) => [target, target.includes("..") ? "refused" : "elsewhere"]);

const ALL = [...REFUSED, ...SECURED, ...OPEN, ...ELSEWHERE];

function judge(target, { answer, secured: toSecured, open: toOpen }) {
  const asked = toSecured.length + toOpen.length;
  if (asked === 0) {
    if (answer === null) return "refused";
    if (answer.status >= 200 && answer.status < 300) return `${answer.status} without an upstream`;
    return answer.status === 404 ? "elsewhere" : answer.status >= 400 && answer.status < 500 ? "refused" : `${answer.status}`;
  }
  if (asked !== 1) return `${asked} upstream requests`;
  const [seen] = [...toSecured, ...toOpen];
  const where = toSecured.length === 1 ? "secured" : "open";
  const sent = target.split("#")[0];
  // A bare "?" may be lost on the way; nothing else may change.
  if (seen.url !== sent && seen.url !== sent.replace(/\?$/, "")) return `sent on as ${seen.url}`;
  const prefix = where === "secured" ? "/api" : "/public";
  const path = seen.url.split("?")[0];
  // Whatever the upstream does next (normalise, decode once or twice), it must not leave the prefix.
  for (const reading of [path, decode(path), decode(decode(path))]) {
    const normal = new URL(`http://x${encodeURI(reading).replaceAll("%25", "%")}`).pathname;
    if (normal !== prefix && !normal.startsWith(`${prefix}/`)) return `read as ${normal} by a lax upstream`;
    if (reading.split(/[\\/]/).some((segment) => segment === ".." || segment === ".")) return `holds dot segments when read as ${reading}`;
  }
  const tokens = seen.pairs.filter(([name]) => name === "authorization").length;
  if (tokens !== (where === "secured" ? 1 : 0)) return `${tokens} tokens at ${where}`;
  if (seen.pairs.some(([name]) => name === "cookie")) return "a cookie arrived";
  return where;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

test("each line of the path corpus is refused, or sent on as it is to where it literally leads", async () => {
  const wrong = [];
  for (const [target, expected] of ALL) {
    const found = judge(target, await ask("GET", target));
    if (found !== expected) wrong.push({ target: target.slice(0, 80), expected, found });
  }
  assert.deepEqual(wrong, []);
});

test("the decision is the same for every method that passes", async () => {
  const wrong = [];
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "HEAD"]) {
    for (const [target, expected] of ALL) {
      if (target.length > 1000) continue;
      const found = judge(target, await ask(method, target, method === "HEAD" ? [] : ["Content-Length: 0"]));
      if (found !== expected) wrong.push({ method, target, expected, found });
    }
  }
  assert.deepEqual(wrong, []);
});

test("the corpus that the native tests read: decision and path sent agree on every line", async () => {
  const corpus = JSON.parse(readFileSync(`${ROOT}tests/corpus/paths.json`, "utf8"));
  assert.ok(corpus.length > 50);
  const wrong = [];
  for (const { target, expect } of corpus) {
    const found = judge(target, await ask("GET", target));
    const good = expect === "refused" ? found === "refused" : ["secured", "open", "elsewhere"].includes(found);
    if (!good) wrong.push({ target: target.slice(0, 80), expect, found });
  }
  assert.deepEqual(wrong, []);
});

test("targets that aren't paths: absolute form, asterisk, authority", async () => {
  for (const target of ["http://evil.example/api/x", "https://evil.example/api/x", "http://169.254.169.254/", "http://169.254.169.254/api/latest", "*", "evil.example:443", "api/x", "?x", "http://localhost@evil.example/api/x"]) {
    const result = await ask("GET", target);
    for (const seen of [...result.secured, ...result.open]) {
      assert.match(seen.url, /^\/(api|public)\//, target);
      assert.match(seen.headers.host, /^127\.0\.0\.1:\d+$/, `${target}: the upstream is the route's`);
    }
    assert.ok(result.answer === null || result.answer.status >= 400 || result.secured.length === 1, `${target}: ${result.answer?.status}`);
  }
});

test("a raw fragment never reaches an upstream", async () => {
  const { secured: [seen] } = await ask("GET", "/api/x#/public");
  assert.ok(seen === undefined || seen.url === "/api/x");
});

test("a target of 16 KB and more is passed on whole or refused", async () => {
  for (const length of [16_000, 60_000]) {
    const target = `/api/${"b".repeat(length)}`;
    const found = judge(target, await ask("GET", target));
    assert.ok(["secured", "refused"].includes(found), found);
  }
});

test("control characters, spaces and odd bytes in the target are refused", async () => {
  for (const target of ["/api/a b", "/api/a\tb", "/api/a\u0000b", "/api/a\u000bb", "/api/é", "/api/\u2025/x", "/api/x\u00a0"]) {
    const found = judge(target, await ask("GET", target));
    assert.equal(found, "refused", JSON.stringify(target));
  }
});

test("methods: a known one arrives as it is, an unknown one arrives nowhere", async () => {
  for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]) {
    const result = await ask(method, "/api/x", method === "GET" || method === "HEAD" ? [] : ["Content-Length: 0"]);
    assert.equal(result.secured.length, 1, `${method}: ${result.answer?.status}`);
    assert.equal(result.secured[0].method, method);
  }
  for (const method of ["get", "Get", "post", "TRACE", "TRACK", "CONNECT", "PROPFIND", "QUERY", "FOO", "G ET", "GETT", "PURGE", "DEBUG", "OPTIONS", "PRI"]) {
    const result = await ask(method, "/api/x", ["Content-Length: 0"]);
    const arrived = [...result.secured, ...result.open].map((seen) => seen.method);
    // workerd itself may read a lower-case name as its upper-case one; it must not become another.
    assert.ok(arrived.length === 0 || arrived[0] === method || (method !== method.toUpperCase() && arrived[0] === method.toUpperCase()), `${method} arrived as ${arrived}`);
    if (method === method.toUpperCase()) assert.deepEqual(arrived, [], method);
    assert.ok(result.answer === null || result.answer.status >= 400 || arrived.length === 1, `${method}: ${result.answer?.status}`);
  }
});

test("what overrides a method or a path in a header changes nothing and doesn't arrive", async () => {
  const result = await ask("GET", "/api/x", ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Forwarded-Uri: /admin", "X-Forwarded-Prefix: /admin", "X-Middleware-Subrequest: x"]);
  const [seen] = result.secured;
  assert.equal(seen.method, "GET");
  assert.equal(seen.url, "/api/x");
  assert.deepEqual(seen.pairs.map(([name]) => name).filter((name) => /override|x-http|original|rewrite|forwarded|middleware/.test(name)), []);
});
